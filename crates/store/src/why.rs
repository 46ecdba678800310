//! Everything that says where an event or a delivery is.

use sqlx::PgPool;
use time::OffsetDateTime;

use crate::Error;

/// An event and its row on the ledger.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its id.
    pub event_id: String,
    /// What happened.
    pub event_type: String,
    /// The version that the change made.
    pub object_version: i64,
    /// Whose.
    pub merchant_id: String,
    /// When.
    pub occurred_at: OffsetDateTime,
    /// Whether the sweep looks at it no more.
    pub below_horizon: bool,
    /// Its row on the ledger; none if nobody has routed it.
    pub routed: Option<Routed>,
}

/// How an event was routed.
#[derive(Debug, Clone)]
pub struct Routed {
    /// Whether the record came through CDC; otherwise the reconciler sent it.
    pub from_cdc: bool,
    /// One for each endpoint that wanted it.
    pub delivery_ids: Vec<String>,
    /// As CDC said.
    pub committed_at: Option<OffsetDateTime>,
    /// When CDC read it.
    pub captured_at: Option<OffsetDateTime>,
    /// When the durable handler began.
    pub handled_at: OffsetDateTime,
    /// When it was written to the ledger.
    pub routed_at: OffsetDateTime,
}

/// A delivery, with what matters of its endpoint.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its id.
    pub delivery_id: String,
    /// Its event.
    pub event_id: String,
    /// Where to.
    pub endpoint_id: String,
    /// Its state.
    pub state: String,
    /// Why it is parked or exhausted.
    pub reason: Option<String>,
    /// Its claim.
    pub claim: i32,
    /// Attempts begun.
    pub attempts: i32,
    /// When it is due.
    pub due_at: OffsetDateTime,
    /// Whether it stays at the gate of its endpoint until it is let in.
    pub at_gate: bool,
    /// Who makes the attempt under way.
    pub owner: Option<String>,
    /// When the attempt under way began.
    pub begun_at: Option<OffsetDateTime>,
    /// Until when the attempt under way can be.
    pub lease_until: Option<OffsetDateTime>,
    /// When it ended.
    pub ended_at: Option<OffsetDateTime>,
    /// Why its endpoint is disabled; none if it is enabled.
    pub disabled_reason: Option<String>,
    /// Whether its endpoint is paused.
    pub is_paused: bool,
}

/// An attempt that has ended.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its id.
    pub attempt_id: String,
    /// Of which delivery.
    pub delivery_id: String,
    /// From 1.
    pub number: i32,
    /// When it began.
    pub began_at: OffsetDateTime,
    /// What became of it.
    pub outcome: String,
    /// The HTTP status.
    pub status: Option<i16>,
    /// How long it took.
    pub duration_ms: Option<i64>,
    /// In words.
    pub detail: Option<String>,
    /// The IP address that the connection was with, or was to be with.
    pub address: Option<String>,
    /// When the next attempt was due after it; none if none was to come.
    pub next_at: Option<OffsetDateTime>,
}

struct EventRow {
    event_id: String,
    event_type: String,
    object_version: i64,
    merchant_id: String,
    occurred_at: OffsetDateTime,
    below_horizon: bool,
    from_cdc: Option<bool>,
    delivery_ids: Option<Vec<String>>,
    committed_at: Option<OffsetDateTime>,
    captured_at: Option<OffsetDateTime>,
    handled_at: Option<OffsetDateTime>,
    routed_at: Option<OffsetDateTime>,
}

/// Reads the database's clock.
///
/// # Errors
/// If the statement fails.
pub async fn database_now(pool: &PgPool) -> Result<OffsetDateTime, Error> {
    sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
        .fetch_one(pool)
        .await
        .map_err(Error::doing("reading the database's clock"))
}

/// Reads an event; none if there is no such event.
///
/// # Errors
/// If the statement fails.
pub async fn find_event(pool: &PgPool, event_id: &str) -> Result<Option<Event>, Error> {
    let row = sqlx::query_as!(
        EventRow,
        r#"
        select e.event_id, e.event_type, e.object_version, e.merchant_id, e.occurred_at,
            e.event_id < h.event_id as "below_horizon!",
            r.from_cdc as "from_cdc?", r.delivery_ids as "delivery_ids?", r.committed_at, r.captured_at,
            r.handled_at as "handled_at?", r.routed_at as "routed_at?"
        from domain_events e
        cross join horizon h
        left join routed_events r on r.event_id = e.event_id
        where e.event_id = $1
        "#,
        event_id,
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::doing("reading an event"))?;
    Ok(row.map(EventRow::into_event))
}

/// Reads the newest events of an object, at most `limit`, in the order of their versions.
///
/// # Errors
/// If the statement fails.
pub async fn events_of(pool: &PgPool, object_id: &str, limit: i64) -> Result<Vec<Event>, Error> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"
        select e.event_id, e.event_type, e.object_version, e.merchant_id, e.occurred_at,
            e.event_id < h.event_id as "below_horizon!",
            r.from_cdc as "from_cdc?", r.delivery_ids as "delivery_ids?", r.committed_at, r.captured_at,
            r.handled_at as "handled_at?", r.routed_at as "routed_at?"
        from (select * from domain_events where object_id = $1 order by object_version desc limit $2) as e
        cross join horizon h
        left join routed_events r on r.event_id = e.event_id
        order by e.object_version
        "#,
        object_id,
        limit,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("reading the events of an object"))?;
    Ok(rows.into_iter().map(EventRow::into_event).collect())
}

/// Reads deliveries by their ids, in the order of the ids; what does not exist is left out.
///
/// # Errors
/// If the statement fails.
pub async fn deliveries(pool: &PgPool, delivery_ids: &[String]) -> Result<Vec<Delivery>, Error> {
    sqlx::query_as!(
        Delivery,
        r#"
        select d.delivery_id, d.event_id, d.endpoint_id, d.state, d.reason, d.claim, d.attempts, d.due_at, d.at_gate, d.owner,
            d.begun_at, d.lease_until, d.ended_at, p.disabled_reason as "disabled_reason?",
            coalesce(p.state = 'paused', false) as "is_paused!"
        from deliveries d
        left join endpoints p on p.endpoint_id = d.endpoint_id
        where d.delivery_id = any($1)
        order by d.delivery_id
        "#,
        delivery_ids,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("reading deliveries and their endpoints"))
}

/// Reads the ended attempts of deliveries, in the order in which they began.
///
/// # Errors
/// If the statement fails.
pub async fn attempts_of(pool: &PgPool, delivery_ids: &[String]) -> Result<Vec<Attempt>, Error> {
    sqlx::query_as!(
        Attempt,
        r#"
        select attempt_id, delivery_id, number, began_at, outcome, status, duration_ms, detail, address, next_at
        from attempts
        where delivery_id = any($1)
        order by delivery_id, number, began_at
        "#,
        delivery_ids,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("reading the attempts of deliveries"))
}

impl EventRow {
    fn into_event(self) -> Event {
        let routed = match (self.from_cdc, self.delivery_ids, self.handled_at, self.routed_at) {
            (Some(from_cdc), Some(delivery_ids), Some(handled_at), Some(routed_at)) => Some(Routed {
                from_cdc,
                delivery_ids,
                committed_at: self.committed_at,
                captured_at: self.captured_at,
                handled_at,
                routed_at,
            }),
            _ => None,
        };
        Event {
            event_id: self.event_id,
            event_type: self.event_type,
            object_version: self.object_version,
            merchant_id: self.merchant_id,
            occurred_at: self.occurred_at,
            below_horizon: self.below_horizon,
            routed,
        }
    }
}
