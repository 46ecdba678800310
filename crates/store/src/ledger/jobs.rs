//! The next step of a job: which deliveries it is about to move, and its place behind them.

use sqlx::{PgConnection, PgPool};

use super::bounds;
use crate::Error;

/// More are not counted: the count is for people, and must not take long.
const MOST_COUNTED: i64 = 20_000;

/// A running job, locked until its step commits.
#[derive(Debug, Clone)]
pub struct RunningJob {
    /// Its id.
    pub job_id: String,
    /// Whose deliveries it is about.
    pub endpoint_id: String,
    /// `domain::job::Kind::as_str`.
    pub kind: String,
    /// What was chosen for what was parked.
    pub parked: Option<String>,
    /// The states that it recovers.
    pub states: Option<Vec<String>>,
    /// It is about deliveries from this id on.
    pub lowest_id: String,
    /// And below this one.
    pub below_id: String,
    /// All up to this one are done.
    pub last_id: String,
    /// Whether it has begun.
    pub has_begun: bool,
}

/// Deliveries whose turn it is.
#[derive(Debug, Clone)]
pub struct Turns {
    /// Those to be moved.
    pub delivery_ids: Vec<String>,
    /// All up to this one are looked at; none if these are the last.
    pub looked_at: Option<String>,
}

/// Whether a job is running whose endpoint takes something.
///
/// # Errors
/// If the statement fails.
pub async fn has_running_jobs(pool: &PgPool) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"
        select exists (
            select from jobs j join endpoints p on p.endpoint_id = j.endpoint_id
            where j.state = 'running' and p.state = 'enabled') as "has!"
        "#,
    )
    .fetch_one(pool)
    .await
    .map_err(Error::doing("looking for running jobs"))
}

/// Locks the running job that has waited longest for its next step. One whose endpoint is not enabled waits until it is.
///
/// # Errors
/// If the statement fails.
pub async fn lock_job(connection: &mut PgConnection) -> Result<Option<RunningJob>, Error> {
    sqlx::query_as!(
        RunningJob,
        r#"
        select j.job_id as "job_id!", j.endpoint_id as "endpoint_id!", j.kind as "kind!", j.parked as "parked?",
            j.states as "states?", j.lowest_id as "lowest_id!", j.below_id as "below_id!", j.last_id as "last_id!",
            j.last_id <> '' as "has_begun!"
        from jobs j join endpoints p on p.endpoint_id = j.endpoint_id
        where j.state = 'running' and p.state = 'enabled'
        order by j.stepped_at nulls first, j.job_id
        limit 1
        for update of j
        "#,
    )
    .fetch_optional(connection)
    .await
    .map_err(Error::doing("taking a job"))
}

/// The next deliveries of a job in these states: at most `limit`, among the next `most` of the endpoint.
///
/// # Errors
/// If the statement fails.
pub async fn turns(
    connection: &mut PgConnection,
    job: &RunningJob,
    states: &[String],
    limit: i64,
    most: i64,
) -> Result<Turns, Error> {
    let rows = sqlx::query!(
        r#"
        select delivery_id as "delivery_id!", state = any($5) as "is_wanted!"
        from (
            select delivery_id, state from deliveries
            where endpoint_id = $1 and delivery_id > $2 and delivery_id >= $3 and delivery_id < $4
            order by delivery_id
            limit $6
        ) as next
        order by delivery_id
        "#,
        job.endpoint_id,
        job.last_id,
        job.lowest_id,
        job.below_id,
        states,
        most,
    )
    .fetch_all(connection)
    .await
    .map_err(Error::doing("reading the next deliveries of a job"))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_full = i64::try_from(rows.len()).is_ok_and(|found| found >= most);
    let last_looked_at = rows.last().map(|row| row.delivery_id.clone());
    let mut delivery_ids: Vec<String> =
        rows.into_iter().filter(|row| row.is_wanted).map(|row| row.delivery_id).collect();
    if delivery_ids.len() > limit {
        delivery_ids.truncate(limit);
        return Ok(Turns { looked_at: delivery_ids.last().cloned(), delivery_ids });
    }
    Ok(Turns { delivery_ids, looked_at: last_looked_at.filter(|_| is_full) })
}

