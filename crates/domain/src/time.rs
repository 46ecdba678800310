//! Moments as they appear on the wire: RFC 3339 in UTC with six fractional digits.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ::time::format_description::BorrowedFormatItem;
use ::time::format_description::well_known::Rfc3339;
use ::time::macros::format_description;
use ::time::{OffsetDateTime, UtcOffset};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const WIRE: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// A moment in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

/// The text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a time like 2026-11-23T20:38:00Z")]
pub struct NotATime {
    text: String,
}

impl Timestamp {
    /// Seconds since 1970, as the header `webhook-timestamp` has them.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// Microseconds since 1970.
    #[must_use]
    pub fn unix_micros(self) -> i64 {
        i64::try_from(self.0.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
    }

    /// The moment that many microseconds after 1970; none outside the years that can be written.
    #[must_use]
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok();
        moment.filter(|moment| moment.year() >= 0).map(Self)
    }

    /// Time from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0 - earlier.0).unwrap_or_default()
    }

    /// This moment and so much later; stays where it is if that is past the last year.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(::time::Duration::try_from(duration).ok().and_then(|d| self.0.checked_add(d)).unwrap_or(self.0))
    }

    /// The value for databases.
    #[must_use]
    pub fn into_inner(self) -> OffsetDateTime {
        self.0
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(moment: OffsetDateTime) -> Self {
        Self(moment.to_offset(UtcOffset::UTC))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(WIRE).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok();
        // Written with an offset, a moment may lie in a year that has no four digits in UTC.
        let moment = moment.and_then(|moment| moment.checked_to_offset(UtcOffset::UTC));
        let moment = moment.filter(|moment| moment.year() >= 0);
        moment
            .map(|moment| Self(moment.truncate_to_microsecond()))
            .ok_or_else(|| NotATime { text: text.chars().take(80).collect() })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_moment_keeps_its_six_digits_over_the_wire() {
        let moment: Timestamp = "2026-11-23T21:38:00.5+01:00".parse().unwrap();
        assert_eq!(moment.to_string(), "2026-11-23T20:38:00.500000Z");
        assert_eq!(moment, serde_json::from_str(&serde_json::to_string(&moment).unwrap()).unwrap());
        assert_eq!(Timestamp::from_unix_micros(moment.unix_micros()), Some(moment));
    }

    #[test]
    fn a_moment_that_utc_has_no_year_for_is_none() {
        for text in ["9999-12-31T23:59:59-00:01", "9999-12-31T00:01:00-23:59", "0000-01-01T00:00:00+00:01"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        assert!("9999-12-31T23:59:59Z".parse::<Timestamp>().is_ok());
        assert!("0000-01-01T00:00:00Z".parse::<Timestamp>().is_ok());
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_so_that_it_can_be_read_again(
            date in "[09][09][0-9]{2}-(0[1-9]|1[0-2])-[0-3][0-9]",
            clock in "[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,12})?",
            zone in "Z|[+-][0-2][0-9]:[0-5][0-9]"
        ) {
            let text = format!("{date}T{clock}{zone}");
            if let Ok(moment) = text.parse::<Timestamp>() {
                let written = moment.to_string();
                prop_assert_eq!(written.len(), 27);
                prop_assert_eq!(written.parse(), Ok(moment));
            }
        }

        #[test]
        fn every_moment_can_be_written_and_read_again(micros: i64, shift in 0..12_u32) {
            if let Some(moment) = Timestamp::from_unix_micros(micros >> shift) {
                prop_assert_eq!(moment.to_string().parse(), Ok(moment));
                prop_assert_eq!(moment.unix_micros(), micros >> shift);
            }
        }

        #[test]
        fn any_text_is_a_moment_or_none(text in ".{0,40}") {
            let _ = text.parse::<Timestamp>();
        }

        #[test]
        fn time_between_moments_is_never_negative(one: i64, other: i64, ms: u64) {
            if let Some((one, other)) = Timestamp::from_unix_micros(one).zip(Timestamp::from_unix_micros(other)) {
                prop_assert!(one.since(other).is_zero() || other.since(one).is_zero());
                prop_assert!(one.after(Duration::from_millis(ms)) >= one);
            }
        }
    }
}
