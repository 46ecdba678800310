//! The header `Idempotency-Key`: which key a request brings, and what it asks for; and the mark of an answer that was given
//! before. Who keeps the answers is not said here.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::Problem;
use crate::answer::json;

/// The header of a request that may be repeated.
pub const HEADER: &str = "Idempotency-Key";

/// The header of an answer that was given before.
pub const REPLAY: HeaderName = HeaderName::from_static("idempotent-replay");

/// The code of [`reuse`].
pub const REUSE: &str = "idempotency_key_reuse";

/// The header, which may be missing, and what the request is addressed to.
#[derive(Debug)]
pub struct IdempotencyKey {
    key: Option<String>,
    address: String,
}

/// A request that brings a key.
#[derive(Debug)]
pub struct Keyed {
    /// The key, within the scope if there is one.
    pub key: String,
    /// SHA-256 of what is asked.
    pub fingerprint: [u8; 32],
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let key = values.next().map(|value| read(value.as_bytes())).transpose()?;
        if values.next().is_some() {
            return Err(Problem::field(HEADER, "the header is given twice"));
        }
        Ok(Self { key, address: format!("{} {}", parts.method, parts.uri.path()) })
    }
}

fn read(value: &[u8]) -> Result<String, Problem> {
    let is_key = (1..=255).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    match String::from_utf8(value.to_vec()) {
        Ok(key) if is_key => Ok(key),
        _ => Err(Problem::field(HEADER, "a key is 1 to 255 visible ASCII characters")),
    }
}

impl IdempotencyKey {
    /// The key alone, for whoever compares requests otherwise; none if the request brings none.
    #[must_use]
    pub fn into_key(self) -> Option<String> {
        self.key
    }

    /// The key of this scope alone: the same key of another one is another. No key has a space of its own.
    #[must_use]
    pub fn within(self, scope: &str) -> Self {
        Self { key: self.key.map(|key| format!("{scope} {key}")), ..self }
    }

    /// The key together with what is asked; none if there is no key. `body` is the request as it was understood, so
    /// that another spelling of the same request is the same request.
    pub fn of(self, body: &impl Serialize) -> Option<Keyed> {
        let key = self.key?;
        let mut hash = Sha256::new();
        hash.update(&self.address);
        hash.update("\n");
        hash.update(json(body));
        Some(Keyed { key, fingerprint: hash.finalize().into() })
    }
}

/// The problem of a key that was used for another request.
#[must_use]
pub fn reuse() -> Problem {
    Problem {
        field: Some(HEADER.to_owned()),
        ..Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            REUSE,
            "this key was used for another request; use a new key for a new request",
        )
    }
}
