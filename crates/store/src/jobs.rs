//! Jobs: what was asked for of many deliveries, and how far it has come.

use domain::ids::{DeliveryId, EndpointId, JobId, MerchantId};
use domain::job::{Kind, ParkedChoice};
use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;

use crate::Error;
use crate::idempotency::{Kept, keep_answer};
use crate::span::below;
use crate::transaction::{begin, commit};

/// No delivery is below this id.
pub const LOWEST_ID: &str = "dlv_";

/// All deliveries are below this id.
pub const ABOVE_ALL_IDS: &str = "dlv_~";

/// A job as it is stored.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub job_id: String,
    /// Whose it is.
    pub merchant_id: String,
    /// Whose deliveries it is about.
    pub endpoint_id: String,
    /// `domain::job::Kind::as_str`.
    pub kind: String,
    /// `operator`, or the merchant.
    pub made_by: String,
    /// What was chosen for what was parked.
    pub parked: Option<String>,
    /// The states that it recovers.
    pub states: Option<Vec<String>>,
    /// It is about deliveries from this id on.
    pub lowest_id: String,
    /// And below this one.
    pub below_id: String,
    /// `running`, `done` or `cancelled`.
    pub state: String,
    /// How many it is about, if that is known.
    pub total: Option<i64>,
    /// How many are moved.
    pub done: i64,
    /// How many could not be moved any more.
    pub skipped: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was done or cancelled.
    pub ended_at: Option<OffsetDateTime>,
}

/// A job to be made.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id.
    pub job_id: JobId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// Whose deliveries it is about.
    pub endpoint_id: EndpointId,
    /// What it does.
    pub kind: Kind,
    /// Who asks: `operator`, or the merchant.
    pub made_by: String,
    /// For [`Kind::Enable`].
    pub parked: Option<ParkedChoice>,
    /// For [`Kind::Recover`].
    pub states: Option<Vec<&'static str>>,
    /// It is about deliveries from this id on.
    pub lowest_id: String,
    /// And below this one.
    pub below_id: String,
    /// When it is made.
    pub created_at: OffsetDateTime,
}

impl NewJob {
    /// The job as it will be stored.
    #[must_use]
    pub fn as_stored(&self) -> Job {
        Job {
            job_id: self.job_id.to_string(),
            merchant_id: self.merchant_id.to_string(),
            endpoint_id: self.endpoint_id.to_string(),
            kind: self.kind.as_str().to_owned(),
            made_by: self.made_by.clone(),
            parked: self.parked.map(|choice| choice.as_str().to_owned()),
            states: self.states.as_ref().map(|states| states.iter().map(|&state| state.to_owned()).collect()),
            lowest_id: self.lowest_id.clone(),
            below_id: self.below_id.clone(),
            state: "running".to_owned(),
            total: None,
            done: 0,
            skipped: 0,
            created_at: self.created_at,
            ended_at: None,
        }
    }
}

/// Stores a job, and the answer to its idempotency key if there is one.
///
/// # Errors
/// With the constraint [`crate::idempotency::KEY_TAKEN`]; or if a statement fails. Nothing is stored then.
pub async fn insert_job(pool: &PgPool, new: &NewJob, kept: Option<Kept<'_>>) -> Result<(), Error> {
    let mut connection = pool.acquire().await.map_err(Error::doing("taking a connection"))?;
    let mut transaction = begin(&mut connection).await?;
    if let Some(kept) = kept {
        keep_answer(&mut transaction, &kept).await?;
    }
    insert(&mut transaction, new).await?;
    commit(transaction).await
}

/// Enables an endpoint that is not, unless it is disabled for this reason, with the job that settles what was parked there; an earlier such job is cancelled.
/// Answers whether it did: with false, nothing is stored.
///
/// # Errors
/// As [`insert_job`].
pub async fn enable_endpoint(
    pool: &PgPool,
    new: &NewJob,
    unless: Option<&str>,
    kept: Option<Kept<'_>>,
) -> Result<bool, Error> {
    let mut connection = pool.acquire().await.map_err(Error::doing("taking a connection"))?;
    let mut transaction = begin(&mut connection).await?;
    let enabled = sqlx::query!(
        r#"
        update endpoints set state = 'enabled', disabled_reason = null, updated_at = clock_timestamp()
        where endpoint_id = $1 and deleted_at is null and state <> 'enabled'
            and ($2::text is null or disabled_reason is distinct from $2)
        "#,
        new.endpoint_id.to_string(),
        unless,
    )
    .execute(&mut *transaction)
    .await
    .map_err(Error::doing("enabling an endpoint"))?;
    if enabled.rows_affected() == 0 {
        return Ok(false);
    }
    if let Some(kept) = kept {
        keep_answer(&mut transaction, &kept).await?;
    }
    cancel_enabling(&mut *transaction, new.endpoint_id).await?;
    insert(&mut transaction, new).await?;
    commit(transaction).await?;
    Ok(true)
}

