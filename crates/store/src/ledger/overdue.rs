//! Deliveries that nobody seems to own, and parked ones whose reason is gone.

use sqlx::PgPool;

use crate::Error;

/// Ids of pending deliveries that are past their time by `after_ms`, doubling with each claim; oldest first.
///
/// # Errors
/// If the statement fails.
pub async fn overdue(pool: &PgPool, after_ms: i64, limit: i64) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"
        select delivery_id as "delivery_id!"
        from deliveries
        where state = 'pending'
            and due_at < clock_timestamp() - $1 * interval '1 ms'
            and due_at < clock_timestamp() - $1 * power(2, least(claim, 12) - 1) * interval '1 ms'
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

/// Ids of parked deliveries whose endpoint is enabled again, or has a secret now.
///
/// # Errors
/// If the statement fails.
pub async fn resumable(pool: &PgPool, limit: i64) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"
        select d.delivery_id as "delivery_id!"
        from endpoints p
        join deliveries d on d.endpoint_id = p.endpoint_id and d.state = 'parked'
        where p.state = 'enabled'
            and exists (select from endpoint_secrets s where s.endpoint_id = p.endpoint_id)
        order by d.delivery_id
        limit $1
        "#,
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
