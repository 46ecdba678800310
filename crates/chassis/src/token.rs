//! Bearer tokens: read from a file, never printed, compared in constant time.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::Problem;
use crate::flags::{FileError, read_trimmed};

/// A shared secret that opens a door.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// Reads the token from a file.
    ///
    /// # Errors
    /// If the file can't be read or is empty.
    pub fn from_file(path: &Path) -> Result<Self, FileError> {
        Ok(Self(read_trimmed(path)?.into()))
    }

    /// A token from text that is already at hand.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, to be sent as `Authorization: Bearer …`.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a request's `Authorization` header carries this token.
    #[must_use]
    pub fn opens(&self, request: &Request) -> bool {
        let given = request.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        given.and_then(|v| v.strip_prefix("Bearer ")).is_some_and(|v| bool::from(v.as_bytes().ct_eq(self.0.as_bytes())))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Axum middleware: lets a request pass only with the token.
/// Use it with `axum::middleware::from_fn_with_state(token, require_token)`.
pub async fn require_token(State(token): State<Token>, request: Request, next: Next) -> Response {
    if token.opens(&request) {
        next.run(request).await
    } else {
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "send the header Authorization: Bearer <token>")
            .into_response()
    }
}
