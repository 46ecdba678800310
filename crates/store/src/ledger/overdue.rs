//! Deliveries that nobody seems to own, and parked ones whose reason may be gone.
//!
//! Nothing here grows with the retries that wait, or with what is parked and stays so.

use sqlx::PgPool;

use crate::Error;

/// Ids of pending deliveries that are past their time by `after_ms`, doubling with each claim; oldest first.
///
/// # Errors
/// If the statement fails.
pub async fn overdue(pool: &PgPool, after_ms: i64, limit: i64) -> Result<Vec<String>, Error> {
    // The statement's own moment, unlike clock_timestamp(), bounds the scan of the index.
    sqlx::query_scalar!(
        r#"
        select delivery_id as "delivery_id!"
        from deliveries
        where state = 'pending'
            and due_at < statement_timestamp() - $1 * interval '1 ms'
            and due_at < statement_timestamp() - $1 * power(2, least(claim, 6) - 1) * interval '1 ms'
        order by due_at
        limit $2
        "#,
        f64_of(after_ms),
        limit,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("looking for overdue deliveries"))
}

/// Ids of the enabled endpoints that have parked deliveries, of which nobody has said that they are to be left. Where a
/// job settles what becomes of them, it is the job's to do.
///
/// # Errors
/// If the statement fails.
pub async fn endpoints_with_parked(pool: &PgPool) -> Result<Vec<String>, Error> {
    // From one endpoint to the next in the index of parked deliveries: it costs as much as there are endpoints.
    sqlx::query_scalar!(
        r#"
        with recursive parked (endpoint_id) as (
            (
                select endpoint_id from deliveries
                where state = 'parked' and reason <> 'declined'
                order by endpoint_id limit 1
            )
            union all
            select (
                select d.endpoint_id from deliveries d
                where d.state = 'parked' and d.reason <> 'declined' and d.endpoint_id > parked.endpoint_id
                order by d.endpoint_id limit 1
            )
            from parked
            where parked.endpoint_id is not null
        )
        select p.endpoint_id as "endpoint_id!"
        from parked
        join endpoints p on p.endpoint_id = parked.endpoint_id and p.state = 'enabled'
        where not exists (
            select from jobs j
            where j.endpoint_id = p.endpoint_id and j.kind = 'enable' and j.state = 'running')
        "#,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("looking for endpoints with parked deliveries"))
}

/// Ids of deliveries that are parked at these endpoints, at most `limit`, of each endpoint the oldest first.
///
/// # Errors
/// If the statement fails.
pub async fn parked_at(pool: &PgPool, endpoint_ids: &[String], limit: i64) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"
        select d.delivery_id as "delivery_id!"
        from unnest($1::text[]) as p (endpoint_id)
        cross join lateral (
            select d.delivery_id from deliveries d
            where d.state = 'parked' and d.reason <> 'declined' and d.endpoint_id = p.endpoint_id
            order by d.delivery_id
            limit $2
        ) as d
        limit $2
        "#,
        endpoint_ids,
        limit,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("looking for parked deliveries that may go on"))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a configured duration are far below 2^53")]
fn f64_of(ms: i64) -> f64 {
    ms as f64
}
