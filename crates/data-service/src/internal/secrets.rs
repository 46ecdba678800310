//! `POST /internal/secrets`: makes a signing secret for the portal, which stores only the ciphertext.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::Problem;
use chassis::error_chain::Chain;
use domain::signature::Secret;
use serde::Serialize;

use crate::app::App;

/// A new secret, in clear once, and as it is to be stored.
#[derive(Serialize)]
pub struct NewSecret {
    secret: String,
    ciphertext: String,
    key_id: String,
}

/// A secret of 32 random bytes.
pub async fn post(State(app): State<App>) -> Result<Json<NewSecret>, Problem> {
    let bytes: [u8; 32] = rand::random();
    let sealed = Secret::from_bytes(&bytes)
        .map_err(|error| told(&error))
        .and_then(|secret| Ok((app.core.keyring.seal(&secret, rand::random()).map_err(|error| told(&error))?, secret)));
    let (sealed, secret) = sealed?;
    Ok(Json(NewSecret {
        secret: secret.expose(),
        ciphertext: STANDARD.encode(&sealed.ciphertext),
        key_id: sealed.key_id,
    }))
}

fn told(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error = %Chain(error), "a signing secret could not be made");
    Problem::unavailable()
}
