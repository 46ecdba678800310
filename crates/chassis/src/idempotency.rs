//! The header `Idempotency-Key`, and the mark of an answer that was given before.

use axum::extract::FromRequestParts;
use axum::http::HeaderName;
use axum::http::request::Parts;

use crate::Problem;

/// The header of a request that may be repeated.
pub const HEADER: &str = "Idempotency-Key";

/// The header of an answer that was given before.
pub const REPLAY: HeaderName = HeaderName::from_static("idempotent-replay");

/// The key of a request; none if it brings none. A bad one is answered with a problem.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let key = values.next().map(|value| read(value.as_bytes())).transpose()?;
        if values.next().is_some() {
            return Err(Problem::field(HEADER, "the header is given twice"));
        }
        Ok(Self(key))
    }
}

fn read(value: &[u8]) -> Result<String, Problem> {
    let is_key = (1..=255).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    match String::from_utf8(value.to_vec()) {
        Ok(key) if is_key => Ok(key),
        _ => Err(Problem::field(HEADER, "a key is 1 to 255 visible ASCII characters")),
    }
}
