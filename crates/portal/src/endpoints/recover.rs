//! `POST /endpoints/{endpoint_id}/recover`.

use axum::extract::State;
use axum::http::StatusCode;
use chassis::JsonObject;
use chassis::answer::Answer;
use chassis::idempotency::IdempotencyKey;
use chassis::params::PathParam;
use domain::ids::{EndpointId, JobId};
use domain::job::Kind;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::jobs::{NewJob, insert_job, made_between};
use utoipa::ToSchema;
use uuid::Uuid;

use super::find;
use crate::Portal;
use crate::access::Access;
use crate::clock::now;
use crate::error::Error;
use crate::idempotency::{Holds, Once};
use crate::jobs::Job;

/// Which deliveries are sent once more.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recovery {
    /// That were made then or later.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// That were made before; null for all until now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// That are in one of these states.
    #[serde(default)]
    #[schema(value_type = Vec<Recoverable>, required = false, min_items = 1, default = json!(["exhausted", "parked"]))]
    states: States,
}

/// A state from which a delivery can be sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Recoverable {
    /// Its schedule is used up, or the receiver ended it.
    Exhausted,
    /// Also what was declined when the endpoint was enabled.
    Parked,
    /// A newer one of the same object took its place.
    Superseded,
    /// It was accepted, and is sent nevertheless.
    Delivered,
}

impl Recoverable {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Parked => "parked",
            Self::Superseded => "superseded",
            Self::Delivered => "delivered",
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(try_from = "Vec<Recoverable>", into = "Vec<Recoverable>")]
struct States(Vec<Recoverable>);

/// There are none.
#[derive(Debug, thiserror::Error)]
#[error("name at least one state")]
struct NoStates;

impl TryFrom<Vec<Recoverable>> for States {
    type Error = NoStates;

    fn try_from(mut states: Vec<Recoverable>) -> Result<Self, NoStates> {
        states.sort_unstable();
        states.dedup();
        if states.is_empty() { Err(NoStates) } else { Ok(Self(states)) }
    }
}

impl From<States> for Vec<Recoverable> {
    fn from(states: States) -> Self {
        states.0
    }
}

impl Clone for States {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Default for States {
    /// What did not succeed.
    fn default() -> Self {
        Self(vec![Recoverable::Exhausted, Recoverable::Parked])
    }
}

/// Has the deliveries of a time sent once more that did not succeed: by a job, each once, with the schedule from its
/// beginning.
#[utoipa::path(post, path = "/endpoints/{endpoint_id}/recover", operation_id = "recover_endpoint", tag = "jobs",
    params(("endpoint_id" = String, Path, description = "`ep_…`")), request_body = Recovery,
    responses((status = 201, description = "The job", body = Job)))]
pub(crate) async fn post(
    State(portal): State<Portal>,
    access: Access,
    PathParam(endpoint_id): PathParam<EndpointId>,
    key: IdempotencyKey,
    JsonObject(recovery): JsonObject<Recovery>,
) -> Result<Answer, Error> {
    let once = Once::new(key, access, &recovery, Holds::NoSecret);
    if let Some(first) = once.first_answer(&portal).await? {
        return Ok(first);
    }
    let endpoint = find(&portal, access, endpoint_id).await?;
    super::refuse_unless_enabled(&endpoint)?;
    let now = now();
    let window = |field, detail| Err(Error::Window { field, detail });
    if recovery.since.unix_micros() < 0 {
        return window("since", "give a time after 1970");
    }
    if recovery.since >= now {
        return window("since", "this is still to come; give a time that has passed");
    }
    let until = recovery.until.unwrap_or(now);
    if until <= recovery.since {
        return window("until", "this is not after since");
    }
    let (lowest_id, below_id) = made_between(recovery.since.into_inner(), until.into_inner(), now.into_inner());
    let new = NewJob {
        job_id: JobId::from_uuid(Uuid::now_v7()),
        merchant_id: endpoint.merchant_id,
        endpoint_id,
        kind: Kind::Recover,
        made_by: access.to_string(),
        parked: None,
        states: Some(recovery.states.0.iter().map(|state| state.as_str()).collect()),
        lowest_id,
        below_id,
        created_at: now.into_inner(),
    };
    let prepared = once.prepare(&portal, StatusCode::CREATED, &Job::from(new.as_stored())).await?;
    prepared.stored(&portal, insert_job(&portal.pool, &new, prepared.kept()).await).await
}
