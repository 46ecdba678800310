//! Parameters of the path and of the query; a bad one is answered with a problem.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Problem;
use crate::problem::wrong_field;

/// The one parameter of the path. What does not parse can't exist, so it is answered with 404.
#[derive(Debug, Clone, Copy)]
pub struct PathParam<T>(pub T);

impl<S, T> FromRequestParts<S> for PathParam<T>
where
    S: Send + Sync,
    T: FromStr,
    T::Err: Display,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found("there is nothing at this path"))?;
        text.parse().map(Self).map_err(|error: T::Err| Problem::not_found(error.to_string()))
    }
}

/// The query, read as an object whose members are all texts. A repeated parameter is refused; let the type refuse
/// unknown ones with `deny_unknown_fields`.
#[derive(Debug, Clone, Copy)]
pub struct QueryParams<T>(pub T);

impl<S, T> FromRequestParts<S> for QueryParams<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::from_query(parts.uri.query().unwrap_or_default())
    }
}

impl<T: DeserializeOwned> QueryParams<T> {
    /// Reads what follows the question mark.
    ///
    /// # Errors
    /// The problem that the request is answered with.
    pub fn from_query(query: &str) -> Result<Self, Problem> {
        let mut members = Map::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if members.insert(name.to_string(), Value::String(value.into_owned())).is_some() {
                return Err(Problem::field(&name, "the parameter is given twice"));
            }
        }
        serde_path_to_error::deserialize(Value::Object(members)).map(Self).map_err(wrong_field)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Page {
        from: String,
        #[serde(default)]
        after: Option<String>,
    }

    async fn read(uri: &str) -> Result<Page, Problem> {
        let (mut parts, ()) = Request::builder().uri(uri).body(()).unwrap().into_parts();
        QueryParams::from_request_parts(&mut parts, &()).await.map(|QueryParams(page)| page)
    }

    #[tokio::test]
    async fn a_query_is_decoded_and_a_wrong_one_names_the_parameter() {
        let page = read("/x?from=a%20b").await.unwrap();
        assert_eq!((page.from.as_str(), page.after), ("a b", None));
        for (wrong, field) in
            [("/x", "from"), ("/x?from=a&form=b", "form"), ("/x?from=a&after=b&after=c", "after"), ("/x?from", "")]
        {
            match read(wrong).await {
                Err(problem) => assert_eq!(problem.field.as_deref(), Some(field), "{wrong}: {problem:?}"),
                Ok(page) => assert_eq!((wrong, page.from.as_str()), ("/x?from", "")),
            }
        }
    }
}
