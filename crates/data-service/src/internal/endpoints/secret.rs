//! `GET /internal/endpoints/{endpoint_id}/secret`: what the merchant verifies with, and which older secrets still sign.
//!
//! Invariant: the private half of a key pair is never answered. Nobody but the signer needs it; whoever wants it
//! elsewhere, too, makes it elsewhere and imports it.

pub mod rotate;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chassis::error_chain::Chain;
use chassis::params::PathParam;
use chassis::{Problem, idempotency};
use domain::ids::{EndpointId, SecretId};
use domain::signature::{Shown, Version};
use domain::time::Timestamp;
use serde::Serialize;
use store::secrets::{Secret, live_secrets};

use crate::app::App;
use crate::keyring::{self, Keyring};

/// A secret as the merchant is shown it.
#[derive(Debug, Serialize)]
pub struct EndpointSecret {
    endpoint_id: EndpointId,
    secret_id: SecretId,
    signature: Version,
    #[serde(flatten)]
    key: Shown,
    created_at: Timestamp,
    /// Null while it is the current one.
    expires_at: Option<Timestamp>,
    /// The others that sign, too, until they expire.
    older: Vec<Older>,
}

#[derive(Debug, Serialize)]
struct Older {
    secret_id: SecretId,
    signature: Version,
    created_at: Timestamp,
    expires_at: Timestamp,
}

/// Why a secret is not answered. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint is not there.
    #[error("there is no endpoint {0}")]
    UnknownEndpoint(EndpointId),
    /// There is nothing to show.
    #[error("there is no endpoint {0} with a secret")]
    NoSecret(EndpointId),
    /// A secret of another kind is to be imported.
    #[error("this is a secret for {given}, and the endpoint signs with {wanted}; give signature, too, to change that")]
    OtherVersion {
        /// What it signs with.
        given: Version,
        /// What is to be signed with.
        wanted: Version,
    },
    /// The header would grow and grow.
    #[error(
        "{} secrets sign already; wait until one expires, or end all of them with expires_in 0s",
        rotate::MOST_SECRETS
    )]
    TooMany,
    /// The key was used for something else.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The key file has changed, or the row.
    #[error("the secret {0} can't be opened")]
    Opening(SecretId, #[source] keyring::Error),
    /// Nobody knows how that could be.
    #[error("a secret could not be encrypted")]
    Sealing(#[source] keyring::Error),
    /// The database refused.
    #[error("the database did not do its part")]
    Store(#[from] store::Error),
    /// The database has fallen silent.
    #[error("the database gave no answer")]
    Silent,
}

/// The current secret.
pub async fn get(
    State(app): State<App>,
    PathParam(endpoint_id): PathParam<EndpointId>,
) -> Result<Json<EndpointSecret>, Error> {
    let mut connection = app.core.rare.acquire().await.map_err(store::Error::doing("taking a connection"))?;
    let live = live_secrets(&mut connection, endpoint_id).await?;
    let current = live.iter().find(|secret| secret.expires_at.is_none()).ok_or(Error::NoSecret(endpoint_id))?;
    Ok(Json(EndpointSecret::of(&app.core.keyring, endpoint_id, current, &live)?))
}

impl EndpointSecret {
    fn of(keyring: &Keyring, endpoint_id: EndpointId, secret: &Secret, live: &[Secret]) -> Result<Self, Error> {
        let opened = open(keyring, secret)?;
        let older = live.iter().filter(|other| other.secret_id != secret.secret_id).filter_map(|other| {
            Some(Older {
                secret_id: other.secret_id,
                signature: other.signature,
                created_at: other.created_at.into(),
                expires_at: other.expires_at?.into(),
            })
        });
        Ok(Self {
            endpoint_id,
            secret_id: secret.secret_id,
            signature: secret.signature,
            key: opened.key().shown(),
            created_at: secret.created_at.into(),
            expires_at: secret.expires_at.map(Timestamp::from),
            older: older.collect(),
        })
    }
}

fn open(keyring: &Keyring, secret: &Secret) -> Result<domain::signature::Secret, Error> {
    let opened = keyring.open(secret.signature, &secret.key_id, &secret.ciphertext);
    opened.map_err(|error| Error::Opening(secret.secret_id, error))
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match &self {
            Self::UnknownEndpoint(_) | Self::NoSecret(_) => Problem::not_found(self.to_string()),
            Self::OtherVersion { .. } => Problem::field("secret", self.to_string()),
            Self::TooMany => Problem::new(StatusCode::CONFLICT, "too_many_secrets", self.to_string()),
            Self::KeyReused => idempotency::reuse(),
            Self::Opening(..) | Self::Sealing(_) | Self::Store(_) | Self::Silent => {
                tracing::error!("a request was answered with 503: {}", Chain(&self));
                Problem::unavailable()
            }
        }
        .into_response()
    }
}
