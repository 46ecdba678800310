//! What an operator may set at an endpoint, checked as it is read.

use std::time::Duration;

use chassis::egress::{Policy, Refused};
use domain::event::EventFilter;
use domain::schedule::{NotASchedule, Schedule};
use domain::text::Text;
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

/// For people.
pub(crate) type Description = Text<0, 10_000>;

/// Where webhooks can be sent to.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct EndpointUrl(Url);

/// As it was understood. Nobody is given its text but by [`EndpointUrl::allowed`].
impl Serialize for EndpointUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

/// The text is no URL for webhooks.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAnEndpointUrl {
    #[error("a URL has at most {most} characters", most = EndpointUrl::MOST)]
    TooLong,
    #[error("{0}; write https://host/path")]
    Syntax(url::ParseError),
    #[error("a URL for webhooks begins with https:// or http://")]
    Scheme,
    #[error("a URL for webhooks has no user name and no password")]
    UserInfo,
    #[error("a URL for webhooks has no fragment (#…)")]
    Fragment,
}

impl EndpointUrl {
    const MOST: usize = 2_000;

    /// Its text, if the policy allows what is known of it before anything is sent.
    pub(crate) fn allowed(self, policy: &Policy) -> Result<String, Refused> {
        policy.check_url(&self.0)?;
        Ok(self.0.into())
    }
}

impl TryFrom<String> for EndpointUrl {
    type Error = NotAnEndpointUrl;

    fn try_from(text: String) -> Result<Self, NotAnEndpointUrl> {
        let url = Url::parse(&text).map_err(NotAnEndpointUrl::Syntax)?;
        // Percent-encoding makes it longer than it was written.
        if text.chars().count() > Self::MOST || url.as_str().len() > Self::MOST {
            return Err(NotAnEndpointUrl::TooLong);
        }
        // Both schemes demand a host.
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NotAnEndpointUrl::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NotAnEndpointUrl::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(NotAnEndpointUrl::Fragment);
        }
        Ok(Self(url))
    }
}

/// Which events are wanted: 1 to 100 filters, by default all events.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(try_from = "Vec<EventFilter>", into = "Vec<String>")]
pub(crate) struct EventFilters(Vec<String>);

/// There are too few or too many filters.
#[derive(Debug, thiserror::Error)]
#[error("an endpoint has 1 to 100 event types")]
pub(crate) struct NotEventFilters;

impl TryFrom<Vec<EventFilter>> for EventFilters {
    type Error = NotEventFilters;

    fn try_from(filters: Vec<EventFilter>) -> Result<Self, NotEventFilters> {
        match filters.len() {
            1..=100 => Ok(Self(filters.into_iter().map(String::from).collect())),
            _ => Err(NotEventFilters),
        }
    }
}

impl Default for EventFilters {
    fn default() -> Self {
        Self(vec!["*".to_owned()])
    }
}

impl From<EventFilters> for Vec<String> {
    fn from(filters: EventFilters) -> Self {
        filters.0
    }
}

/// How long a whole POST may take.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(try_from = "Wait", into = "Wait")]
pub(crate) struct Timeout(Duration);

/// The duration is no time-out.
#[derive(Debug, thiserror::Error)]
#[error("a time-out is 100ms to 60s")]
pub(crate) struct NotATimeout;

impl TryFrom<Wait> for Timeout {
    type Error = NotATimeout;

    fn try_from(wait: Wait) -> Result<Self, NotATimeout> {
        let range = Duration::from_millis(100)..=Duration::from_secs(60);
        if range.contains(&wait.0) { Ok(Self(wait.0)) } else { Err(NotATimeout) }
    }
}

impl From<Timeout> for Wait {
    fn from(timeout: Timeout) -> Self {
        Self(timeout.0)
    }
}

/// As it is stored.
impl From<Timeout> for i32 {
    fn from(timeout: Timeout) -> Self {
        Self::try_from(timeout.0.as_millis()).unwrap_or(Self::MAX)
    }
}

impl Timeout {
    /// As people write it, of the milliseconds that are stored.
    pub(crate) fn text(millis: i32) -> String {
        humantime::format_duration(Duration::from_millis(u64::from(millis.unsigned_abs()))).to_string()
    }
}

impl Default for Timeout {
    fn default() -> Self {
        Self(Duration::from_secs(15))
    }
}

/// A schedule as people write it: `["0s", "5s", "5m"]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<Wait>", into = "Vec<Wait>")]
pub(crate) struct Waits(Schedule);

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Wait(Duration);

/// The text is no wait.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAWait {
    #[error("{0}; write a duration like 0s, 250ms or 5m")]
    Syntax(humantime::DurationError),
    #[error("a wait is a whole number of milliseconds")]
    TooFine,
}

impl TryFrom<String> for Wait {
    type Error = NotAWait;

