//! A stretch of time-ordered ids, as lists read it from its newest end.

use std::fmt::Display;

use time::OffsetDateTime;

/// A clock that is set right may be so much ahead of ours. Ids that are later still are not looked at, so that the
/// partitions that are made ahead of time are not either.
const AHEAD_MS: i128 = 24 * 3600 * 1000;

/// Ids from `lowest` on and below `below`. A statement that says both prunes partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub(crate) lowest: String,
    pub(crate) below: String,
    pub(crate) from: Option<OffsetDateTime>,
    pub(crate) to: Option<OffsetDateTime>,
}

impl Span {
    /// Ids with this prefix that were made from `from` until before `to`, and before the id `before`.
    #[must_use]
    pub fn new<I: Display>(
        prefix: &str,
        from: Option<OffsetDateTime>,
        to: Option<OffsetDateTime>,
        before: Option<I>,
        now: OffsetDateTime,
    ) -> Self {
        let lowest = lowest_id(prefix, from.map_or(0, |from| from.unix_timestamp_nanos().div_euclid(1_000_000)));
        let end = to.map_or(i128::MAX, |to| (to.unix_timestamp_nanos() + 999_999).div_euclid(1_000_000));
        let ahead = now.unix_timestamp_nanos().div_euclid(1_000_000) + AHEAD_MS;
        let end = lowest_id(prefix, end.min(ahead));
        let below = before.map_or(end.clone(), |before| before.to_string().min(end));
        Self { lowest, below, from, to }
    }

    /// Lets the span begin at this id, if it began below.
    pub fn begin_at(&mut self, lowest: String) {
        if lowest > self.lowest {
            self.lowest = lowest;
        }
    }
}

/// What the SQL function of this name says.
pub(crate) fn lowest_id(prefix: &str, unix_ms: i128) -> String {
    let most = (1_i128 << 48) - 1;
    format!("{prefix}{:012x}{:020}", unix_ms.clamp(0, most), 0)
}

/// No id with this prefix that is before `before` is at or above this text; without `before`, none is at all.
pub(crate) fn below<I: Display>(prefix: &str, before: Option<I>) -> String {
    before.map_or_else(|| format!("{prefix}~"), |before| before.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_holds_the_milliseconds_of_its_window_and_ends_at_the_cursor() {
        let at = |micros: i128| OffsetDateTime::from_unix_timestamp_nanos(micros * 1_000).unwrap();
        let none: Option<&str> = None;
        let id = |ms: u64| format!("evt_{ms:012x}{}", "0".repeat(20));
        let now = at(5_000_000);
        let whole = Span::new("evt_", None, None, none, now);
        assert_eq!((whole.lowest, whole.below), (id(0), id(5_000 + 86_400_000)));
        let window = Span::new("evt_", Some(at(1_999)), Some(at(3_001)), none, now);
        assert_eq!((window.lowest.clone(), window.below), (id(1), id(4)));
        let mut cursor = Span::new("evt_", Some(at(1_999)), Some(at(3_001)), Some(id(2)), now);
        assert_eq!(cursor.below, id(2));
        cursor.begin_at(id(0));
        assert_eq!(cursor.lowest, window.lowest);
        cursor.begin_at(id(2));
        assert_eq!(cursor.lowest, id(2));
        assert_eq!(Span::new("evt_", Some(at(-9_000)), None, Some("evt_~"), now).lowest, id(0));
    }
}
