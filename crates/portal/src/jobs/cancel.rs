//! `POST /jobs/{job_id}/cancel`.

use axum::extract::State;
use axum::http::StatusCode;
use chassis::answer::Answer;
use chassis::idempotency::IdempotencyKey;
use chassis::params::PathParam;
use domain::ids::JobId;
use store::jobs::cancel_job;

use super::{Job, find};
use crate::Portal;
use crate::access::Access;
use crate::error::Error;
use crate::idempotency::{Holds, Once};

/// Cancels a job: what it has moved stays so, and it moves nothing more. One that has ended stays as it is.
///
/// Of what was parked when the endpoint was enabled, the rest is sent then, as if `all` had been chosen.
#[utoipa::path(post, path = "/jobs/{job_id}/cancel", operation_id = "cancel_job", tag = "jobs",
    params(("job_id" = String, Path, description = "`job_…`")),
    responses((status = 200, description = "The job as it is now", body = Job)))]
pub(crate) async fn post(
    State(portal): State<Portal>,
    access: Access,
    PathParam(job_id): PathParam<JobId>,
    key: IdempotencyKey,
) -> Result<Answer, Error> {
    let once = Once::new(key, access, &(), Holds::NoSecret);
    if let Some(first) = once.first_answer(&portal).await? {
        return Ok(first);
    }
    find(&portal, access, job_id).await?;
    let job = cancel_job(&portal.pool, job_id).await?.ok_or(Error::UnknownJob(job_id))?;
    once.keep(&portal, StatusCode::OK, &Job::from(job)).await
}
