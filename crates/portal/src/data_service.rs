//! data-service as the portal uses it: it makes the signing secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::Token;
use domain::signature::{NotASecret, Secret};
use reqwest::StatusCode;
use serde::Deserialize;
use url::Url;

/// The door to data-service.
#[derive(Debug, Clone)]
pub struct DataService {
    client: reqwest::Client,
    secrets: Url,
    token: Token,
}

/// A secret in clear, to be shown once, and as it is to be stored.
#[derive(Debug)]
pub(crate) struct NewSecret {
    pub(crate) secret: Secret,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) key_id: String,
}

/// data-service made no secret.
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
    #[error("data-service's ciphertext is not base64")]
    Ciphertext(#[source] base64::DecodeError),
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
        Ok(Self { client, secrets: Url::parse(&base)?.join("internal/secrets")?, token })
    }

    /// Asks for a new secret.
    pub(crate) async fn make_secret(&self) -> Result<NewSecret, Error> {
        let request = self.client.post(self.secrets.clone()).bearer_auth(self.token.expose());
        let response = request.send().await.map_err(Error::Reach)?;
        if !response.status().is_success() {
            return Err(Error::Status(response.status()));
        }
        let made: Made = response.json().await.map_err(Error::Read)?;
        Ok(NewSecret {
            secret: made.secret.parse().map_err(Error::Secret)?,
            ciphertext: STANDARD.decode(made.ciphertext).map_err(Error::Ciphertext)?,
            key_id: made.key_id,
        })
    }
}
