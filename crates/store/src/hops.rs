//! When each hop of the way saw an event.

use domain::ids::EventId;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::Error;
use crate::span::below;

/// The hops of one routed event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The event.
    pub event_id: String,
    /// Whose change it is.
    pub payment_id: String,
    /// The version that the change made.
    pub object_version: i64,
    /// As CDC said.
    pub committed_at: Option<OffsetDateTime>,
    /// When CDC read it.
    pub captured_at: Option<OffsetDateTime>,
    /// When the durable handler began.
    pub handled_at: OffsetDateTime,
    /// When it was written to the ledger.
    pub routed_at: OffsetDateTime,
}

/// Reads at most `limit` hops of the payments' events that occurred from `from` until before `to`, newest first,
/// before one of them or from the last on.
///
/// # Errors
/// If the statement fails.
pub async fn list_hops(
    pool: &PgPool,
    from: OffsetDateTime,
    to: OffsetDateTime,
    before: Option<EventId>,
    limit: i64,
) -> Result<Vec<Hop>, Error> {
    sqlx::query_as!(
        Hop,
        r#"
        select r.event_id, e.object_id as payment_id, e.object_version, r.committed_at, r.captured_at, r.handled_at,
            r.routed_at
        from routed_events r
        -- The limit makes the planner follow the order of routed_events and stop when the page is full.
        cross join lateral (
            select object_type, object_id, object_version, occurred_at from domain_events where event_id = r.event_id limit 1
        ) e
        where r.event_id >= lowest_id('evt_', $1)
            and r.event_id < lowest_id('evt_', $2::timestamptz + interval '1 ms')
            and r.event_id < $3
            and e.occurred_at >= $1 and e.occurred_at < $2 and e.object_type = 'payment'
        order by r.event_id desc
        limit $4
        "#,
        from,
        to,
        below(EventId::PREFIX, before),
        limit,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("listing the hops of events"))
}
