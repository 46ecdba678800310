//! `POST /internal/sealed-answers`: seals an answer of the portal that holds a secret, so that the portal can keep it for
//! its `Idempotency-Key`.

pub mod open;

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::error_chain::Chain;
use chassis::{JsonObject, Problem};
use serde::{Deserialize, Serialize};

use crate::app::App;

/// Nothing else that is sealed opens as an answer.
const CONTEXT: &str = "everhook kept answer";

/// An answer in clear.
#[derive(Serialize, Deserialize)]
pub struct Answer {
    answer: String,
}

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
pub struct Sealed {
    key_id: String,
    ciphertext: String,
}

/// The answer, sealed.
pub async fn post(State(app): State<App>, JsonObject(body): JsonObject<Answer>) -> Result<Json<Sealed>, Problem> {
    let sealed = app.core.keyring.seal_text(CONTEXT, &body.answer, rand::random()).map_err(|error| {
        tracing::error!(error = %Chain(&error), "an answer could not be sealed");
        Problem::unavailable()
    })?;
    Ok(Json(Sealed { key_id: sealed.key_id, ciphertext: STANDARD.encode(&sealed.ciphertext) }))
}
