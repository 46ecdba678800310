//! A span of time that is asked about.

use std::fmt::Display;
use std::time::Duration;

use domain::time::Timestamp;
use store::span::Span;

use crate::clock::now;
use crate::error::Error;

/// Events that occurred from `from` until before `to`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Window {
    const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

    /// A window of at most 31 days after 1970.
    pub(crate) fn new(from: Timestamp, to: Timestamp) -> Result<Self, Error> {
        in_order(Some(from), Some(to))?;
        if to.since(from) > Self::LONGEST {
            return Err(Error::Window { field: "to", detail: "a window is at most 31 days long" });
        }
        Ok(Self { from, to })
    }
}

/// What is left of a list whose ids have this prefix: made in the window, of which both ends may be open, and before the id
/// `before`.
pub(crate) fn span<I: Display>(
    prefix: &str,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    before: Option<I>,
) -> Result<Span, Error> {
    in_order(from, to)?;
    let (from, to) = (from.map(Timestamp::into_inner), to.map(Timestamp::into_inner));
    Ok(Span::new(prefix, from, to, before, now().into_inner()))
}

/// A window: both ends may be open.
fn in_order(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<(), Error> {
    if from.is_some_and(|from| from.unix_micros() < 0) {
        return Err(Error::Window { field: "from", detail: "a window begins after 1970" });
    }
    if to.zip(from).is_some_and(|(to, from)| to <= from) {
        return Err(Error::Window { field: "to", detail: "a window ends after it has begun" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::ids::EventId;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_window_begins_after_1970_ends_after_it_has_begun_and_has_31_days_at_most(
            from: i64, length: i64, shift in 0..30_u32
        ) {
            let micros = [Some(from >> shift), (from >> shift).checked_add(length >> shift)];
            if let [Some(from), Some(to)] = micros.map(|micros| Timestamp::from_unix_micros(micros?)) {
                let days = (to.unix_micros() - from.unix_micros()) / 86_400_000_000;
                let is_window = from.unix_micros() >= 0 && to > from;
                let is_short = days < 31 || to.since(from) == Window::LONGEST;
                prop_assert_eq!(Window::new(from, to).is_ok(), is_window && is_short);
                prop_assert_eq!(span(EventId::PREFIX, Some(from), Some(to), None::<EventId>).is_ok(), is_window);
                // An open end is any.
                prop_assert!(span(EventId::PREFIX, None, Some(to), None::<EventId>).is_ok());
            }
        }
    }
}
