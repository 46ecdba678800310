//! `POST /endpoints/{endpoint_id}/enable`: with a choice for what was parked meanwhile.

use axum::extract::State;
use axum::http::StatusCode;
use chassis::JsonObject;
use chassis::answer::Answer;
use chassis::idempotency::IdempotencyKey;
use chassis::params::PathParam;
use domain::ids::{EndpointId, JobId};
use domain::job::{Kind, ParkedChoice};
use domain::ledger::EndpointState;
use serde::{Deserialize, Serialize};
use store::jobs::{NewJob, enable_endpoint};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Endpoint, find, refuse_if_operator_s, unless_operator_s};
use crate::Portal;
use crate::access::Access;
use crate::clock::now;
use crate::error::Error;
use crate::idempotency::{Holds, Once};
use crate::jobs::{Job, ParkedChoiceName};

/// How an endpoint is enabled.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enabling {
    /// What becomes of the deliveries that are parked there.
    #[serde(default)]
    #[schema(value_type = ParkedChoiceName, required = false, default = "all")]
    parked: ParkedChoice,
}

/// The endpoint, and the job that settles what was parked; null if the endpoint was enabled already.
#[derive(Serialize, ToSchema)]
pub(crate) struct Enabled {
    endpoint: Endpoint,
    job: Option<Job>,
}

/// Enables an endpoint. What was parked there meanwhile is settled by a job, which says who has chosen what.
#[utoipa::path(post, path = "/endpoints/{endpoint_id}/enable", operation_id = "enable_endpoint", tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "`ep_…`")), request_body = Enabling,
    responses((status = 200, description = "The endpoint as it is now, and the job", body = Enabled)))]
pub(crate) async fn post(
    State(portal): State<Portal>,
    access: Access,
    PathParam(endpoint_id): PathParam<EndpointId>,
    key: IdempotencyKey,
    JsonObject(enabling): JsonObject<Enabling>,
) -> Result<Answer, Error> {
    let once = Once::new(key, access, &enabling, Holds::NoSecret);
    if let Some(first) = once.first_answer(&portal).await? {
        return Ok(first);
    }
    let found = find(&portal, access, endpoint_id).await?;
    refuse_if_operator_s(access, &found)?;
    let new = NewJob {
        job_id: JobId::from_uuid(Uuid::now_v7()),
        merchant_id: found.merchant_id,
        endpoint_id,
        kind: Kind::Enable,
        made_by: access.to_string(),
        parked: Some(enabling.parked),
        states: None,
        // Whatever is parked when its turn comes.
        lowest_id: store::jobs::LOWEST_ID.to_owned(),
        below_id: store::jobs::ABOVE_ALL_IDS.to_owned(),
        created_at: now().into_inner(),
    };
    let is_enabled = found.state == EndpointState::Enabled.as_str();
    let state = EndpointState::Enabled.as_str().to_owned();
    let endpoint = store::endpoints::Endpoint { state, disabled_reason: None, ..found };
    let job = (!is_enabled).then(|| new.as_stored().into());
    let prepared = once.prepare(&portal, StatusCode::OK, &Enabled { endpoint: endpoint.try_into()?, job }).await?;
    if is_enabled {
        return prepared.keep(&portal).await;
    }
    match enable_endpoint(&portal.pool, &new, unless_operator_s(access), prepared.kept()).await {
        Ok(false) => Err(Error::ChangedMeanwhile(endpoint_id)),
        stored => prepared.stored(&portal, stored).await,
    }
}
