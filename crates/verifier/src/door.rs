//! One HTTP door of the system, asked patiently: an unanswered request is repeated until a deadline.

use std::time::Duration;

use anyhow::Context as _;
use chassis::backoff::Backoff;
use chassis::client::{self, Limits};
use chassis::error_chain::Chain;
use chassis::{Problem, Token};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, Request, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use url::Url;

/// A service's URL, and what opens it.
#[derive(Debug, Clone)]
pub struct Door {
    name: &'static str,
    base: String,
    client: reqwest::Client,
    token: Option<Token>,
}

/// One request.
#[derive(Debug)]
pub struct Call<'a> {
    method: Method,
    path: &'a str,
    key: Option<&'a str>,
    body: Option<Vec<u8>>,
}

/// An answer that settles the matter: neither 429 nor 5xx.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// How often it was asked, the answered time included.
    pub tries: u32,
}

/// Nobody knows whether the request was done.
#[derive(Debug, thiserror::Error)]
#[error("{door} gave no answer to {method} {path} within {within:?} (tries: {tries}); the last was: {last}")]
pub struct GaveUp {
    door: &'static str,
    method: Method,
    path: String,
    within: Duration,
    tries: u32,
    last: String,
}

/// An answer that is not the hoped for one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status} {code}: {detail}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The problem's stable code, or `no_problem_json`.
    pub code: String,
    /// The problem's sentence, or the beginning of the body.
    pub detail: String,
}

struct Unanswered {
    /// Whether the request may have been done.
    sent: bool,
    said: String,
    retry_after: Option<Duration>,
}

impl<'a> Call<'a> {
    /// A request without a body.
    #[must_use]
    pub fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, key: None, body: None }
    }

    /// With an `Idempotency-Key`, so that it may be repeated.
    #[must_use]
    pub fn key(self, key: &'a str) -> Self {
        Self { key: Some(key), ..self }
    }

    /// With a JSON body.
    ///
    /// # Errors
    /// If the body can't be written as JSON.
    pub fn json(self, body: &impl Serialize) -> anyhow::Result<Self> {
        let body = serde_json::to_vec(body).with_context(|| format!("writing the body for {}", self.path))?;
        Ok(Self { body: Some(body), ..self })
    }

    /// A repeated POST without a key may be done twice.
    fn is_repeatable(&self) -> bool {
        self.method != Method::POST || self.key.is_some()
    }
}

impl Door {
    /// A door; each single try is given `one_try`.
    ///
    /// # Errors
    /// If the machine's TLS set-up can't be read.
    pub fn new(name: &'static str, url: &Url, token: Option<Token>, one_try: Duration) -> anyhow::Result<Self> {
        let client =
            client::build(Limits { whole: one_try, ..Limits::default() }).context("building an HTTP client")?;
        Ok(Self { name, base: url.as_str().trim_end_matches('/').to_owned(), client, token })
    }

    /// Asks until there is an answer that settles it, at most so long.
    /// A connection that failed, a time-out, 429 and 5xx are no such answer.
    ///
    /// # Errors
    /// [`GaveUp`] if the time is over, or at once if a request may have been done and may not be repeated.
    pub async fn ask(&self, call: Call<'_>, within: Duration) -> anyhow::Result<Answer> {
        let deadline = Instant::now() + within;
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut tries = 0;
        loop {
            tries += 1;
            let unanswered = match self.ask_once(self.request(&call)?, deadline).await {
                Ok((status, body)) => return Ok(Answer { status, body, tries }),
                Err(unanswered) => unanswered,
            };
            let wait = backoff.next_wait().max(unanswered.retry_after.unwrap_or_default());
            let give_up = Instant::now() + wait >= deadline || (unanswered.sent && !call.is_repeatable());
            if give_up {
                let (method, path) = (call.method, call.path.to_owned());
                return Err(GaveUp { door: self.name, method, path, within, tries, last: unanswered.said }.into());
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// `GET` of a JSON document.
    ///
    /// # Errors
    /// If there is no answer in time, or another than 2xx.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, within: Duration) -> anyhow::Result<T> {
        let answer = self.ask(Call::new(Method::GET, path), within).await?;
        answer.json().with_context(|| format!("{}: GET {path}", self.name))
    }

    fn request(&self, call: &Call<'_>) -> anyhow::Result<Request> {
        let mut request = self.client.request(call.method.clone(), format!("{}/{}", self.base, call.path));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(key) = call.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        request.build().with_context(|| format!("{}: no request can be made for {}", self.name, call.path))
    }

    async fn ask_once(&self, request: Request, deadline: Instant) -> Result<(StatusCode, Vec<u8>), Unanswered> {
        let left = deadline.saturating_duration_since(Instant::now());
        let whole = async {
            let response = self.client.execute(request).await?;
            let (status, retry_after) = (response.status(), response.headers().get(RETRY_AFTER).cloned());
            Ok((status, retry_after, response.bytes().await?))
        };
        // The client's own limit for one try stands beside the deadline: the shorter ends it.
        let answered: Result<_, reqwest::Error> = match tokio::time::timeout(left, whole).await {
            Ok(answered) => answered,
            Err(_) => return Err(Unanswered { sent: true, said: "time-out".to_owned(), retry_after: None }),
        };
        let (status, retry_after, body) = answered.map_err(|error| Unanswered {
            sent: !error.is_connect(),
            said: Chain(&error).to_string(),
            retry_after: None,
        })?;
        let body = Vec::from(body);
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
            // 429 and 503 say that nothing was begun.
            let sent = !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            return Err(Unanswered { sent, said: Refusal::new(status, &body).to_string(), retry_after });
        }
        Ok((status, body))
    }
}

impl Answer {
    /// The document of a 2xx answer.
    ///
    /// # Errors
    /// A [`Refusal`] for any other status, or if the body is not the expected one.
    pub fn json<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        self.success()?;
        serde_json::from_slice(&self.body).with_context(|| format!("unexpected body: {}", beginning(&self.body)))
    }

    /// Nothing, for a 2xx answer.
    ///
    /// # Errors
    /// What the problem said, for any other.
    pub fn success(&self) -> Result<(), Refusal> {
        if self.status.is_success() { Ok(()) } else { Err(Refusal::new(self.status, &self.body)) }
    }
}

impl Refusal {
    fn new(status: StatusCode, body: &[u8]) -> Self {
        let status = status.as_u16();
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => Self { status, code: problem.code, detail: problem.detail },
            Err(_) => Self { status, code: "no_problem_json".to_owned(), detail: beginning(body) },
        }
    }
}

fn beginning(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(200).collect()
}
