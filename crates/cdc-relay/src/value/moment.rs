//! Times: PostgreSQL's microseconds and its ISO text, as Sequin writes them, always with six fractional digits.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

/// PostgreSQL counts from 2000-01-01; so many microseconds after the Unix epoch.
pub const PG_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A moment, shown as `2026-02-18T10:00:00.123456Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(OffsetDateTime);

impl Moment {
    /// From microseconds since 2000-01-01, as the stream counts. Out of the calendar's range it is the Unix epoch.
    #[must_use]
    pub fn from_pg_micros(micros: i64) -> Self {
        Self::from_unix_micros(micros.saturating_add(PG_EPOCH_MICROS))
    }

    /// From microseconds since 1970-01-01. Out of the calendar's range it is the Unix epoch.
    #[must_use]
    pub fn from_unix_micros(micros: i64) -> Self {
        let nanos = i128::from(micros) * 1000;
        Self(OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.0.date(), self.0.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.microsecond()
        )
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `2026-02-18 10:00:00.12` to `2026-02-18T10:00:00.120000`; other text stays.
pub(super) fn timestamp(text: &str) -> Cow<'_, str> {
    iso(text, "").map_or(text.into(), Into::into)
}

/// `2026-02-18 10:00:00.12+00` to `2026-02-18T10:00:00.120000Z`; other text stays. The stream's time zone is UTC.
pub(super) fn timestamptz(text: &str) -> Cow<'_, str> {
    text.strip_suffix("+00").and_then(|text| iso(text, "Z")).map_or(text.into(), Into::into)
}

fn iso(text: &str, zone: &str) -> Option<String> {
    let (date, time) = text.split_once(' ')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let plain = |text: &str, mark: u8| text.bytes().all(|byte| byte.is_ascii_digit() || byte == mark);
    let fits =
        plain(date, b'-') && time.len() == 8 && plain(time, b':') && fraction.len() <= 6 && plain(fraction, b'0');
    fits.then(|| format!("{date}T{time}.{fraction:0<6}{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_always_have_six_fractional_digits() {
        assert_eq!(Moment::from_pg_micros(0).to_string(), "2000-01-01T00:00:00.000000Z");
        assert_eq!(Moment::from_pg_micros(824_724_000_120_000).to_string(), "2026-02-18T10:00:00.120000Z");
        assert_eq!(Moment::from_unix_micros(1).to_string(), "1970-01-01T00:00:00.000001Z");
    }

    #[test]
    fn moments_out_of_range_do_not_panic() {
        for micros in [i64::MIN, i64::MAX] {
            assert_eq!(Moment::from_pg_micros(micros).to_string(), "1970-01-01T00:00:00.000000Z");
        }
    }

    #[test]
    fn other_text_stays() {
        for text in ["infinity", "2026-02-18 10:00:00+02", "2026-02-18 10:00:00+00 BC", "", "2026-02-18 10:00+00"] {
            assert_eq!(timestamptz(text), text);
        }
    }
}
