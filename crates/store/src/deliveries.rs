//! Deliveries and their attempts as lists show them, newest first.

use domain::ids::{AttemptId, DeliveryId, EventId};
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::Error;
use crate::span::{Span, below};

/// A delivery, with what its event says of it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its id.
    pub delivery_id: String,
    /// Its event.
    pub event_id: String,
    /// What happened.
    pub event_type: Option<String>,
    /// Whose it is.
    pub merchant_id: Option<String>,
    /// Where to.
    pub endpoint_id: String,
    /// Its state.
    pub state: String,
    /// Why it is parked or exhausted.
    pub reason: Option<String>,
    /// Attempts begun.
    pub attempts: i32,
    /// When it was made, in milliseconds.
    pub created_at: OffsetDateTime,
    /// When it is due.
    pub due_at: OffsetDateTime,
    /// Whether it stays at the gate of its endpoint until it is let in.
    pub at_gate: bool,
    /// When the attempt under way began.
    pub begun_at: Option<OffsetDateTime>,
    /// When it ended.
    pub ended_at: Option<OffsetDateTime>,
    /// When it was delivered before it was resent.
    pub accepted_at: Option<OffsetDateTime>,
}

/// An attempt that has ended.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its id.
    pub attempt_id: String,
    /// Its delivery.
    pub delivery_id: String,
    /// The claim under which it was made.
    pub claim: i32,
    /// From 1.
    pub number: i32,
    /// When it began.
    pub began_at: OffsetDateTime,
    /// How long it took.
    pub duration_ms: Option<i64>,
    /// What became of it.
    pub outcome: String,
    /// The HTTP status.
    pub status: Option<i16>,
    /// In words.
    pub detail: Option<String>,
    /// When it was written to the ledger.
    pub recorded_at: OffsetDateTime,
    /// When the next attempt was due after it; none if none was to come.
    pub next_at: Option<OffsetDateTime>,
    /// The IP address that the connection was with, or was to be with.
    pub address: Option<String>,
    /// Look-up, connection and TLS; none where a connection was used again, or none came to stand.
    pub connect_ms: Option<i32>,
    /// From the beginning to the head of the answer.
    pub first_byte_ms: Option<i32>,
    /// Of the answer, as lines `name: value`; none if there was no answer.
    pub response_headers: Option<String>,
    /// The beginning of the answer's body; none if it is empty.
    pub response_body: Option<Vec<u8>>,
}

/// Reads at most `limit` deliveries of a span, newest first; those in a state, where one is given.
///
/// # Errors
/// If the statement fails.
pub async fn list_deliveries(
    pool: &PgPool,
    span: &Span,
    state: Option<&str>,
    limit: i64,
) -> Result<Vec<Delivery>, Error> {
    sqlx::query_as!(
        Delivery,
        r#"
        select d.delivery_id, d.event_id, e.event_type as "event_type?", e.merchant_id as "merchant_id?",
            d.endpoint_id, d.state, d.reason, d.attempts, id_made_at(d.delivery_id) as "created_at!", d.due_at,
            d.at_gate, d.begun_at, d.ended_at, d.accepted_at
        from (
            select * from deliveries
            where delivery_id >= $1 and delivery_id < $2 and ($3::text is null or state = $3)
            order by delivery_id desc
            limit $4
        ) as d
        left join lateral (
            select event_type, merchant_id from domain_events where event_id = d.event_id limit 1
        ) as e on true
        order by d.delivery_id desc
        "#,
        span.lowest,
        span.below,
        state,
        limit,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("listing deliveries"))
}

/// As [`list_deliveries`], to these endpoints.
///
/// # Errors
/// If the statement fails.
pub async fn list_deliveries_to(
    pool: &PgPool,
    endpoint_ids: &[String],
    span: &Span,
    state: Option<&str>,
    limit: i64,
) -> Result<Vec<Delivery>, Error> {
    // Each endpoint's part is read in the order of the index, and only as far as the page can reach.
    sqlx::query_as!(
        Delivery,
        r#"
        select d.delivery_id as "delivery_id!", d.event_id as "event_id!", e.event_type as "event_type?",
            e.merchant_id as "merchant_id?", d.endpoint_id as "endpoint_id!", d.state as "state!",
            d.reason as "reason?", d.attempts as "attempts!", id_made_at(d.delivery_id) as "created_at!",
            d.due_at as "due_at!", d.at_gate as "at_gate!", d.begun_at as "begun_at?", d.ended_at as "ended_at?",
            d.accepted_at as "accepted_at?"
        from (
            select part.*
            from unnest($5::text[]) as p (endpoint_id)
            cross join lateral (
                select * from deliveries
                where endpoint_id = p.endpoint_id and delivery_id >= $1 and delivery_id < $2
                    and ($3::text is null or state = $3)
                order by delivery_id desc
                limit $4
            ) as part
            order by part.delivery_id desc
            limit $4
        ) as d
        left join lateral (
            select event_type, merchant_id from domain_events where event_id = d.event_id limit 1
        ) as e on true
        order by d.delivery_id desc
        "#,
        span.lowest,
        span.below,
        state,
        limit,
        endpoint_ids,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("listing the deliveries to endpoints"))
}

