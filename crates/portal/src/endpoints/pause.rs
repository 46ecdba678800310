//! `POST /endpoints/{endpoint_id}/pause`.

use axum::extract::State;
use axum::http::StatusCode;
use chassis::answer::Answer;
use chassis::idempotency::IdempotencyKey;
use chassis::params::PathParam;
use domain::ids::EndpointId;
use store::endpoints::pause_endpoint;

use super::{Endpoint, find, refuse_if_operator_s, unless_operator_s};
use crate::Portal;
use crate::access::Access;
use crate::error::Error;
use crate::idempotency::{Holds, Once};

/// Pauses an endpoint: nothing is sent to it, and what comes is parked until it is enabled again.
#[utoipa::path(post, path = "/endpoints/{endpoint_id}/pause", operation_id = "pause_endpoint", tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "`ep_…`")),
    responses((status = 200, description = "The endpoint as it is now", body = Endpoint)))]
pub(crate) async fn post(
    State(portal): State<Portal>,
    access: Access,
    PathParam(endpoint_id): PathParam<EndpointId>,
    key: IdempotencyKey,
) -> Result<Answer, Error> {
    let once = Once::new(key, access, &(), Holds::NoSecret);
    if let Some(first) = once.first_answer(&portal).await? {
        return Ok(first);
    }
    refuse_if_operator_s(access, &find(&portal, access, endpoint_id).await?)?;
    if !pause_endpoint(&portal.pool, endpoint_id, unless_operator_s(access)).await? {
        return Err(Error::ChangedMeanwhile(endpoint_id));
    }
    let paused: Endpoint = find(&portal, access, endpoint_id).await?.try_into()?;
    once.keep(&portal, StatusCode::OK, &paused).await
}
