//! `GET /parked-records`: what names no event that the ledger knows, with its bytes and its place.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::params::QueryParams;
use domain::ids::ParkedId;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::parked::list_parked_records;

use crate::Portal;
use crate::error::Error;
use crate::limit::Limit;

/// A page is cut short when its values pass this many bytes.
const MOST_BYTES: i64 = 4 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    #[serde(default)]
    after: Option<ParkedId>,
    #[serde(default)]
    limit: Limit<1000>,
}

#[derive(Serialize)]
pub(crate) struct ParkedRecords {
    parked_records: Vec<ParkedRecord>,
    next: Option<String>,
}

#[derive(Serialize)]
struct ParkedRecord {
    parked_id: String,
    reason: String,
    detail: Option<String>,
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    key_base64: Option<String>,
    value_base64: String,
    value_bytes: usize,
    event_id: Option<String>,
    parked_at: Timestamp,
    resolved_at: Option<Timestamp>,
}

pub(crate) async fn list(
    State(portal): State<Portal>,
    QueryParams(page): QueryParams<Page>,
) -> Result<Json<ParkedRecords>, Error> {
    let found = list_parked_records(&portal.pool, page.after, page.limit.get(), MOST_BYTES).await?;
    let next = found.records.last().filter(|_| found.has_more).map(|record| record.parked_id.clone());
    Ok(Json(ParkedRecords { parked_records: found.records.into_iter().map(shown).collect(), next }))
}

fn shown(record: store::parked::ParkedRecord) -> ParkedRecord {
    ParkedRecord {
        parked_id: record.parked_id,
        reason: record.reason,
        detail: record.detail,
        topic: record.topic,
        partition: record.partition,
        offset: record.offset,
        key_base64: record.key.map(|key| STANDARD.encode(key)),
        value_bytes: record.value.len(),
        value_base64: STANDARD.encode(record.value),
        event_id: record.event_id,
        parked_at: record.parked_at.into(),
        resolved_at: record.resolved_at.map(Timestamp::from),
    }
}
