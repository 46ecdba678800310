//! Reading parked records: what came over the topic or the ingress and names no event that the ledger knows.

use domain::ids::ParkedId;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::Error;
use crate::span::below;

/// A parked record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRecord {
    /// Its id.
    pub parked_id: String,
    /// `domain::protocol::ParkedReason::as_str`.
    pub reason: String,
    /// The reason in words.
    pub detail: Option<String>,
    /// Kafka's; none if it came through the ingress.
    pub topic: Option<String>,
    /// Kafka's.
    pub partition: Option<i32>,
    /// Kafka's.
    pub offset: Option<i64>,
    /// As it was.
    pub key: Option<Vec<u8>>,
    /// As it was.
    pub value: Vec<u8>,
    /// The event that it names.
    pub event_id: Option<String>,
    /// When it was parked.
    pub parked_at: OffsetDateTime,
    /// When its event was routed after all.
    pub resolved_at: Option<OffsetDateTime>,
}

/// Some parked records, and whether there are more behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Newest first.
    pub records: Vec<ParkedRecord>,
    /// Whether there are more.
    pub has_more: bool,
}

/// Reads at most `limit` records, newest first, before one of them or from the last on; fewer if their values
/// together pass `most_bytes`, but at least one.
///
/// # Errors
/// If the statement fails.
pub async fn list_parked_records(
    pool: &PgPool,
    before: Option<ParkedId>,
    limit: i64,
    most_bytes: i64,
) -> Result<Page, Error> {
    let rows = sqlx::query!(
        r#"
        select parked_id, reason, detail, topic, kafka_partition, kafka_offset, key, value, event_id, parked_at,
            resolved_at, found as "found!"
        from (
            select *, count(*) over () as found,
                sum(octet_length(value)) over (order by parked_id desc) - octet_length(value) as bytes_before
            from (select * from parked_records where parked_id < $1 order by parked_id desc limit $2::bigint + 1) as page
        ) as sized
        where bytes_before < $3
        order by parked_id desc
        limit $2
        "#,
        below(ParkedId::PREFIX, before),
        limit,
        most_bytes,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("listing parked records"))?;
    let has_more = rows.first().is_some_and(|row| usize::try_from(row.found).is_ok_and(|found| found > rows.len()));
    let records = rows.into_iter().map(|row| ParkedRecord {
        parked_id: row.parked_id,
        reason: row.reason,
        detail: row.detail,
        topic: row.topic,
        partition: row.kafka_partition,
        offset: row.kafka_offset,
        key: row.key,
        value: row.value,
        event_id: row.event_id,
        parked_at: row.parked_at,
        resolved_at: row.resolved_at,
    });
    Ok(Page { records: records.collect(), has_more })
}

/// Reads the id of an unresolved parked record that names an unknown event, if there is one.
///
/// # Errors
/// If the statement fails.
pub async fn record_naming(pool: &PgPool, event_id: &str) -> Result<Option<String>, Error> {
    sqlx::query_scalar!(
        r#"
        select parked_id
        from parked_records
        where event_id = $1 and reason = 'unknown_event' and resolved_at is null
        order by parked_id
        limit 1
        "#,
        event_id,
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::doing("looking for a parked record that names an event"))
}
