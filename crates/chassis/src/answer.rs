//! An answer as its exact bytes, so that it can be kept and given again.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::Problem;
use crate::idempotency::REPLAY;

/// A JSON answer. One with an error status is a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// JSON.
    pub body: String,
    /// Whether it was given before.
    pub replayed: bool,
}

impl Answer {
    /// An answer that is given for the first time.
    pub fn new(status: StatusCode, body: &impl Serialize) -> Self {
        Self { status, body: json(body), replayed: false }
    }

    /// A problem as an answer.
    #[must_use]
    pub fn problem(problem: &Problem) -> Self {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, problem)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let is_problem = self.status.is_client_error() || self.status.is_server_error();
        let content_type = if is_problem { "application/problem+json" } else { "application/json" };
        let mut response = (self.status, self.body).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if self.replayed {
            response.headers_mut().insert(REPLAY, HeaderValue::from_static("true"));
        }
        response
    }
}

/// The one spelling of a value that our services write.
#[expect(clippy::expect_used, reason = "plain structs with text keys always have a JSON form")]
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain structs have a JSON form")
}
