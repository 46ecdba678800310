//! Sends a POST through the policy, and tells what was seen on the way.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::Url;

use super::connection::Facts;
use super::connector::Connector;
use super::error::Error;
use super::{Lookup, Policy, SetUp};

/// The most that is taken from a receiver.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For look-up, connection and TLS together.
    pub connect: Duration,
    /// Of an answer's body at most so much is read, so that the connection can be used again.
    pub body_bytes: usize,
    /// And for at most so long.
    pub body_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), body_bytes: 16 * 1024, body_time: Duration::from_secs(2) }
    }
}

/// A client for POSTs to receivers. It follows no redirect. Connections are kept and used again.
#[derive(Clone)]
pub struct Door {
    client: Client<Connector, Full<Bytes>>,
    policy: Policy,
    limits: Limits,
}

/// An answer. That it is an answer says nothing of its status.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The beginning of the body, up to the limits.
    pub body: Vec<u8>,
}

/// One POST as it was seen from here.
#[derive(Debug)]
pub struct Exchange {
    /// The answer, or why there is none.
    pub answer: Result<Answer, Arc<Error>>,
    /// Whom the connection was with, or was to be with.
    pub address: Option<IpAddr>,
    /// How long look-up, connection and TLS took; none where a connection was used again.
    pub connect: Option<Duration>,
    /// From the beginning to the head of the answer.
    pub first_byte: Option<Duration>,
    /// From the beginning to the end of what was read.
    pub whole: Duration,
}

impl Door {
    /// A door with this policy. It verifies certificates by the system's trust store.
    ///
    /// # Errors
    /// If the TLS set-up of the machine can't be read.
    #[expect(clippy::disallowed_methods, reason = "this is the door that the others are sent to")]
    pub fn new(policy: Policy, limits: Limits, lookup: impl Lookup) -> Result<Self, SetUp> {
        let connector = Connector::new(policy.clone(), Arc::new(lookup), limits.connect)?;
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(90))
            .pool_max_idle_per_host(256)
            // More than any receiver's headers need.
            .http1_max_buf_size(64 * 1024)
            .build(connector);
        Ok(Self { client, policy, limits })
    }

    /// Sends the body to the URL; `limit` is for the time until the answer begins.
    pub async fn post(&self, url: &str, headers: &[(String, String)], body: String, limit: Duration) -> Exchange {
        let began = Instant::now();
        let mut request = match self.request(url, headers, body) {
            Ok(request) => request,
            Err(error) => return Exchange::without_answer(Arc::new(error), None, began),
        };
        let captured = capture_connection(&mut request);
        let response = match tokio::time::timeout(limit, self.client.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let facts = facts(&captured);
                let error = Error::exchange(error, facts.as_ref().map(|facts| facts.address));
                return Exchange::without_answer(error, facts, began);
            }
            Err(_) => {
                return Exchange::without_answer(Arc::new(Error::Timeout { limit }), facts(&captured), began);
            }
        };
        let first_byte = began.elapsed();
        let (head, body) = response.into_parts();
        let facts = head.extensions.get::<Facts>();
        let answer =
            Answer { status: head.status.as_u16(), headers: head.headers, body: self.beginning_of(body).await };
        Exchange {
            answer: Ok(answer),
            address: facts.map(|facts| facts.address),
            connect: facts.and_then(Facts::took_for_me),
            first_byte: Some(first_byte),
            whole: began.elapsed(),
        }
    }

    fn request(&self, url: &str, headers: &[(String, String)], body: String) -> Result<Request<Full<Bytes>>, Error> {
        let uri = self.policy.target(url)?;
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = self::headers(headers)?;
        Ok(request)
    }

    /// The status has decided already, so an answer that drips or never ends loses its connection and nothing else.
    async fn beginning_of(&self, mut body: Incoming) -> Vec<u8> {
        let mut read = Vec::new();
        let reading = async {
            while let Some(Ok(frame)) = body.frame().await {
                let Ok(data) = frame.into_data() else { continue };
                let room = self.limits.body_bytes - read.len();
                read.extend_from_slice(&data[..data.len().min(room)]);
                if data.len() > room {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(self.limits.body_time, reading).await;
        read
    }
}

impl Policy {
    /// What a POST to this URL asks for, if that is allowed as far as it can be known without a look-up.
    ///
    /// # Errors
    /// If the text is no URL, the policy refuses it, or it can't be sent.
    pub fn target(&self, url: &str) -> Result<Uri, Error> {
        let url = Url::parse(url).map_err(|error| Error::Request(format!("the URL can't be read: {error}")))?;
        self.check_url(&url)?;
        // The part after # is for nobody but a browser.
        let (target, _) = url.as_str().split_once('#').unwrap_or((url.as_str(), ""));
        Uri::try_from(target).map_err(|error| Error::Request(format!("the URL can't be sent: {error}")))
    }
}

impl Answer {
    /// The text of a header; none if it is missing, or not text. Of several the first.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("policy", &self.policy).field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Exchange {
    fn without_answer(error: Arc<Error>, facts: Option<Facts>, began: Instant) -> Self {
        Self {
            address: facts.as_ref().map(|facts| facts.address).or(error.address()),
            connect: facts.as_ref().and_then(Facts::took_for_me),
            first_byte: None,
            whole: began.elapsed(),
            answer: Err(error),
        }
    }
}

/// Of the connection that the request went out on, if it got one.
fn facts(captured: &CaptureConnection) -> Option<Facts> {
    let mut known = hyper::http::Extensions::new();
    captured.connection_metadata().as_ref()?.get_extras(&mut known);
    known.remove()
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, Error> {
    pairs
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::try_from(name).map_err(|_| Error::Request(format!("{name:?} is no header name")))?;
            let value = HeaderValue::try_from(value)
                .map_err(|_| Error::Request(format!("the value of header {name} can't be sent")))?;
            Ok((name, value))
        })
        .collect()
}
