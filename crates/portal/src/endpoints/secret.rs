//! `GET /endpoints/{endpoint_id}/secret` and `POST /endpoints/{endpoint_id}/secret/rotate`: data-service's answers, passed
//! through. What a rotation may ask for, data-service knows; here no secret is even read.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use chassis::idempotency::REPLAY;
use chassis::params::PathParam;
use domain::ids::EndpointId;
use reqwest::Method;

use crate::Portal;
use crate::data_service::Passed;
use crate::error::Error;

/// `chassis::idempotency::HEADER`, as the library of HTTP wants it.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub(crate) async fn read(
    State(portal): State<Portal>,
    PathParam(endpoint_id): PathParam<EndpointId>,
) -> Result<Response, Error> {
    let path = format!("internal/endpoints/{endpoint_id}/secret");
    Ok(shown(&portal.data_service.pass(Method::GET, &path, HeaderMap::new(), Bytes::new()).await?))
}

/// Nothing need be asked for: then a secret is made, and the older ones sign for another day.
pub(crate) async fn rotate(
    State(portal): State<Portal>,
    PathParam(endpoint_id): PathParam<EndpointId>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Error> {
    let mut passed = HeaderMap::new();
    for name in [CONTENT_TYPE, IDEMPOTENCY_KEY] {
        headers.get_all(&name).iter().for_each(|value| {
            passed.append(&name, value.clone());
        });
    }
    let body = if body.is_empty() {
        passed.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Bytes::from_static(b"{}")
    } else {
        body
    };
    let path = format!("internal/endpoints/{endpoint_id}/secret/rotate");
    Ok(shown(&portal.data_service.pass(Method::POST, &path, passed, body).await?))
}

pub(crate) fn shown(passed: &Passed) -> Response {
    let mut response = (passed.status, passed.body.clone()).into_response();
    for name in [CONTENT_TYPE, REPLAY] {
        if let Some(value) = passed.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
