//! Events as lists show them, newest first.

use domain::event::EventFilter;
use domain::ids::{EventId, MerchantId};
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::Error;
use crate::span::Span;

/// An event, and how it was routed.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its id.
    pub event_id: String,
    /// What happened.
    pub event_type: String,
    /// The kind of its object.
    pub object_type: String,
    /// Its object.
    pub object_id: String,
    /// The version that the change made.
    pub object_version: i64,
    /// Whose it is.
    pub merchant_id: String,
    /// When it happened.
    pub occurred_at: OffsetDateTime,
    /// How many endpoints wanted it; none if nobody has routed it.
    pub fan_out: Option<i32>,
    /// When it was routed.
    pub routed_at: Option<OffsetDateTime>,
}

/// What a reader of one event wants besides.
#[derive(Debug, Clone)]
pub struct Details {
    /// The object as it was committed; none if it was too large.
    pub snapshot: Option<serde_json::Value>,
    /// W3C, if the change carried one.
    pub traceparent: Option<String>,
    /// Its deliveries.
    pub delivery_ids: Vec<String>,
}

/// Reads at most `limit` events of a span, newest first; those that a filter matches.
///
/// # Errors
/// If the statement fails.
pub async fn list_events(
    pool: &PgPool,
    span: &Span,
    event_type: Option<&EventFilter>,
    limit: i64,
) -> Result<Vec<Event>, Error> {
    let (exact, prefix) = split(event_type);
    sqlx::query_as!(
        Event,
        r#"
        select e.event_id, e.event_type, e.object_type, e.object_id, e.object_version, e.merchant_id, e.occurred_at,
            r.fan_out as "fan_out?", r.routed_at as "routed_at?"
        from (
            select * from domain_events
            where event_id >= $1 and event_id < $2
                and ($3::timestamptz is null or occurred_at >= $3) and ($4::timestamptz is null or occurred_at < $4)
                and ($5::text is null or event_type = $5) and ($6::text is null or starts_with(event_type, $6))
            order by event_id desc
            limit $7
        ) as e
        left join lateral (
            select fan_out, routed_at from routed_events where event_id = e.event_id limit 1
        ) as r on true
        order by e.event_id desc
        "#,
        span.lowest,
        span.below,
        span.from,
        span.to,
        exact,
        prefix,
        limit,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("listing events"))
}

/// As [`list_events`], of one merchant.
///
/// # Errors
/// If the statement fails.
pub async fn list_events_of_merchant(
    pool: &PgPool,
    merchant_id: MerchantId,
    span: &Span,
    event_type: Option<&EventFilter>,
    limit: i64,
) -> Result<Vec<Event>, Error> {
    let (exact, prefix) = split(event_type);
    sqlx::query_as!(
        Event,
        r#"
        select e.event_id, e.event_type, e.object_type, e.object_id, e.object_version, e.merchant_id, e.occurred_at,
            r.fan_out as "fan_out?", r.routed_at as "routed_at?"
        from (
            select * from domain_events
            where merchant_id = $8 and event_id >= $1 and event_id < $2
                and ($3::timestamptz is null or occurred_at >= $3) and ($4::timestamptz is null or occurred_at < $4)
                and ($5::text is null or event_type = $5) and ($6::text is null or starts_with(event_type, $6))
            order by event_id desc
            limit $7
        ) as e
        left join lateral (
            select fan_out, routed_at from routed_events where event_id = e.event_id limit 1
        ) as r on true
        order by e.event_id desc
        "#,
        span.lowest,
        span.below,
        span.from,
        span.to,
        exact,
        prefix,
        limit,
        merchant_id.to_string(),
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("listing the events of a merchant"))
}

