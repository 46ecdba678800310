//! `GET /jobs` and `GET /jobs/{job_id}`, and how a job is shown.

pub(crate) mod cancel;

use axum::Json;
use axum::extract::State;
use chassis::params::{PathParam, QueryParams};
use domain::ids::{EndpointId, JobId, MerchantId};
use domain::job::Kind;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::jobs::{find_job, list_jobs};
use utoipa::{IntoParams, ToSchema};

use crate::Portal;
use crate::access::Access;
use crate::error::Error;
use crate::page::{Cursor, Limit, Page};

/// Something that was asked for of many deliveries of an endpoint. It goes on by itself, whatever is restarted, and waits
/// while the endpoint is not enabled.
#[derive(Serialize, ToSchema)]
pub(crate) struct Job {
    job_id: String,
    merchant_id: String,
    endpoint_id: String,
    /// `resend`, `recover` or `enable`.
    kind: String,
    /// Who asked for it: `operator`, or the merchant's id.
    made_by: String,
    /// What was chosen for what was parked, when the endpoint was enabled.
    #[schema(value_type = Option<ParkedChoiceName>)]
    parked: Option<String>,
    /// The one that is resent.
    delivery_id: Option<String>,
    /// The states that are recovered.
    states: Option<Vec<String>>,
    /// Deliveries are recovered that were made then or later.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Deliveries are recovered that were made before.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// `running`, `done` or `cancelled`.
    state: String,
    /// How many deliveries it was about when it began; null before that, and if there are very many.
    total: Option<i64>,
    /// How many it has moved.
    done: i64,
    /// How many were not moved when their turn came: somebody else had them sent, their event is older than events are kept,
    /// or a later one took their place.
    skipped: i64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was done or cancelled.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

/// What becomes of the deliveries that were parked: `all` are sent; `latest_per_object` has the latest of each object sent,
/// and supersedes the others; with `none` they stay parked, and can be resent.
#[derive(ToSchema)]
#[schema(as = ParkedChoice, rename_all = "snake_case")]
#[expect(dead_code, reason = "it is only described")]
pub(crate) enum ParkedChoiceName {
    All,
    LatestPerObject,
    None,
}

/// Which jobs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Of this merchant.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    merchant_id: Option<MerchantId>,
    /// Of this endpoint.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    endpoint_id: Option<EndpointId>,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<JobId>>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Limit,
}

impl From<store::jobs::Job> for Job {
    fn from(job: store::jobs::Job) -> Self {
        let is = |kind: Kind| job.kind == kind.as_str();
        let (since, until) = if is(Kind::Recover) { (job.since(), job.until()) } else { (None, None) };
        Self {
            delivery_id: is(Kind::Resend).then(|| job.lowest_id.clone()),
            job_id: job.job_id,
            merchant_id: job.merchant_id,
            endpoint_id: job.endpoint_id,
            kind: job.kind,
            made_by: job.made_by,
            parked: job.parked,
            states: job.states,
            since: since.map(Timestamp::from),
            until: until.map(Timestamp::from),
            state: job.state,
            total: job.total,
            done: job.done,
            skipped: job.skipped,
            created_at: job.created_at.into(),
            ended_at: job.ended_at.map(Timestamp::from),
        }
    }
}

/// Lists jobs.
#[utoipa::path(get, path = "/jobs", operation_id = "list_jobs", tag = "jobs", params(Wanted),
    responses((status = 200, description = "A page", body = Page<Job>)))]
pub(crate) async fn list(
    State(portal): State<Portal>,
    access: Access,
    QueryParams(wanted): QueryParams<Wanted>,
) -> Result<Json<Page<Job>>, Error> {
    let merchant_id = access.whose(wanted.merchant_id)?;
    let before = wanted.cursor.map(|cursor| cursor.0);
    let rows = list_jobs(&portal.lists, merchant_id, wanted.endpoint_id, before, wanted.limit.rows()).await?;
    Ok(Json(wanted.limit.page(rows, |job| job.job_id.clone()).map(Job::from)))
}

/// Reads a job.
#[utoipa::path(get, path = "/jobs/{job_id}", operation_id = "read_job", tag = "jobs",
    params(("job_id" = String, Path, description = "`job_…`")),
    responses((status = 200, description = "The job", body = Job)))]
pub(crate) async fn read(
    State(portal): State<Portal>,
    access: Access,
    PathParam(job_id): PathParam<JobId>,
) -> Result<Json<Job>, Error> {
    find(&portal, access, job_id).await.map(|job| Json(job.into()))
}

/// The job, if it exists for whoever asks.
async fn find(portal: &Portal, access: Access, job_id: JobId) -> Result<store::jobs::Job, Error> {
    let found = find_job(&portal.pool, job_id).await?;
    found.filter(|job| access.sees_id(Some(&job.merchant_id))).ok_or(Error::UnknownJob(job_id))
}
