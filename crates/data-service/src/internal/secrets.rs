//! `POST /internal/secrets`: makes a signing secret for a new endpoint of the portal, which stores only the ciphertext.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::Problem;
use chassis::error_chain::Chain;
use chassis::params::QueryParams;
use domain::signature::{Shown, Version};
use serde::{Deserialize, Serialize};

use crate::app::App;

/// What the secret is to sign with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[serde(default)]
    signature: Version,
}

/// A new secret, as the merchant is shown it, and as it is to be stored.
#[derive(Serialize)]
pub struct NewSecret {
    #[serde(flatten)]
    key: Shown,
    ciphertext: String,
    key_id: String,
}

/// A secret of 32 random bytes.
pub async fn post(
    State(app): State<App>,
    QueryParams(wanted): QueryParams<Wanted>,
) -> Result<Json<NewSecret>, Problem> {
    let secret = wanted.signature.secret(rand::random());
    let sealed = app.core.keyring.seal(&secret, rand::random()).map_err(|error| {
        tracing::error!(error = %Chain(&error), "a signing secret could not be made");
        Problem::unavailable()
    })?;
    Ok(Json(NewSecret {
        key: secret.key().shown(),
        ciphertext: STANDARD.encode(&sealed.ciphertext),
        key_id: sealed.key_id,
    }))
}
