//! `POST /internal/sealed-answers/open`: opens what was sealed as an answer, and nothing else.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::error_chain::Chain;
use chassis::{JsonObject, Problem};

use super::{Answer, CONTEXT, Sealed};
use crate::app::App;

/// The answer, in clear.
pub async fn post(State(app): State<App>, JsonObject(body): JsonObject<Sealed>) -> Result<Json<Answer>, Problem> {
    let ciphertext =
        STANDARD.decode(body.ciphertext).map_err(|error| Problem::field("ciphertext", error.to_string()))?;
    let answer = app.core.keyring.open_text(CONTEXT, &body.key_id, &ciphertext).map_err(|error| {
        tracing::error!(error = %Chain(&error), "a kept answer could not be opened");
        Problem::unavailable()
    })?;
    Ok(Json(Answer { answer }))
}
