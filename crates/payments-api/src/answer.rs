//! An answer as its exact bytes, so that it can be kept and given again.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use chassis::Problem;
use chassis::idempotency::REPLAY;
use serde::Serialize;

/// A JSON answer. One with an error status is a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
    /// Whether it was given before.
    pub(crate) replayed: bool,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, body: &impl Serialize) -> Self {
        Self { status, body: json(body), replayed: false }
    }

    pub(crate) fn problem(problem: &Problem) -> Self {
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

/// The one spelling of a value that this service writes.
#[expect(clippy::expect_used, reason = "plain structs with text keys always have a JSON form")]
pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain structs have a JSON form")
}
