//! data-service as the portal uses it: it makes the signing secrets, and seals what holds one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::Token;
use domain::signature::{NotASecret, Secret};
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

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

/// An answer as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SealedAnswer {
    key_id: String,
    ciphertext: String,
}

impl SealedAnswer {
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
    pub(crate) async fn seal_answer(&self, answer: &str) -> Result<SealedAnswer, Error> {
        self.ask("internal/sealed-answers", &Answer { answer: answer.to_owned() }).await
    }

    /// Opens a sealed answer.
    pub(crate) async fn open_answer(&self, sealed: &SealedAnswer) -> Result<String, Error> {
        let opened: Answer = self.ask("internal/sealed-answers/open", sealed).await?;
        Ok(opened.answer)
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
