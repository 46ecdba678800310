//! Records that name no event that the ledger knows: kept with their bytes and position.

use sqlx::PgPool;

use crate::Error;

/// A record to be parked.
#[derive(Debug, Clone)]
pub struct NewParkedRecord {
    /// Its id.
    pub parked_id: String,
    /// `domain::protocol::ParkedReason::as_str`.
    pub reason: &'static str,
    /// In words.
    pub detail: Option<String>,
    /// Kafka's.
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
}

/// Parks a record; the same record at the same position is parked once.
///
/// # Errors
/// If the statement fails.
pub async fn park_record(pool: &PgPool, record: &NewParkedRecord) -> Result<(), Error> {
    sqlx::query!(
        r#"
        insert into parked_records
            (parked_id, reason, detail, topic, kafka_partition, kafka_offset, key, value, event_id)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict (topic, kafka_partition, kafka_offset, sha256(value)) do nothing
        "#,
        record.parked_id,
        record.reason,
        record.detail,
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        record.event_id,
    )
    .execute(pool)
    .await
    .map_err(Error::doing("parking a record"))?;
    Ok(())
}

/// Ids of events that were unknown when a record named them, exist now, and are not routed.
///
/// # Errors
/// If the statement fails.
pub async fn recovered_events(pool: &PgPool, limit: i64) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"
        select distinct p.event_id as "event_id!"
        from parked_records p
        where p.reason = 'unknown_event' and p.resolved_at is null
            and p.event_id >= (select h.event_id from horizon h)
            and exists (select from domain_events e where e.event_id = p.event_id)
            and not exists (select from routed_events r where r.event_id = p.event_id)
        order by 1
        limit $1
        "#,
        limit,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("looking for parked records whose event exists now"))
}

/// Marks parked records as resolved whose event is routed by now; answers how many.
///
/// # Errors
/// If the statement fails.
pub async fn resolve_recovered(pool: &PgPool) -> Result<u64, Error> {
    let done = sqlx::query!(
        r#"
        update parked_records p
        set resolved_at = clock_timestamp()
        where p.reason = 'unknown_event' and p.resolved_at is null
            and exists (select from routed_events r where r.event_id = p.event_id)
        "#,
    )
    .execute(pool)
    .await
    .map_err(Error::doing("resolving parked records whose event is routed"))?;
    Ok(done.rows_affected())
}