/// As [`turns`], those that are parked and not declined: however many others there are.
///
/// # Errors
/// If the statement fails.
pub async fn parked_turns(connection: &mut PgConnection, job: &RunningJob, limit: i64) -> Result<Turns, Error> {
    let delivery_ids = sqlx::query_scalar!(
        r#"
        select delivery_id as "delivery_id!"
        from deliveries
        where state = 'parked' and reason <> 'declined'
            and endpoint_id = $1 and delivery_id > $2 and delivery_id >= $3 and delivery_id < $4
        order by delivery_id
        limit $5
        "#,
        job.endpoint_id,
        job.last_id,
        job.lowest_id,
        job.below_id,
        limit,
    )
    .fetch_all(connection)
    .await
    .map_err(Error::doing("reading the next parked deliveries of a job"))?;
    let is_full = i64::try_from(delivery_ids.len()).is_ok_and(|found| found >= limit);
    Ok(Turns { looked_at: delivery_ids.last().cloned().filter(|_| is_full), delivery_ids })
}

/// How many deliveries a job is about; none if that is very many. `states` is empty for those that are parked and not
/// declined.
///
/// # Errors
/// If the statement fails.
pub async fn count_turns(
    connection: &mut PgConnection,
    job: &RunningJob,
    states: &[String],
) -> Result<Option<i64>, Error> {
    let counted = match states.is_empty() {
        true => {
            sqlx::query_scalar!(
                r#"
                select count(*) as "count!"
                from (
                    select from deliveries
                    where state = 'parked' and reason <> 'declined'
                        and endpoint_id = $1 and delivery_id >= $2 and delivery_id < $3
                    limit $4
                ) as counted
                "#,
                job.endpoint_id,
                job.lowest_id,
                job.below_id,
                MOST_COUNTED,
            )
            .fetch_one(connection)
            .await
        }
        false => {
            sqlx::query_scalar!(
                r#"
                select case when count(*) < $5 then count(*) filter (where state = any($4)) else $5 end as "count!"
                from (
                    select state from deliveries
                    where endpoint_id = $1 and delivery_id >= $2 and delivery_id < $3
                    limit $5
                ) as counted
                "#,
                job.endpoint_id,
                job.lowest_id,
                job.below_id,
                states,
                MOST_COUNTED,
            )
            .fetch_one(connection)
            .await
        }
    };
    let counted = counted.map_err(Error::doing("counting the deliveries of a job"))?;
    Ok((counted < MOST_COUNTED).then_some(counted))
}

/// Moves a job behind the deliveries that were looked at; if there are no more, it is done.
///
/// # Errors
/// If the statement fails.
pub async fn step_job(
    connection: &mut PgConnection,
    job_id: &str,
    looked_at: Option<&str>,
    done: i64,
    skipped: i64,
    total: Option<i64>,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        update jobs
        set last_id = coalesce($2, last_id), done = done + $3, skipped = skipped + $4, total = coalesce(total, $5),
            stepped_at = clock_timestamp(), state = case when $2::text is null then 'done' else state end,
            ended_at = case when $2::text is null then clock_timestamp() end
        where job_id = $1
        "#,
        job_id,
        looked_at,
        done,
        skipped,
        total,
    )
    .execute(connection)
    .await
    .map_err(Error::doing("moving a job on"))?;
    Ok(())
}

/// A step of the job has failed: the others go first.
///
/// # Errors
/// If the statement fails.
pub async fn put_job_behind(pool: &PgPool, job_id: &str) -> Result<(), Error> {
    sqlx::query!("update jobs set stepped_at = clock_timestamp() where job_id = $1", job_id)
        .execute(pool)
        .await
        .map_err(Error::doing("putting a job behind the others"))?;
    Ok(())
}

/// Those of these deliveries whose object has a later event that was delivered to the same endpoint, or is still to be, or
/// is parked there.
///
/// # Errors
/// If the statement fails.
pub async fn followed(connection: &mut PgConnection, delivery_ids: &[String]) -> Result<Vec<String>, Error> {
    let (lowest, highest) = bounds(delivery_ids);
    sqlx::query_scalar!(
        r#"
        select d.delivery_id as "delivery_id!"
        from deliveries d
        join domain_events e on e.event_id = d.event_id
        where d.delivery_id = any($1) and d.delivery_id >= $2 and d.delivery_id <= $3
            and exists (
                select from domain_events later
                join routed_events r on r.event_id = later.event_id
                join deliveries next on next.delivery_id = any(r.delivery_ids) and next.endpoint_id = d.endpoint_id
                where later.object_id = e.object_id and later.object_version > e.object_version
                    and (next.state in ('pending', 'held', 'delivered')
                        or (next.state = 'parked' and next.reason <> 'declined')))
        "#,
        delivery_ids,
        lowest,
        highest,
    )
    .fetch_all(connection)
    .await
    .map_err(Error::doing("looking for what follows the deliveries of a job"))
}