/// As [`list_events`], of one object, which has few; only if it is of `merchant_id`, where one is given.
///
/// # Errors
/// If the statement fails.
pub async fn list_events_of_object(
    pool: &PgPool,
    object_id: &str,
    merchant_id: Option<MerchantId>,
    span: &Span,
    event_type: Option<&EventFilter>,
    limit: i64,
) -> Result<Vec<Event>, Error> {
    let (exact, prefix) = split(event_type);
    sqlx::query_as!(
        Event,
        r#"
        select e.event_id, e.event_type, e.object_type, e.object_id, e.object_version, e.merchant_id, e.occurred_at,
            r.fan_out as "fan_out?", r.routed_at as "routed_at?"
        from (
            select * from domain_events
            where object_id = $8 and event_id >= $1 and event_id < $2
                and ($3::timestamptz is null or occurred_at >= $3) and ($4::timestamptz is null or occurred_at < $4)
                and ($5::text is null or event_type = $5) and ($6::text is null or starts_with(event_type, $6))
                and ($9::text is null or merchant_id = $9)
            order by event_id desc
            limit $7
        ) as e
        left join lateral (
            select fan_out, routed_at from routed_events where event_id = e.event_id limit 1
        ) as r on true
        order by e.event_id desc
        "#,
        span.lowest,
        span.below,
        span.from,
        span.to,
        exact,
        prefix,
        limit,
        object_id,
        merchant_id.map(|id| id.to_string()),
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("listing the events of an object"))
}

/// The last of `most` events of a span, from its newest end; of one merchant, where one is given. None if there are
/// fewer.
///
/// # Errors
/// If the statement fails.
pub async fn last_of_events(
    pool: &PgPool,
    merchant_id: Option<MerchantId>,
    span: &Span,
    most: i64,
) -> Result<Option<String>, Error> {
    let found = match merchant_id {
        None => {
            sqlx::query_scalar!(
                r#"
                select event_id from domain_events
                where event_id >= $1 and event_id < $2
                order by event_id desc
                offset $3::bigint - 1 limit 1
                "#,
                span.lowest,
                span.below,
                most,
            )
            .fetch_optional(pool)
            .await
        }
        Some(merchant_id) => {
            sqlx::query_scalar!(
                r#"
                select event_id from domain_events
                where merchant_id = $4 and event_id >= $1 and event_id < $2
                order by event_id desc
                offset $3::bigint - 1 limit 1
                "#,
                span.lowest,
                span.below,
                most,
                merchant_id.to_string(),
            )
            .fetch_optional(pool)
            .await
        }
    };
    found.map_err(Error::doing("looking how far a look at events goes"))
}

/// Reads an event; none if there is no such event.
///
/// # Errors
/// If the statement fails.
pub async fn find_event(pool: &PgPool, event_id: EventId) -> Result<Option<(Event, Details)>, Error> {
    let row = sqlx::query!(
        r#"
        select e.event_id, e.event_type, e.object_type, e.object_id, e.object_version, e.merchant_id, e.occurred_at,
            e.snapshot, e.traceparent, r.fan_out as "fan_out?", r.routed_at as "routed_at?",
            r.delivery_ids as "delivery_ids?"
        from domain_events e
        left join routed_events r on r.event_id = e.event_id and r.event_id = $1
        where e.event_id = $1
        "#,
        event_id.to_string(),
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::doing("reading an event with its details"))?;
    Ok(row.map(|row| {
        let event = Event {
            event_id: row.event_id,
            event_type: row.event_type,
            object_type: row.object_type,
            object_id: row.object_id,
            object_version: row.object_version,
            merchant_id: row.merchant_id,
            occurred_at: row.occurred_at,
            fan_out: row.fan_out,
            routed_at: row.routed_at,
        };
        let delivery_ids = row.delivery_ids.unwrap_or_default();
        (event, Details { snapshot: row.snapshot, traceparent: row.traceparent, delivery_ids })
    }))
}

/// A filter as an exact type, or what a type begins with.
fn split(filter: Option<&EventFilter>) -> (Option<&str>, Option<&str>) {
    match filter.map(|filter| (filter.as_str(), filter.as_str().strip_suffix('*'))) {
        None => (None, None),
        Some((_, Some(prefix))) => (None, Some(prefix)),
        Some((exact, None)) => (Some(exact), None),
    }
}
