//! What became of one POST, judged by the receiver's answer alone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The result of an attempt. It is not a `Result`: a refused POST is an ordinary value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// 2xx.
    Delivered {
        /// The receiver wants no further events (`webhook-delivery: disable`).
        disable: bool,
    },
    /// 410, or `webhook-delivery: disable` with a failure: the endpoint wants nothing any more.
    Gone,
    /// `webhook-delivery: abort-message`: the receiver wants this event never again.
    Aborted,
    /// Anything else.
    Failed {
        /// What went wrong.
        reason: Failure,
        /// The receiver's `Retry-After`, in milliseconds.
        retry_after_ms: Option<u64>,
    },
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// A status that is no success.
    Status,
    /// 3xx: redirects are not followed.
    Redirect,
    /// 429 or 503.
    Busy,
    /// The URL may not be sent to: no TLS, a user name.
    RefusedUrl,
    /// The host is at an address that nothing is sent to.
    RefusedAddress,
    /// The host's name has no address.
    Dns,
    /// The connection was refused.
    ConnectRefused,
    /// No connection within its time.
    ConnectTimeout,
    /// No connection for another reason, such as no route.
    Connect,
    /// The certificate is not to be trusted.
    Certificate,
    /// No TLS session for another reason.
    Tls,
    /// No answer within the whole time.
    Timeout,
    /// The URL or the request could not be sent at all.
    Request,
    /// The connection broke before the answer.
    Broken,
    /// What came is no HTTP.
    Protocol,
}

impl Failure {
    /// The word for it on the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Redirect => "redirect",
            Self::Busy => "busy",
            Self::RefusedUrl => "refused_url",
            Self::RefusedAddress => "refused_address",
            Self::Dns => "dns",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Connect => "connect",
            Self::Certificate => "certificate",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Request => "request",
            Self::Broken => "broken",
            Self::Protocol => "protocol",
        }
    }
}

impl Outcome {
    /// The word for it on the ledger.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::Gone => "gone",
            Self::Aborted => "aborted",
            Self::Failed { reason, .. } => reason.as_str(),
        }
    }

    /// Why an endpoint is disabled that answered 410 or `webhook-delivery: disable`.
    pub const DISABLED: &str = "disabled_by_receiver";

    /// Whether the endpoint is to be disabled, as [`Outcome::DISABLED`].
    #[must_use]
    pub const fn disables_endpoint(&self) -> bool {
        match self {
            Self::Delivered { disable } => *disable,
            Self::Gone => true,
            Self::Aborted | Self::Failed { .. } => false,
        }
    }
}

/// The longest `Retry-After` that is obeyed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Judges an answer by its status and its headers `webhook-delivery` and `retry-after`.
#[must_use]
pub fn judge(status: u16, webhook_delivery: Option<&str>, retry_after: Option<&str>, now: Timestamp) -> Outcome {
    let wants = |word: &str| webhook_delivery.is_some_and(|value| value.trim().eq_ignore_ascii_case(word));
    match status {
        200..=299 => Outcome::Delivered { disable: wants("disable") },
        410 => Outcome::Gone,
        _ if wants("disable") => Outcome::Gone,
        _ if wants("abort-message") => Outcome::Aborted,
        300..=399 => Outcome::Failed { reason: Failure::Redirect, retry_after_ms: None },
        429 | 503 => {
            let wait = retry_after.and_then(|text| read_retry_after(text, now));
            let retry_after_ms = wait.and_then(|wait| u64::try_from(wait.as_millis()).ok());
            Outcome::Failed { reason: Failure::Busy, retry_after_ms }
        }
        _ => Outcome::Failed { reason: Failure::Status, retry_after_ms: None },
    }
}