/// Cancels what was chosen when the endpoint was enabled before, if it is not done yet.
///
/// # Errors
/// If the statement fails.
pub async fn cancel_enabling(executor: impl PgExecutor<'_>, endpoint_id: EndpointId) -> Result<(), Error> {
    sqlx::query!(
        r#"
        update jobs set state = 'cancelled', ended_at = clock_timestamp()
        where endpoint_id = $1 and kind = 'enable' and state = 'running'
        "#,
        endpoint_id.to_string(),
    )
    .execute(executor)
    .await
    .map_err(Error::doing("cancelling what was chosen when the endpoint was enabled before"))?;
    Ok(())
}

async fn insert(connection: &mut PgConnection, new: &NewJob) -> Result<(), Error> {
    let job = new.as_stored();
    sqlx::query!(
        r#"
        insert into jobs
            (job_id, merchant_id, endpoint_id, kind, made_by, parked, states, lowest_id, below_id, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        "#,
        job.job_id,
        job.merchant_id,
        job.endpoint_id,
        job.kind,
        job.made_by,
        job.parked,
        job.states.as_deref(),
        job.lowest_id,
        job.below_id,
        job.created_at,
    )
    .execute(connection)
    .await
    .map_err(Error::doing("storing a job"))?;
    Ok(())
}

impl Job {
    /// It is about deliveries that were made then or later; none if that is not bounded.
    #[must_use]
    pub fn since(&self) -> Option<OffsetDateTime> {
        made_at(&self.lowest_id)
    }

    /// It is about deliveries that were made before; none if that is not bounded.
    #[must_use]
    pub fn until(&self) -> Option<OffsetDateTime> {
        made_at(&self.below_id)
    }
}

/// The moment that a time-ordered id carries.
fn made_at(id: &str) -> Option<OffsetDateTime> {
    let ms = i128::from_str_radix(id.strip_prefix(DeliveryId::PREFIX)?.get(..12)?, 16).ok()?;
    OffsetDateTime::from_unix_timestamp_nanos(ms * 1_000_000).ok()
}

/// The bounds of the deliveries that were made from `since` until before `until`, which is at most now.
#[must_use]
pub fn made_between(since: OffsetDateTime, until: OffsetDateTime, now: OffsetDateTime) -> (String, String) {
    let span = crate::span::Span::new(DeliveryId::PREFIX, Some(since), Some(until.min(now)), None::<&str>, now);
    (span.lowest, span.below)
}

/// Reads a job.
///
/// # Errors
/// If the statement fails.
pub async fn find_job(pool: &PgPool, job_id: JobId) -> Result<Option<Job>, Error> {
    sqlx::query_as!(
        Job,
        r#"
        select job_id, merchant_id, endpoint_id, kind, made_by, parked, states, lowest_id, below_id, state, total, done,
            skipped, created_at, ended_at
        from jobs
        where job_id = $1
        "#,
        job_id.to_string(),
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::doing("reading a job"))
}

/// Reads at most `limit` jobs, newest first, before one of them or from the last on; of one merchant, if it is given.
///
/// # Errors
/// If the statement fails.
pub async fn list_jobs(
    pool: &PgPool,
    merchant_id: Option<MerchantId>,
    endpoint_id: Option<EndpointId>,
    before: Option<JobId>,
    limit: i64,
) -> Result<Vec<Job>, Error> {
    let (merchant_id, endpoint_id) = (merchant_id.map(|id| id.to_string()), endpoint_id.map(|id| id.to_string()));
    sqlx::query_as!(
        Job,
        r#"
        select job_id, merchant_id, endpoint_id, kind, made_by, parked, states, lowest_id, below_id, state, total, done,
            skipped, created_at, ended_at
        from jobs
        where job_id < $1 and ($2::text is null or merchant_id = $2) and ($3::text is null or endpoint_id = $3)
        order by job_id desc
        limit $4
        "#,
        below(JobId::PREFIX, before),
        merchant_id,
        endpoint_id,
        limit,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("listing jobs"))
}

/// Cancels a job if it is running; answers it as it is then.
///
/// # Errors
/// If the statement fails.
pub async fn cancel_job(pool: &PgPool, job_id: JobId) -> Result<Option<Job>, Error> {
    sqlx::query!(
        "update jobs set state = 'cancelled', ended_at = clock_timestamp() where job_id = $1 and state = 'running'",
        job_id.to_string(),
    )
    .execute(pool)
    .await
    .map_err(Error::doing("cancelling a job"))?;
    find_job(pool, job_id).await
}
