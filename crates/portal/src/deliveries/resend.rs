//! `POST /deliveries/{delivery_id}/resend`.

use axum::extract::State;
use axum::http::StatusCode;
use chassis::answer::Answer;
use chassis::idempotency::IdempotencyKey;
use chassis::params::PathParam;
use domain::ids::{DeliveryId, EndpointId, JobId};
use domain::job::Kind;
use domain::ledger::State as DeliveryState;
use store::endpoints::find_endpoint;
use store::jobs::{NewJob, insert_job};
use uuid::Uuid;

use super::find;
use crate::Portal;
use crate::access::Access;
use crate::clock::now;
use crate::endpoints::refuse_unless_enabled;
use crate::error::Error;
use crate::idempotency::{Holds, Once};
use crate::jobs::Job;

/// Has a delivery sent once more: at once, under the same `webhook-id`, with the schedule from its beginning. The job says
/// whether it could be. One that was delivered is delivered afterwards in any case.
#[utoipa::path(post, path = "/deliveries/{delivery_id}/resend", operation_id = "resend_delivery", tag = "deliveries",
    params(("delivery_id" = String, Path, description = "`dlv_…`")),
    responses((status = 201, description = "The job that resends it", body = Job)))]
pub(crate) async fn post(
    State(portal): State<Portal>,
    access: Access,
    PathParam(delivery_id): PathParam<DeliveryId>,
    key: IdempotencyKey,
) -> Result<Answer, Error> {
    let once = Once::new(key, access, &(), Holds::NoSecret);
    if let Some(first) = once.first_answer(&portal).await? {
        return Ok(first);
    }
    let delivery = find(&portal, access, delivery_id).await?;
    if DeliveryState::from_word(&delivery.state).is_none_or(DeliveryState::holds_successors) {
        return Err(Error::NotEnded { delivery_id, state: delivery.state });
    }
    let endpoint_id: EndpointId = delivery.endpoint_id.parse().map_err(Error::StoredId)?;
    let endpoint = find_endpoint(&portal.pool, endpoint_id).await?;
    let endpoint = endpoint.ok_or(Error::EndpointDeleted(endpoint_id))?;
    refuse_unless_enabled(&endpoint)?;
    let new = NewJob {
        job_id: JobId::from_uuid(Uuid::now_v7()),
        merchant_id: endpoint.merchant_id,
        endpoint_id,
        kind: Kind::Resend,
        made_by: access.to_string(),
        parked: None,
        states: None,
        lowest_id: delivery_id.to_string(),
        // No other id is between the two.
        below_id: format!("{delivery_id}~"),
        created_at: now().into_inner(),
    };
    let prepared = once.prepare(&portal, StatusCode::CREATED, &Job::from(new.as_stored())).await?;
    prepared.stored(&portal, insert_job(&portal.pool, &new, prepared.kept()).await).await
}
