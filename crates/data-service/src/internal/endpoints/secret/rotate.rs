//! `POST /internal/endpoints/{endpoint_id}/secret/rotate`: the new secret signs at once, the older ones for a while.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use chassis::JsonObject;
use chassis::idempotency::{IdempotencyKey, REPLAY};
use chassis::params::PathParam;
use domain::ids::{EndpointId, SecretId};
use domain::signature::{Secret, Version};
use serde::{Deserialize, Serialize};
use store::secrets::{
    NewSecret, expire_secrets, insert_current_secret, live_secrets, lock_signature_of, secret_made_under,
};
use store::transaction::{begin, commit};
use uuid::Uuid;

use super::{EndpointSecret, Error, open};
use crate::app::{App, Core};
use crate::internal::BATCH_PATIENCE;

/// So many secrets sign at most; each of them makes the header longer.
pub const MOST_SECRETS: u64 = 10;

/// What is asked for; everything may be left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// What the new one signs with; by default what the current one does.
    #[serde(default)]
    signature: Option<Version>,
    /// The new one, if it is to be imported.
    #[serde(default)]
    secret: Option<Secret>,
    /// For so long the older ones sign, too, unless they end before.
    #[serde(default)]
    expires_in: Overlap,
    /// Do nothing if the current one has this signature already.
    #[serde(default)]
    unless_current: bool,
}

/// How long older secrets sign beside a new one.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Overlap(Duration);

/// The text is no such duration. It is not repeated: somebody may have put a secret there.
#[derive(Debug, thiserror::Error)]
#[error("write a duration from 0s to 7d, like 30m or 24h")]
struct NotAnOverlap;

/// What a rotation was asked for, but for the secret. Kept beside the secret that it made.
#[derive(Serialize)]
struct Request {
    signature: Option<Version>,
    imports: bool,
    expires_in_ms: i64,
    unless_current: bool,
}

/// A secret, and whether it was answered before.
struct Answer {
    secret: EndpointSecret,
    is_replay: bool,
}

/// The new secret; or, under a key of the last 24 hours, the one that the key got first.
pub async fn post(
    State(app): State<App>,
    PathParam(endpoint_id): PathParam<EndpointId>,
    key: IdempotencyKey,
    JsonObject(asked): JsonObject<Rotate>,
) -> Result<Response, Error> {
    let key = key.into_key();
    let rotation = rotate(&app.core, endpoint_id, key.as_deref(), &asked);
    let answer = tokio::time::timeout(BATCH_PATIENCE, rotation).await.map_err(|_| Error::Silent)??;
    let mut response = Json(answer.secret).into_response();
    if answer.is_replay {
        response.headers_mut().insert(REPLAY, HeaderValue::from_static("true"));
    }
    Ok(response)
}

async fn rotate(core: &Core, endpoint_id: EndpointId, key: Option<&str>, asked: &Rotate) -> Result<Answer, Error> {
    let mut connection = core.rare.acquire().await.map_err(store::Error::doing("taking a connection"))?;
    let mut transaction = begin(&mut connection).await?;
    let signature = lock_signature_of(&mut transaction, endpoint_id).await?;
    let signature = signature.ok_or(Error::UnknownEndpoint(endpoint_id))?;
    let request = asked.request();
    if let Some(key) = key
        && let Some((first, first_request)) = secret_made_under(&mut transaction, endpoint_id, key).await?
    {
        let opened = open(&core.keyring, &first)?;
        if first_request != request || asked.secret.as_ref().is_some_and(|secret| *secret != opened) {
            return Err(Error::KeyReused);
        }
        let live = live_secrets(&mut transaction, endpoint_id).await?;
        let secret = EndpointSecret::of(&core.keyring, endpoint_id, &first, &live)?;
        return Ok(Answer { secret, is_replay: true });
    }
    let wanted = asked.signature.unwrap_or(signature);
    if !(asked.unless_current && wanted == signature) {
        let new = new_secret(asked.secret.as_ref(), wanted)?;
        let left = expire_secrets(&mut transaction, endpoint_id, asked.expires_in.millis()).await?;
        if asked.expires_in.millis() > 0 && left >= MOST_SECRETS {
            return Err(Error::TooMany);
        }
        let sealed = core.keyring.seal(&new, rand::random()).map_err(Error::Sealing)?;
        let new = NewSecret {
            secret_id: SecretId::from_uuid(Uuid::now_v7()),
            endpoint_id,
            signature: wanted,
            key_id: &sealed.key_id,
            ciphertext: &sealed.ciphertext,
            asked: key.map(|key| (key, request.as_str())),
        };
        insert_current_secret(&mut transaction, new).await?;
    }
    let live = live_secrets(&mut transaction, endpoint_id).await?;
    commit(transaction).await?;
    let current = live.iter().find(|secret| secret.expires_at.is_none()).ok_or(Error::NoSecret(endpoint_id))?;
    let secret = EndpointSecret::of(&core.keyring, endpoint_id, current, &live)?;
    Ok(Answer { secret, is_replay: false })
}

/// The secret that is to be imported, or one of random bytes.
fn new_secret(imported: Option<&Secret>, wanted: Version) -> Result<Secret, Error> {
    match imported {
        None => Ok(wanted.secret(rand::random())),
        Some(secret) if secret.version() == wanted => Ok(secret.clone()),
        Some(secret) => Err(Error::OtherVersion { given: secret.version(), wanted }),
    }
}

impl Rotate {
    #[expect(clippy::expect_used, reason = "a plain struct always has a JSON form")]
    fn request(&self) -> String {
        let request = Request {
            signature: self.signature,
            imports: self.secret.is_some(),
            expires_in_ms: self.expires_in.millis(),
            unless_current: self.unless_current,
        };
        serde_json::to_string(&request).expect("a plain struct has a JSON form")
    }
}

impl Overlap {
    const MOST: Duration = Duration::from_secs(7 * 24 * 3600);

    fn millis(self) -> i64 {
        crate::internal::millis(self.0)
    }
}

impl Default for Overlap {
    fn default() -> Self {
        Self(Duration::from_secs(24 * 3600))
    }
}

impl TryFrom<String> for Overlap {
    type Error = NotAnOverlap;

    fn try_from(text: String) -> Result<Self, NotAnOverlap> {
        match chassis::flags::duration(&text) {
            Ok(duration) if duration <= Self::MOST => Ok(Self(duration)),
            _ => Err(NotAnOverlap),
        }
    }
}
