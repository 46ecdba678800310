//! Errors to clients as problem+json (RFC 9457), and the JSON body that fails as one.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// One problem: a stable code for programs, a sentence for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status, said again in the body.
    pub status: u16,
    /// Stable, `snake_case`.
    pub code: String,
    /// What is wrong and what to do.
    pub detail: String,
    /// The field of the request that is wrong, as a path (`a.b[0]`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
    /// Further members, for programs.
    #[serde(flatten)]
    pub more: Map<String, Value>,
    /// Seconds for the header `Retry-After`.
    #[serde(skip)]
    pub retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem without a field.
    #[must_use]
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            field: None,
            more: Map::new(),
            retry_after_s: None,
        }
    }

    /// 422 for one field of the request.
    #[must_use]
    pub fn field(field: &str, detail: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", detail) }
    }

    /// 404 for a thing that does not exist.
    #[must_use]
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", what)
    }

    /// 503: try again soon. Log the cause where it happens; it is not shown to the client.
    #[must_use]
    pub fn unavailable() -> Self {
        Self {
            retry_after_s: Some(1),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "the service can't do this right now; try again",
            )
        }
    }

    /// Adds a member for programs.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after_s;
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A JSON request body; a bad one is answered with a problem that names the field.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        read(&raw(request, state).await?).map(Self)
    }
}

/// A [`JsonBody`] that must be an object: a struct would otherwise be read from an array, too.
#[derive(Debug)]
pub struct JsonObject<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonObject<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Self::from_raw(&raw(request, state).await?)
    }
}

impl<T: DeserializeOwned> JsonObject<T> {
    /// Reads a body as it is read from a request.
    ///
    /// # Errors
    /// The problem that the request is answered with.
    pub fn from_bytes(body: &[u8]) -> Result<Self, Problem> {
        let Json(raw) = Json::<Box<RawValue>>::from_bytes(body).map_err(unreadable)?;
        Self::from_raw(&raw)
    }

    fn from_raw(raw: &RawValue) -> Result<Self, Problem> {
        if !raw.get().starts_with('{') {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not_an_object", "the body is a JSON object"));
        }
        read(raw).map(Self)
    }
}

async fn raw<S: Send + Sync>(request: Request, state: &S) -> Result<Box<RawValue>, Problem> {
    Json::from_request(request, state).await.map(|Json(raw)| raw).map_err(unreadable)
}

fn read<T: DeserializeOwned>(raw: &RawValue) -> Result<T, Problem> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(raw.get())).map_err(wrong_field)
}

/// The problem of a value that is not what the type wants, named by its path.
pub(crate) fn wrong_field(error: serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let path = error.path().to_string();
    let detail = error.into_inner().to_string();
    // The place in the text is noise to a reader who is told the field.
    let detail = without_text(detail.rsplit_once(" at line ").map_or(&*detail, |(words, _)| words));
    let named = detail.strip_prefix("missing field `").or_else(|| detail.strip_prefix("duplicate field `"));
    let named = named.and_then(|rest| rest.split('`').next()).map(str::to_owned);
    // A dot alone is the whole value.
    let field = named.or((path != ".").then_some(path));
    Problem { field, ..Problem::field("", detail) }
}

/// serde repeats a text that stands where another type is wanted. It may be a secret, so only its type is told.
fn without_text(detail: &str) -> String {
    let text = detail.find(": string \"").zip(detail.rfind("\", expected "));
    match text {
        Some((before, after)) if detail.starts_with("invalid ") && before < after => {
            format!("{}{}", &detail[..before + ": string".len()], &detail[after + 1..])
        }
        _ => detail.to_owned(),
    }
}

fn unreadable(rejection: JsonRejection) -> Problem {
    let status = rejection.status();
    match rejection {
        JsonRejection::MissingJsonContentType(_) => {
            Problem::new(status, "unsupported_media_type", "send the header content-type: application/json")
        }
        other if status == StatusCode::PAYLOAD_TOO_LARGE => Problem::new(status, "body_too_large", other.body_text()),
        other => Problem::new(StatusCode::BAD_REQUEST, "invalid_json", other.body_text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_the_wrong_place_is_not_repeated() {
        let detail = |json: &str| match serde_json::from_str::<Vec<bool>>(json) {
            Ok(_) => panic!("{json} is right"),
            Err(error) => without_text(error.to_string().rsplit_once(" at line ").unwrap().0),
        };
        assert_eq!(detail(r#""hush""#), "invalid type: string, expected a sequence");
        assert_eq!(detail(r#"["hu\", expected \"sh"]"#), "invalid type: string, expected a boolean");
        assert_eq!(detail(r#""hush at line 1""#), "invalid type: string, expected a sequence");
        assert_eq!(detail("[7]"), "invalid type: integer `7`, expected a boolean");
        assert_eq!(detail("{}"), "invalid type: map, expected a sequence");
    }
}