/// As [`list_deliveries`], of one event; only those to `endpoint_ids`, where some are given.
///
/// # Errors
/// If the statement fails.
pub async fn list_deliveries_of(
    pool: &PgPool,
    event_id: EventId,
    endpoint_ids: Option<&[String]>,
    span: &Span,
    state: Option<&str>,
    limit: i64,
) -> Result<Vec<Delivery>, Error> {
    sqlx::query_as!(
        Delivery,
        r#"
        select d.delivery_id as "delivery_id!", d.event_id as "event_id!", e.event_type as "event_type?",
            e.merchant_id as "merchant_id?", d.endpoint_id as "endpoint_id!", d.state as "state!",
            d.reason as "reason?", d.attempts as "attempts!", id_made_at(d.delivery_id) as "created_at!",
            d.due_at as "due_at!", d.at_gate as "at_gate!", d.begun_at as "begun_at?", d.ended_at as "ended_at?",
            d.accepted_at as "accepted_at?"
        from (
            select d.*
            from routed_events r
            cross join unnest(r.delivery_ids) as named (delivery_id)
            cross join lateral (
                select * from deliveries where delivery_id = named.delivery_id limit 1
            ) as d
            where r.event_id = $5 and d.delivery_id >= $1 and d.delivery_id < $2
                and ($3::text is null or d.state = $3) and ($6::text[] is null or d.endpoint_id = any($6))
            order by d.delivery_id desc
            limit $4
        ) as d
        left join lateral (
            select event_type, merchant_id from domain_events where event_id = d.event_id limit 1
        ) as e on true
        order by d.delivery_id desc
        "#,
        span.lowest,
        span.below,
        state,
        limit,
        event_id.to_string(),
        endpoint_ids,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("listing the deliveries of an event"))
}

/// The last of `most` deliveries of a span, from its newest end. None if there are fewer.
///
/// # Errors
/// If the statement fails.
pub async fn last_of_deliveries(pool: &PgPool, span: &Span, most: i64) -> Result<Option<String>, Error> {
    sqlx::query_scalar!(
        r#"
        select delivery_id from deliveries
        where delivery_id >= $1 and delivery_id < $2
        order by delivery_id desc
        offset $3::bigint - 1 limit 1
        "#,
        span.lowest,
        span.below,
        most,
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::doing("looking how far a look at deliveries goes"))
}

/// As [`last_of_deliveries`], of `most` to each of these endpoints; the newest of these.
///
/// # Errors
/// If the statement fails.
pub async fn last_of_deliveries_to(
    pool: &PgPool,
    endpoint_ids: &[String],
    span: &Span,
    most: i64,
) -> Result<Option<String>, Error> {
    sqlx::query_scalar!(
        r#"
        select max(last.delivery_id) as "last?"
        from unnest($4::text[]) as p (endpoint_id)
        cross join lateral (
            select delivery_id from deliveries
            where endpoint_id = p.endpoint_id and delivery_id >= $1 and delivery_id < $2
            order by delivery_id desc
            offset $3::bigint - 1 limit 1
        ) as last
        "#,
        span.lowest,
        span.below,
        most,
        endpoint_ids,
    )
    .fetch_one(pool)
    .await
    .map_err(Error::doing("looking how far a look at the deliveries to endpoints goes"))
}

/// Reads a delivery; none if there is no such delivery.
///
/// # Errors
/// If the statement fails.
pub async fn find_delivery(pool: &PgPool, delivery_id: DeliveryId) -> Result<Option<Delivery>, Error> {
    sqlx::query_as!(
        Delivery,
        r#"
        select d.delivery_id, d.event_id, e.event_type as "event_type?",
            -- Events go before the ledger does.
            (select p.merchant_id from endpoints p where p.endpoint_id = d.endpoint_id) as "merchant_id?",
            d.endpoint_id, d.state, d.reason, d.attempts, id_made_at(d.delivery_id) as "created_at!", d.due_at,
            d.at_gate, d.begun_at, d.ended_at, d.accepted_at
        from deliveries d
        left join lateral (
            select event_type from domain_events where event_id = d.event_id limit 1
        ) as e on true
        where d.delivery_id = $1
        "#,
        delivery_id.to_string(),
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::doing("reading a delivery"))
}

/// Reads at most `limit` ended attempts of a delivery, newest first, before one of them or from the last on.
///
/// # Errors
/// If the statement fails.
pub async fn list_attempts(
    pool: &PgPool,
    delivery_id: DeliveryId,
    before: Option<AttemptId>,
    limit: i64,
) -> Result<Vec<Attempt>, Error> {
    sqlx::query_as!(
        Attempt,
        r#"
        select attempt_id, delivery_id, claim, number, began_at, duration_ms, outcome, status, detail, recorded_at, next_at,
            address, connect_ms, first_byte_ms, response_headers, response_body
        from attempts
        where delivery_id = $1 and attempt_id < $2
            -- An attempt is later than its delivery.
            and attempt_id >= lowest_id('att_', greatest(id_made_at($1) - interval '1 day', timestamptz 'epoch'))
        order by attempt_id desc
        limit $3
        "#,
        delivery_id.to_string(),
        below(AttemptId::PREFIX, before),
        limit,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("listing the attempts of a delivery"))
}
