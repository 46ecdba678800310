//! One POST to a merchant, and what became of it. A refused POST is an ordinary value.

use std::error::Error as _;
use std::time::{Duration, Instant};

use chassis::client::{self, Limits};
use chassis::error_chain::Chain;
use domain::outcome::{Failure, Outcome, judge};
use domain::protocol::{Attempt, Recorded};
use domain::time::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Of an answer's body at most so much is read, so that the connection can be used again.
const MOST_BODY_BYTES: usize = 16 * 1024;
/// And for at most so long.
const MOST_BODY_TIME: Duration = Duration::from_secs(2);

/// The door to the merchants.
#[derive(Debug, Clone)]
pub struct Door(reqwest::Client);

impl Door {
    /// A door that follows no redirect; a connection must stand within 5 s.
    pub fn new() -> Result<Self, reqwest::Error> {
        client::build(Limits { connect: Duration::from_secs(5), whole: Duration::from_secs(60) }).map(Self)
    }

    /// Makes the attempt and judges the answer.
    pub async fn post(&self, attempt: &Attempt) -> Recorded {
        let began = Instant::now();
        let began_at = Timestamp::from(time::OffsetDateTime::now_utc());
        let (outcome, status, detail) = self.try_post(attempt).await;
        Recorded {
            delivery_id: attempt.delivery_id,
            claim: attempt.claim,
            attempt: attempt.attempt,
            attempt_id: attempt.attempt_id,
            in_line: attempt.in_line,
            began_at,
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            status,
            detail,
            outcome,
        }
    }

    async fn try_post(&self, attempt: &Attempt) -> (Outcome, Option<u16>, Option<String>) {
        let failed = |reason, detail| (Outcome::Failed { reason, retry_after_ms: None }, None, Some(detail));
        let headers = match headers(&attempt.request.headers) {
            Ok(headers) => headers,
            Err(detail) => return failed(Failure::Request, detail),
        };
        let request = self
            .0
            .post(&attempt.request.url)
            .headers(headers)
            .timeout(Duration::from_millis(attempt.timeout_ms))
            .body(attempt.request.body.clone());
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
                let now = Timestamp::from(time::OffsetDateTime::now_utc());
                let outcome = judge(status, header("webhook-delivery"), header("retry-after"), now);
                drain(response).await;
                (outcome, Some(status), None)
            }
            Err(error) => failed(reason(&error), words(error)),
        }
    }
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, String> {
    pairs
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::try_from(name).map_err(|_| format!("{name:?} is no header name"))?;
            let value =
                HeaderValue::try_from(value).map_err(|_| format!("the value of header {name} can't be sent"))?;
            Ok((name, value))
        })
        .collect()
}

/// The status has decided already: what is left of the answer is read only to keep the connection.
async fn drain(mut response: reqwest::Response) {
    let reading = async {
        let mut bytes = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            bytes += chunk.len();
            if bytes > MOST_BODY_BYTES {
                return;
            }
        }
    };
    // An answer that drips longer loses its connection, nothing else.
    let _ = tokio::time::timeout(MOST_BODY_TIME, reading).await;
}

fn reason(error: &reqwest::Error) -> Failure {
    if error.is_builder() {
        Failure::Request
    } else if error.is_connect() {
        Failure::Connect
    } else if error.is_timeout() {
        Failure::Timeout
    } else {
        Failure::Broken
    }
}

/// The error without the URL, whose query may hold a secret of the merchant.
fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    match error.source() {
        Some(cause) => Chain(cause).to_string(),
        None => error.to_string(),
    }
}
