//! How endpoints do.

use domain::ids::EndpointId;
use domain::time::Timestamp;
use sqlx::PgPool;

use crate::Error;

/// How an endpoint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Failed attempts without a success between them.
    pub failures: i32,
    /// The first of them.
    pub failing_since: Option<Timestamp>,
    /// A failure after that disables it; none if that is never done, or it does not fail.
    pub disable_at: Option<Timestamp>,
    /// While nothing is sent: when the next attempt tries it.
    pub probe_at: Option<Timestamp>,
    /// The database's clock.
    pub now: Timestamp,
}

/// Reads how an endpoint does, also one that nobody has heard of.
///
/// # Errors
/// If the statement fails.
pub async fn read_health(pool: &PgPool, endpoint_id: EndpointId) -> Result<Health, Error> {
    let row = sqlx::query!(
        r#"
        select coalesce(g.failures, 0) as "failures!", g.failing_since as "failing_since?", g.disable_at as "disable_at?",
            g.probe_at as "probe_at?", clock.now as "now!"
        from (select clock_timestamp() as now) clock
        left join gates g on g.endpoint_id = $1
        "#,
        endpoint_id.to_string(),
    )
    .fetch_one(pool)
    .await
    .map_err(Error::doing("reading how an endpoint does"))?;
    Ok(Health {
        failures: row.failures,
        failing_since: row.failing_since.map(Timestamp::from),
        disable_at: row.disable_at.map(Timestamp::from),
        probe_at: row.probe_at.map(Timestamp::from),
        now: row.now.into(),
    })
}
