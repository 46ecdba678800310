//! One POST to a merchant, and what became of it. A refused POST is an ordinary value.

use std::time::Duration;

use chassis::egress::{self, Exchange, HeaderMap, Limits, Policy, Refused, SystemLookup};
use chassis::error_chain::Chain;
use domain::outcome::{Failure, Outcome, judge};
use domain::protocol::{self, Attempt, Recorded};
use domain::time::Timestamp;

/// Of an answer's headers so much is kept.
const MOST_HEADER_BYTES: usize = 8 * 1024;

/// The door to the merchants.
#[derive(Debug, Clone)]
pub struct Door(egress::Door);

impl Door {
    /// A door that opens to what the policy allows.
    pub fn new(policy: Policy) -> Result<Self, egress::SetUp> {
        egress::Door::new(policy, Limits::default(), SystemLookup::default()).map(Self)
    }

    /// Makes the attempt and judges the answer.
    pub async fn post(&self, attempt: &Attempt) -> Recorded {
        let began_at = Timestamp::from(time::OffsetDateTime::now_utc());
        let request = &attempt.request;
        let limit = Duration::from_millis(attempt.timeout_ms);
        let exchange = self.0.post(&request.url, &request.headers, request.body.clone(), limit).await;
        let (outcome, status, detail) = judged(&exchange);
        let duration_ms = u64::try_from(exchange.whole.as_millis()).unwrap_or(u64::MAX);
        Recorded {
            delivery_id: attempt.delivery_id,
            claim: attempt.claim,
            attempt: attempt.attempt,
            attempt_id: attempt.attempt_id,
            in_line: attempt.in_line,
            // The caller knows.
            in_flight: 0,
            began_at,
            duration_ms,
            status,
            detail,
            exchange: seen(exchange),
            outcome,
        }
    }
}

/// What is kept of the way and of the answer; nothing of the request, which holds secrets.
fn seen(exchange: Exchange) -> protocol::Exchange {
    let ms = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    let (headers, body) = match exchange.answer {
        Ok(answer) => (Some(lines(&answer.headers)), answer.body),
        Err(_) => (None, Vec::new()),
    };
    protocol::Exchange {
        address: exchange.address,
        connect_ms: exchange.connect.map(ms),
        first_byte_ms: exchange.first_byte.map(ms),
        response_headers: headers,
        response_body: body,
    }
}

fn lines(headers: &HeaderMap) -> String {
    let mut lines = String::new();
    for (name, value) in headers {
        lines.extend([name.as_str(), ": ", &String::from_utf8_lossy(value.as_bytes()), "\n"]);
        if lines.len() > MOST_HEADER_BYTES {
            lines.truncate(lines.floor_char_boundary(MOST_HEADER_BYTES));
            break;
        }
    }
    lines
}

fn judged(exchange: &Exchange) -> (Outcome, Option<u16>, Option<String>) {
    match &exchange.answer {
        Ok(answer) => {
            let now = Timestamp::from(time::OffsetDateTime::now_utc());
            let outcome = judge(answer.status, answer.header("webhook-delivery"), answer.header("retry-after"), now);
            (outcome, Some(answer.status), None)
        }
        Err(error) => {
            let outcome = Outcome::Failed { reason: reason(error), retry_after_ms: None };
            (outcome, None, Some(Chain(&**error).to_string()))
        }
    }
}

