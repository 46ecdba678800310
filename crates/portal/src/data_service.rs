//! data-service as the portal uses it: it makes, keeps and shows the signing secrets, and seals what holds one.

use std::collections::BTreeMap;
use std::fmt;

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::Token;
use domain::ids::EndpointId;
use domain::signature::{Shown, Version};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::endpoints::SealedHeaders;
use url::Url;

use crate::endpoints::headers::HeaderChange;

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

/// Something that data-service has sealed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sealed {
    key_id: String,
    ciphertext: String,
}

impl Sealed {
    /// As one text.
    pub(crate) fn to_text(&self) -> String {
        format!("{} {}", self.key_id, self.ciphertext)
    }

    /// Of one text. One that was never sealed opens as nothing.
    pub(crate) fn from_text(text: &str) -> Self {
        let (key_id, ciphertext) = text.split_once(' ').unwrap_or_default();
        Self { key_id: key_id.to_owned(), ciphertext: ciphertext.to_owned() }
    }
}

#[derive(Serialize, Deserialize)]
struct Answer {
    answer: String,
}

#[derive(Serialize)]
struct ChangeOfHeaders<'a> {
    endpoint_id: EndpointId,
    before: Option<Sealed>,
    change: &'a BTreeMap<String, Option<String>>,
}

#[derive(Deserialize)]
struct ChangedHeaders {
    sealed: Option<Sealed>,
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
        let made: Made = read(self.ask(Method::POST, &path, |request| request).await?).await?;
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

    /// Seals an answer that holds a secret.
    pub(crate) async fn seal_answer(&self, answer: &str) -> Result<Sealed, Error> {
        self.post("internal/sealed-answers", &Answer { answer: answer.to_owned() }).await
    }

    /// Opens a sealed answer.
    pub(crate) async fn open_answer(&self, sealed: &Sealed) -> Result<String, Error> {
        let opened: Answer = self.post("internal/sealed-answers/open", sealed).await?;
        Ok(opened.answer)
    }

    /// Changes an endpoint's own headers, and seals them; none if there is none left.
    pub(crate) async fn seal_headers(
        &self,
        endpoint_id: EndpointId,
        before: Option<&SealedHeaders>,
        change: &HeaderChange,
    ) -> Result<Option<SealedHeaders>, Error> {
        let before = before
            .map(|before| Sealed { key_id: before.key_id.clone(), ciphertext: STANDARD.encode(&before.ciphertext) });
        let body = ChangeOfHeaders { endpoint_id, before, change: change.as_map() };
        let changed: ChangedHeaders = self.post("internal/sealed-headers", &body).await?;
        let stored = |sealed: Sealed| {
            let ciphertext = STANDARD.decode(sealed.ciphertext).map_err(Error::Ciphertext)?;
            Ok(SealedHeaders { key_id: sealed.key_id, ciphertext })
        };
        changed.sealed.map(stored).transpose()
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

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        read(self.ask(Method::POST, path, |request| request.json(body)).await?).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<reqwest::Response, Error> {
        let url = self.base.join(path).map_err(Error::Url)?;
        let request = with(self.client.request(method, url)).bearer_auth(self.token.expose());
        request.send().await.map_err(Error::Reach)
    }
}

async fn read<T: DeserializeOwned>(response: reqwest::Response) -> Result<T, Error> {
    if !response.status().is_success() {
        return Err(Error::Status(response.status()));
    }
    response.json().await.map_err(Error::Read)
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
