//! data-service as the portal uses it: it makes, keeps and shows the signing secrets.

use std::fmt;

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::Token;
use domain::ids::EndpointId;
use domain::signature::{Shown, Version};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use url::Url;

/// The door to data-service.
#[derive(Debug, Clone)]
pub struct DataService {
    client: reqwest::Client,
    base: Url,
    token: Token,
}

/// A secret as the merchant is shown it, once, and as it is to be stored.
#[derive(Debug)]
pub(crate) struct NewSecret {
    pub(crate) key: Shown,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) key_id: String,
}

/// An answer that is the caller's: what they asked for, or what is wrong with it.
pub(crate) struct Passed {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// data-service did not do its part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("can't make a URL of data-service")]
    Url(#[source] url::ParseError),
    #[error("can't reach data-service")]
    Reach(#[source] reqwest::Error),
    #[error("data-service answered {0}")]
    Status(StatusCode),
    #[error("can't read data-service's answer")]
    Read(#[source] reqwest::Error),
    #[error("data-service made a secret for {made} instead of {wanted}")]
    OtherVersion { made: Version, wanted: Version },
    #[error("data-service's ciphertext is not base64")]
    Ciphertext(#[source] base64::DecodeError),
}

#[derive(Deserialize)]
struct Made {
    #[serde(flatten)]
    key: Shown,
    ciphertext: String,
    key_id: String,
}

impl DataService {
    /// The door at this URL; a path in it is kept.
    ///
    /// # Errors
    /// If the URL can't have a path.
    pub fn new(client: reqwest::Client, url: &Url, token: Token) -> Result<Self, url::ParseError> {
        Ok(Self { client, base: Url::parse(&format!("{}/", url.as_str().trim_end_matches('/')))?, token })
    }

    /// Asks for a new secret.
    pub(crate) async fn make_secret(&self, signature: Version) -> Result<NewSecret, Error> {
        let path = format!("internal/secrets?signature={signature}");
        let response = self.ask(Method::POST, &path, |request| request).await?;
        if !response.status().is_success() {
            return Err(Error::Status(response.status()));
        }
        let made: Made = response.json().await.map_err(Error::Read)?;
        // One that is older than v1a makes what it knows.
        if made.key.version() != signature {
            return Err(Error::OtherVersion { made: made.key.version(), wanted: signature });
        }
        Ok(NewSecret {
            key: made.key,
            ciphertext: STANDARD.decode(made.ciphertext).map_err(Error::Ciphertext)?,
            key_id: made.key_id,
        })
    }

    /// Has an endpoint sign like this from now on; if it does already, nothing is changed.
    pub(crate) async fn sign_with(&self, endpoint_id: EndpointId, signature: Version) -> Result<Passed, Error> {
        let path = format!("internal/endpoints/{endpoint_id}/secret/rotate");
        let body = json!({"signature": signature, "unless_current": true});
        passed(self.ask(Method::POST, &path, |request| request.json(&body)).await?).await
    }

    /// Passes a request on. What data-service says to its caller is the answer; what is between us and it is an error.
    pub(crate) async fn pass(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Passed, Error> {
        passed(self.ask(method, path, |request| request.headers(headers).body(body)).await?).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, Error> {
        let url = self.base.join(path).map_err(Error::Url)?;
        let request = with(self.client.request(method, url)).bearer_auth(self.token.expose());
        request.send().await.map_err(Error::Reach)
    }
}

async fn passed(response: reqwest::Response) -> Result<Passed, Error> {
    let status = response.status();
    let is_caller_s = status.is_client_error() && status != StatusCode::UNAUTHORIZED;
    if !status.is_success() && !is_caller_s {
        return Err(Error::Status(status));
    }
    let headers = response.headers().clone();
    Ok(Passed { status, headers, body: response.bytes().await.map_err(Error::Read)? })
}

/// Its body holds a secret.
impl fmt::Debug for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passed({})", self.status)
    }
}