fn reason(error: &egress::Error) -> Failure {
    match error {
        egress::Error::Request(_) => Failure::Request,
        egress::Error::Refused(Refused::Address { .. }) => Failure::RefusedAddress,
        egress::Error::Refused(
            Refused::Scheme { .. } | Refused::Http | Refused::UserInfo | Refused::NoHost | Refused::HostName { .. },
        ) => Failure::RefusedUrl,
        egress::Error::Lookup { .. } => Failure::Dns,
        egress::Error::ConnectRefused { .. } => Failure::ConnectRefused,
        egress::Error::ConnectTimeout { .. } => Failure::ConnectTimeout,
        egress::Error::Connect { .. } => Failure::Connect,
        egress::Error::Certificate { .. } => Failure::Certificate,
        egress::Error::Tls { .. } => Failure::Tls,
        egress::Error::Timeout { .. } => Failure::Timeout,
        egress::Error::Protocol(_) => Failure::Protocol,
        egress::Error::Broken(_) => Failure::Broken,
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::post;
    use chassis::egress::EgressFlags;
    use chassis::{Lifecycle, server};
    use domain::ids::{AttemptId, DeliveryId};
    use domain::webhook::Request;
    use uuid::Uuid;

    use super::*;
    use proptest::prelude::*;

    fn attempt(url: &str, header: &str) -> Attempt {
        Attempt {
            delivery_id: DeliveryId::from_uuid(Uuid::now_v7()),
            claim: 1,
            attempt: 1,
            attempt_id: AttemptId::from_uuid(Uuid::now_v7()),
            endpoint_id: None,
            slot: None,
            in_line: false,
            committed_at: None,
            timeout_ms: 1_000,
            request: Request {
                url: url.to_owned(),
                headers: vec![(header.to_owned(), "value".to_owned())],
                body: "{}".to_owned(),
            },
        }
    }

    /// Opens to this machine.
    fn open() -> Door {
        let allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
        Door::new(EgressFlags { allow_networks, allow_http: true }.policy()).unwrap()
    }

    #[tokio::test]
    async fn a_post_that_is_refused_or_fails_is_a_result_with_its_reason() {
        let strict = Door::new(Policy::default()).unwrap();
        let open = open();
        let refused = "a URL for webhooks begins with https://: without TLS anybody on the way can read them";
        for (door, url, header, reason, words) in [
            (&strict, "http://example.com/", "x", "refused_url", refused),
            (
                &strict,
                "https://127.0.0.1/",
                "x",
                "refused_address",
                "127.0.0.1 is a loopback address: nothing is sent there",
            ),
            (&open, "http://10.0.0.1/", "x", "refused_address", "10.0.0.1 is a private address: nothing is sent there"),
            (&open, "http://no-such-name.invalid/", "x", "dns", "no-such-name.invalid has no address"),
            (&open, "http://127.0.0.1:1/", "x", "connect_refused", "127.0.0.1 refuses the connection"),
            (&open, "http://127.0.0.1:1/", "x y", "request", "\"x y\" is no header name"),
        ] {
            let recorded = door.post(&attempt(url, header)).await;
            let detail = recorded.detail.unwrap();
            assert_eq!((recorded.outcome.as_str(), recorded.status), (reason, None), "{url}: {detail}");
            assert!(detail.starts_with(words), "{url}: {detail}");
        }
    }

    #[tokio::test]
    async fn of_an_answer_headers_and_body_are_kept_and_nothing_of_the_request() {
        let lifecycle = Lifecycle::default();
        let answer = || async { ([("x-trace", "7")], "no such order") };
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}/?key=hidden", listener.local_addr().unwrap());
        server::serve(&lifecycle, listener, Router::new().route("/", post(answer)));
        let recorded = open().post(&attempt(&url, "x-key")).await;
        lifecycle.stop();
        assert_eq!((recorded.outcome.as_str(), recorded.status), ("delivered", Some(200)));
        let seen = recorded.exchange;
        assert_eq!(seen.address, Some("127.0.0.1".parse().unwrap()));
        assert!(seen.connect_ms.is_some() && seen.first_byte_ms.is_some(), "{seen:?}");
        assert_eq!(seen.response_body, b"no such order");
        let headers = seen.response_headers.unwrap();
        assert!(headers.lines().any(|line| line == "x-trace: 7"), "{headers}");
        assert!(!headers.contains("hidden") && !headers.contains("x-key"), "{headers}");
    }

    #[test]
    fn of_the_headers_the_first_8_kib_are_kept_whatever_is_in_them() {
        let mut headers = HeaderMap::new();
        for _ in 0..10 {
            headers.append("x", [b'\xc3', 0xa4].repeat(1_000).try_into().unwrap());
        }
        let kept = lines(&headers);
        assert!((8 * 1024 - 3..=8 * 1024).contains(&kept.len()), "{}", kept.len());
    }

    proptest! {
        #[test]
        fn of_any_headers_whole_lines_are_kept_up_to_the_bound(
            given in prop::collection::vec(("[a-z-]{1,20}", prop::collection::vec(0x20..=0xff_u8, 0..600)), 0..40)
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in &given {
                // 127 is no text of a header.
                if let Ok(value) = value.as_slice().try_into() {
                    headers.append(axum::http::HeaderName::try_from(name.as_str()).unwrap(), value);
                }
            }
            let kept = lines(&headers);
            prop_assert!(kept.len() <= MOST_HEADER_BYTES);
            let whole = kept.matches('\n').count();
            prop_assert!(whole == headers.len() || kept.len() > MOST_HEADER_BYTES - 4, "{} of {}", whole, headers.len());
        }
    }
}