    fn try_from(text: String) -> Result<Self, NotAWait> {
        let wait = humantime::parse_duration(&text).map_err(NotAWait::Syntax)?;
        if wait.subsec_nanos().is_multiple_of(1_000_000) { Ok(Self(wait)) } else { Err(NotAWait::TooFine) }
    }
}

impl From<Wait> for String {
    fn from(wait: Wait) -> Self {
        humantime::format_duration(wait.0).to_string()
    }
}

impl TryFrom<Vec<Wait>> for Waits {
    type Error = NotASchedule;

    fn try_from(waits: Vec<Wait>) -> Result<Self, NotASchedule> {
        Schedule::new(waits.into_iter().map(|wait| wait.0).collect()).map(Self)
    }
}

impl From<Waits> for Vec<Wait> {
    fn from(waits: Waits) -> Self {
        waits.0.waits().iter().copied().map(Wait).collect()
    }
}

/// As it is stored, in milliseconds.
impl TryFrom<Vec<i64>> for Waits {
    type Error = NotASchedule;

    fn try_from(millis: Vec<i64>) -> Result<Self, NotASchedule> {
        Schedule::try_from(millis).map(Self)
    }
}

impl From<Waits> for Vec<i64> {
    fn from(waits: Waits) -> Self {
        waits.0.into()
    }
}

/// Attempts a second.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(try_from = "serde_json::Value", into = "i32")]
pub(crate) struct RateLimit(i32);

/// The number is no rate limit.
#[derive(Debug, thiserror::Error)]
#[error("a rate limit is 1 to 1000 attempts a second; null is without limit")]
pub(crate) struct NotARateLimit;

/// Of any JSON, so that whatever is wrong is told in these words.
impl TryFrom<serde_json::Value> for RateLimit {
    type Error = NotARateLimit;

    fn try_from(value: serde_json::Value) -> Result<Self, NotARateLimit> {
        let rate = value.as_i64().and_then(|rate| i32::try_from(rate).ok());
        rate.filter(|rate| (1..=1_000).contains(rate)).map(Self).ok_or(NotARateLimit)
    }
}

impl From<RateLimit> for i32 {
    fn from(rate: RateLimit) -> Self {
        rate.0
    }
}

#[cfg(test)]
mod tests {
    use chassis::egress::EgressFlags;
    use proptest::prelude::*;

    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(value: serde_json::Value) -> Option<T> {
        serde_json::from_value(value).ok()
    }

    proptest! {
        #[test]
        fn a_schedule_is_read_as_it_is_shown(millis in prop::collection::vec(0..=2_592_000_000_i64, 1..=100)) {
            let waits = Waits::try_from(millis.clone()).unwrap();
            let again: Waits = read(serde_json::json!(waits)).unwrap();
            prop_assert_eq!(Vec::<i64>::from(again), millis);
        }

        #[test]
        fn a_wait_is_a_duration_in_whole_milliseconds_or_refused(
            text in "([0-9]{1,21} ?(ns|us|ms|s|m|h|days|weeks|months|years|y)? ?){0,3}|.{0,20}"
        ) {
            if let Ok(wait) = Wait::try_from(text) {
                prop_assert!(wait.0.subsec_nanos().is_multiple_of(1_000_000));
                prop_assert_eq!(Wait::try_from(String::from(wait.clone())).unwrap().0, wait.0);
            }
        }

        #[test]
        fn a_timeout_is_within_its_bounds_and_read_as_it_is_shown(millis in -10..100_000_i32) {
            let text = Timeout::text(millis);
            let timeout: Option<Timeout> = read(serde_json::json!(text));
            let within = (100..=60_000).contains(&millis);
            prop_assert_eq!(timeout.map(i32::from), within.then_some(millis));
        }

        #[test]
        fn a_rate_limit_is_a_whole_number_within_its_bounds(rate: i64, fraction: f64, text in ".{0,5}") {
            for rate in [rate, rate % 2_000] {
                let read: Option<RateLimit> = read(serde_json::json!(rate));
                prop_assert_eq!(read.is_some(), (1..=1_000).contains(&rate));
            }
            prop_assert!(read::<RateLimit>(serde_json::json!(fraction)).is_none());
            prop_assert!(read::<RateLimit>(serde_json::json!(text)).is_none());
        }

        #[test]
        fn a_url_is_stored_as_it_is_understood_and_can_be_sent_to(
            text in "https?://[a-z0-9.\\[\\]:%\"'{}_*-]{1,20}(/[ -~]{0,20})?|.{0,30}"
        ) {
            let policy = EgressFlags { allow_networks: Vec::new(), allow_http: true }.policy();
            if let Ok(url) = EndpointUrl::try_from(text)
                && let Ok(stored) = url.allowed(&policy)
            {
                prop_assert!(policy.target(&stored).is_ok(), "{}", stored);
                let again = EndpointUrl::try_from(stored.clone()).unwrap().allowed(&policy).unwrap();
                prop_assert_eq!(again, stored);
            }
        }
    }
}
