//! One POST to a merchant, and what became of it. A refused POST is an ordinary value.

use std::time::Duration;

use chassis::egress::{self, Exchange, Limits, Policy, Refused, SystemLookup};
use chassis::error_chain::Chain;
use domain::outcome::{Failure, Outcome, judge};
use domain::protocol::{Attempt, Recorded};
use domain::time::Timestamp;

/// The door to the merchants.
#[derive(Debug, Clone)]
pub struct Door(egress::Door);

impl Door {
    /// A door that opens to what the policy allows.
    pub fn new(policy: Policy) -> Result<Self, egress::SetUp> {
        egress::Door::new(policy, Limits::default(), SystemLookup).map(Self)
    }

    /// Makes the attempt and judges the answer.
    pub async fn post(&self, attempt: &Attempt) -> Recorded {
        let began_at = Timestamp::from(time::OffsetDateTime::now_utc());
        let request = &attempt.request;
        let limit = Duration::from_millis(attempt.timeout_ms);
        let exchange = self.0.post(&request.url, &request.headers, request.body.clone(), limit).await;
        let (outcome, status, detail) = judged(&exchange);
        Recorded {
            delivery_id: attempt.delivery_id,
            claim: attempt.claim,
            attempt: attempt.attempt,
            attempt_id: attempt.attempt_id,
            in_line: attempt.in_line,
            began_at,
            duration_ms: u64::try_from(exchange.whole.as_millis()).unwrap_or(u64::MAX),
            status,
            detail,
            outcome,
        }
    }
}

fn judged(exchange: &Exchange) -> (Outcome, Option<u16>, Option<String>) {
    match &exchange.answer {
        Ok(answer) => {
            let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
            let now = Timestamp::from(time::OffsetDateTime::now_utc());
            (judge(answer.status, header("webhook-delivery"), header("retry-after"), now), Some(answer.status), None)
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
        egress::Error::Refused(Refused::Scheme { .. } | Refused::Http | Refused::UserInfo | Refused::NoHost) => {
            Failure::RefusedUrl
        }
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
    use chassis::egress::EgressFlags;
    use domain::ids::{AttemptId, DeliveryId};
    use domain::webhook::Request;
    use uuid::Uuid;

    use super::*;

    fn attempt(url: &str, header: &str) -> Attempt {
        Attempt {
            delivery_id: DeliveryId::from_uuid(Uuid::now_v7()),
            claim: 1,
            attempt: 1,
            attempt_id: AttemptId::from_uuid(Uuid::now_v7()),
            timeout_ms: 1_000,
            request: Request {
                url: url.to_owned(),
                headers: vec![(header.to_owned(), "value".to_owned())],
                body: "{}".to_owned(),
            },
        }
    }

    #[tokio::test]
    async fn a_post_that_is_refused_or_fails_is_a_result_with_its_reason() {
        let allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
        let strict = Door::new(Policy::default()).unwrap();
        let open = Door::new(EgressFlags { allow_networks, allow_http: true }.policy()).unwrap();
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
}
