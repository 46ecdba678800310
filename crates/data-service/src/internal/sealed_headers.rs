//! `POST /internal/sealed-headers`: changes an endpoint's own headers for the portal, which does not see those that are
//! there.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::error_chain::Chain;
use chassis::{JsonObject, Problem};
use domain::ids::EndpointId;
use serde::{Deserialize, Serialize};
use store::endpoints::SealedHeaders;

use crate::app::App;
use crate::keyring::{Error, Keyring};

/// Headers as they are stored.
#[derive(Serialize, Deserialize)]
pub struct Sealed {
    key_id: String,
    ciphertext: String,
}

/// What is to become of the headers of an endpoint.
#[derive(Deserialize)]
pub struct Change {
    endpoint_id: EndpointId,
    /// Those that are there.
    before: Option<Sealed>,
    /// New values; null takes a header away.
    change: BTreeMap<String, Option<String>>,
}

/// The headers after the change; `sealed` is null if there is none.
#[derive(Serialize)]
pub struct Changed {
    sealed: Option<Sealed>,
}

/// The changed headers, sealed. No value is told.
pub async fn post(State(app): State<App>, JsonObject(body): JsonObject<Change>) -> Result<Json<Changed>, Problem> {
    let keyring = &app.core.keyring;
    let endpoint_id = body.endpoint_id.to_string();
    let mut headers = match body.before {
        None => BTreeMap::new(),
        Some(before) => {
            let ciphertext =
                STANDARD.decode(before.ciphertext).map_err(|error| Problem::field("before", error.to_string()))?;
            open(keyring, &endpoint_id, &SealedHeaders { key_id: before.key_id, ciphertext })
                .map_err(|error| told(&error))?
        }
    };
    for (name, value) in body.change {
        match value {
            Some(value) => headers.insert(name, value),
            None => headers.remove(&name),
        };
    }
    if headers.is_empty() {
        return Ok(Json(Changed { sealed: None }));
    }
    let text = chassis::answer::json(&headers);
    let sealed = keyring.seal_text(&context(&endpoint_id), &text, rand::random()).map_err(|error| told(&error))?;
    let sealed = Sealed { key_id: sealed.key_id, ciphertext: STANDARD.encode(&sealed.ciphertext) };
    Ok(Json(Changed { sealed: Some(sealed) }))
}

/// The headers of an endpoint, in clear.
///
/// # Errors
/// If the key is not at hand, or they were not sealed for this endpoint.
pub fn open(keyring: &Keyring, endpoint_id: &str, sealed: &SealedHeaders) -> Result<BTreeMap<String, String>, Error> {
    let text = keyring.open_text(&context(endpoint_id), &sealed.key_id, &sealed.ciphertext)?;
    serde_json::from_str(&text).map_err(|_| Error::Opening { key_id: sealed.key_id.clone() })
}

/// What is sealed for one endpoint opens for no other, wherever its row is copied to.
fn context(endpoint_id: &str) -> String {
    format!("everhook headers of {endpoint_id}")
}

fn told(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error = %Chain(error), "headers could not be sealed");
    Problem::unavailable()
}