/// Reads `Retry-After`: seconds, or an HTTP date; none if it is neither.
fn read_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wait = match is_number {
        // More than a u64 holds is long, too.
        true => text.parse().map_or(LONGEST_RETRY_AFTER, Duration::from_secs),
        false => {
            // An HTTP date ends with GMT; RFC 2822 writes the same zone +0000.
            let date = format!("{} +0000", text.strip_suffix("GMT")?.trim_end());
            let moment = ::time::OffsetDateTime::parse(&date, &::time::format_description::well_known::Rfc2822).ok()?;
            Timestamp::from(moment).since(now)
        }
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T20:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_status_decides_and_the_header_may_disable_or_abort() {
        let judged = |status, header| judge(status, header, None, now());
        assert_eq!(judged(204, None), Outcome::Delivered { disable: false });
        assert_eq!(judged(200, Some("disable")), Outcome::Delivered { disable: true });
        assert_eq!(judged(410, None), Outcome::Gone);
        assert_eq!(judged(500, Some("Disable")), Outcome::Gone);
        assert_eq!(judged(500, Some("abort-message")), Outcome::Aborted);
        assert_eq!(judged(302, None).as_str(), "redirect");
        assert_eq!(judged(500, Some("else")).as_str(), "status");
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date_and_has_a_limit() {
        let wait = |text| match judge(429, None, Some(text), now()) {
            Outcome::Failed { retry_after_ms, .. } => retry_after_ms,
            other => panic!("{other:?}"),
        };
        assert_eq!(wait("7"), Some(7_000));
        assert_eq!(wait("Mon, 23 Nov 2026 20:01:00 GMT"), Some(60_000));
        assert_eq!(wait("Mon, 23 Nov 2020 20:01:00 GMT"), Some(0));
        assert_eq!(wait("99999999999"), Some(24 * 3600 * 1000));
        assert_eq!(wait("99999999999999999999999999"), Some(24 * 3600 * 1000));
        assert_eq!(wait("soon"), None);
    }

    fn wait_of(text: &str) -> Option<u64> {
        match judge(503, None, Some(text), now()) {
            Outcome::Failed { reason: Failure::Busy, retry_after_ms } => retry_after_ms,
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn seconds_are_obeyed_for_up_to_a_day(seconds: u128, spaces in " {0,2}") {
            let wait = u64::try_from(seconds).unwrap_or(u64::MAX).saturating_mul(1_000).min(86_400_000);
            prop_assert_eq!(wait_of(&format!("{spaces}{seconds}{spaces}")), Some(wait));
        }

        #[test]
        fn a_date_is_never_negative_and_at_most_a_day_away(offset_s in -100_000_000..100_000_000_i64) {
            let moment = now().into_inner() + ::time::Duration::seconds(offset_s);
            let date = moment.format(&::time::format_description::well_known::Rfc2822).unwrap();
            let wait = u64::try_from(offset_s.clamp(0, 86_400)).unwrap() * 1_000;
            prop_assert_eq!(wait_of(&date.replace("+0000", "GMT")), Some(wait));
        }

        #[test]
        fn any_text_is_obeyed_within_its_bounds_or_ignored(
            number in "[0-9-]{1,30}",
            date in "([A-Z][a-z]{2}, )?[0-9(]{1,3} [A-Z][a-z]{2} [0-9]{2,5} [0-9:]{5,8} ?(GMT)?",
            text in ".{0,40}"
        ) {
            for text in [number, date, text] {
                prop_assert!(wait_of(&text).is_none_or(|ms| ms <= 86_400_000), "{}", text);
            }
        }

        #[test]
        fn the_status_decides_whatever_the_headers_say(
            status: u16, delivery in "disable|abort-message|.{0,20}", text in ".{0,20}"
        ) {
            let outcome = judge(status, Some(&delivery), Some(&text), now());
            prop_assert_eq!(matches!(outcome, Outcome::Delivered { .. }), (200..300).contains(&status));
            let retried = matches!(outcome, Outcome::Failed { .. });
            prop_assert!(!retried || (delivery != "disable" && delivery != "abort-message" && status != 410));
        }
    }
}
