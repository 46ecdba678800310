//! W3C trace context: the request's trace goes on into the transaction, and with the event out of it.

use std::convert::Infallible;
use std::num::{NonZeroU64, NonZeroU128};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

/// The trace of a request, with a span of this service.
#[derive(Debug)]
pub(crate) struct Trace {
    traceparent: String,
}

impl Trace {
    /// The value for a header `traceparent`, or for the transaction.
    pub(crate) fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// Goes on with the trace of the headers, or begins the trace `fresh`.
    fn of(headers: &HeaderMap, fresh: NonZeroU128, span: NonZeroU64) -> Self {
        let mut values = headers.get_all("traceparent").iter();
        let parent = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().and_then(read),
            _ => None,
        };
        let traceparent = match parent {
            Some((trace, sampled)) => format!("00-{trace}-{span:016x}-{sampled:02x}"),
            None => format!("00-{fresh:032x}-{span:016x}-01"),
        };
        Self { traceparent }
    }
}

/// The trace id of a `traceparent`, and whether it is sampled; none if the header is not valid.
/// Of a later version only what version 00 has is read, as the specification wants it.
pub(crate) fn read(traceparent: &str) -> Option<(&str, u8)> {
    let mut parts = traceparent.splitn(5, '-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let known = match version {
        "00" => parts.next().is_none(),
        _ => version != "ff",
    };
    let is_hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, digits| is_hex(text, digits) && text.bytes().any(|b| b != b'0');
    if known && is_hex(version, 2) && is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2) {
        Some((trace, u8::from_str_radix(flags, 16).ok()? & 1))
    } else {
        None
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Trace {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers, rand::random(), rand::random()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRESH: &str = "00-000000000000000000000000000000aa-00000000000000bb-01";

    fn traceparent(headers: &[&str]) -> String {
        let headers = headers.iter().map(|value| ("traceparent".parse().unwrap(), value.parse().unwrap())).collect();
        let (fresh, span) = (NonZeroU128::new(0xaa).unwrap(), NonZeroU64::new(0xbb).unwrap());
        Trace::of(&headers, fresh, span).traceparent
    }

    #[test]
    fn a_valid_trace_goes_on_with_a_span_of_ours() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (flags, ours) in [("00", "00"), ("01", "01"), ("ff", "01")] {
            let given = format!("00-{trace}-00f067aa0ba902b7-{flags}");
            assert_eq!(traceparent(&[&given]), format!("00-{trace}-00000000000000bb-{ours}"));
        }
        let later = format!("cc-{trace}-00f067aa0ba902b7-01-what-comes-later");
        assert_eq!(traceparent(&[&later]), format!("00-{trace}-00000000000000bb-01"));
    }

    #[test]
    fn anything_else_begins_a_trace() {
        assert_eq!(traceparent(&[]), FRESH);
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(traceparent(&[valid, valid]), FRESH, "two headers");
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(traceparent(&[wrong]), FRESH, "{wrong} was taken for a trace");
        }
    }

    proptest! {
        #[test]
        fn a_traceparent_is_valid_or_begins_a_trace(
            version in "[0-9a-f]{2}|.{0,3}",
            trace in "[0-9a-f]{32}|0{32}|.{0,33}",
            span in "[0-9a-f]{16}",
            flags in "[0-9a-fA-F]{1,3}",
            more in "(-.{0,5})?"
        ) {
            let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            let is_valid = version.len() == 2 && hex(&version) && version != "ff"
                && (version != "00" || more.is_empty())
                && trace.len() == 32 && hex(&trace) && trace != "0".repeat(32) && span != "0".repeat(16)
                && flags.len() == 2 && hex(&flags);
            let text = format!("{version}-{trace}-{span}-{flags}{more}");
            match read(&text) {
                Some((read, sampled)) => prop_assert!(is_valid && read == trace && sampled <= 1, "{text}"),
                None => prop_assert!(!is_valid, "{}", text),
            }
        }
    }
}
