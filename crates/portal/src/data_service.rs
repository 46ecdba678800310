//! data-service as the portal uses it: it makes the signing secrets, and seals what holds one.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::Token;
use domain::ids::EndpointId;
use domain::signature::{NotASecret, Secret};
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
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

/// A secret in clear, to be shown once, and as it is to be stored.
#[derive(Debug)]
pub(crate) struct NewSecret {
    pub(crate) secret: Secret,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) key_id: String,
}

/// data-service did not do its part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("can't reach data-service")]
    Reach(#[source] reqwest::Error),
    #[error("data-service answered {0}")]
    Status(StatusCode),
    #[error("can't read data-service's answer")]
    Read(#[source] reqwest::Error),
    #[error("data-service's secret is none")]
    Secret(#[source] NotASecret),
    #[error("data-service can't be asked for {0}")]
    Path(&'static str, #[source] url::ParseError),
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
    secret: String,
    ciphertext: String,
    key_id: String,
}

impl DataService {
    /// The door at this URL; a path in it is kept.
    ///
    /// # Errors
    /// If the URL can't have a path.
    pub fn new(client: reqwest::Client, url: &Url, token: Token) -> Result<Self, url::ParseError> {
        let base = format!("{}/", url.as_str().trim_end_matches('/'));
        Ok(Self { client, base: Url::parse(&base)?, token })
    }

    /// Asks for a new secret.
    pub(crate) async fn make_secret(&self) -> Result<NewSecret, Error> {
        let made: Made = self.ask("internal/secrets", &()).await?;
        Ok(NewSecret {
            secret: made.secret.parse().map_err(Error::Secret)?,
            ciphertext: STANDARD.decode(made.ciphertext).map_err(Error::Ciphertext)?,
            key_id: made.key_id,
        })
    }

    /// Seals an answer that holds a secret.
    pub(crate) async fn seal_answer(&self, answer: &str) -> Result<Sealed, Error> {
        self.ask("internal/sealed-answers", &Answer { answer: answer.to_owned() }).await
    }

    /// Opens a sealed answer.
    pub(crate) async fn open_answer(&self, sealed: &Sealed) -> Result<String, Error> {
        let opened: Answer = self.ask("internal/sealed-answers/open", sealed).await?;
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
        let changed: ChangedHeaders = self.ask("internal/sealed-headers", &body).await?;
        let stored = |sealed: Sealed| {
            let ciphertext = STANDARD.decode(sealed.ciphertext).map_err(Error::Ciphertext)?;
            Ok(SealedHeaders { key_id: sealed.key_id, ciphertext })
        };
        changed.sealed.map(stored).transpose()
    }

    async fn ask<T: DeserializeOwned>(&self, path: &'static str, body: &impl Serialize) -> Result<T, Error> {
        let url = self.base.join(path).map_err(|source| Error::Path(path, source))?;
        let request = self.client.post(url).bearer_auth(self.token.expose()).json(body);
        let response = request.send().await.map_err(Error::Reach)?;
        if !response.status().is_success() {
            return Err(Error::Status(response.status()));
        }
        response.json().await.map_err(Error::Read)
    }
}
