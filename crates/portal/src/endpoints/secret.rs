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
use utoipa::ToSchema;

use super::{KeyShape, SignatureName, find};
use crate::Portal;
use crate::access::Access;
use crate::data_service::Passed;
use crate::error::Error;

/// `chassis::idempotency::HEADER`, as the library of HTTP wants it.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What the endpoint's merchant verifies with, and since when.
#[derive(ToSchema)]
#[schema(as = EndpointSecret)]
#[expect(dead_code, reason = "it is only described")]
struct SecretShape {
    endpoint_id: String,
    secret_id: String,
    signature: SignatureName,
    #[serde(flatten)]
    key: KeyShape,
    #[schema(format = DateTime)]
    created_at: String,
    /// Null while it is the current one.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// The others that sign, too, until they expire.
    older: Vec<OlderShape>,
}

/// An older secret that signs, too.
#[derive(ToSchema)]
#[schema(as = OlderSecret)]
#[expect(dead_code, reason = "it is only described")]
struct OlderShape {
    secret_id: String,
    signature: SignatureName,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

/// What a rotation may ask for; all of it may be left out, and so may the body.
#[derive(ToSchema)]
#[schema(as = Rotation)]
#[expect(dead_code, reason = "it is only described")]
struct RotationShape {
    /// What the new secret signs with; by default what the current one does.
    #[schema(required = false, nullable = false)]
    signature: Option<SignatureName>,
    /// The new secret, if it is to be imported: `whsec_…`, or `whsk_…` with `v1a`.
    #[schema(required = false, nullable = false)]
    secret: Option<String>,
    /// For so long the older secrets sign, too, from `0s` to `7d`.
    #[schema(required = false, nullable = false, default = "24h")]
    expires_in: Option<String>,
    /// Do nothing if the current secret has this signature already.
    #[schema(required = false, nullable = false, default = false)]
    unless_current: Option<bool>,
}

/// Shows what the endpoint's merchant verifies with, and which older secrets still sign.
#[utoipa::path(get, path = "/endpoints/{endpoint_id}/secret", operation_id = "read_secret", tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "`ep_…`")),
    responses((status = 200, description = "The current secret", body = SecretShape)))]
pub(crate) async fn read(
    State(portal): State<Portal>,
    access: Access,
    PathParam(endpoint_id): PathParam<EndpointId>,
) -> Result<Response, Error> {
    find(&portal, access, endpoint_id).await?;
    let path = format!("internal/endpoints/{endpoint_id}/secret");
    Ok(shown(&portal.data_service.pass(Method::GET, &path, HeaderMap::new(), Bytes::new()).await?))
}

/// Rotates the secret. Nothing need be asked for: then a secret is made, and the older ones sign for another day.
#[utoipa::path(post, path = "/endpoints/{endpoint_id}/secret/rotate", operation_id = "rotate_secret", tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "`ep_…`"),
        ("Idempotency-Key" = Option<String>, Header, max_length = 255, nullable = false,
            description = "1 to 255 visible ASCII characters. For a day the same request with the same key is answered \
            with the secret that the first one made, and makes none.")),
    request_body = RotationShape,
    responses((status = 200, description = "The new secret", body = SecretShape)))]
pub(crate) async fn rotate(
    State(portal): State<Portal>,
    access: Access,
    PathParam(endpoint_id): PathParam<EndpointId>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Error> {
    find(&portal, access, endpoint_id).await?;
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
