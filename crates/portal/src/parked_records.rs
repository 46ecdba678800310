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
use utoipa::{IntoParams, ToSchema};

use crate::Portal;
use crate::error::Error;
use crate::page::{Cursor, Limit, Page, cursor};

/// A page is cut short when its values pass this many bytes.
const MOST_BYTES: i64 = 4 * 1024 * 1024;

/// Which parked records.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// The `next_cursor` of the page before.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<ParkedId>>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Limit,
}

/// A record that names no event that the ledger knows.
#[derive(Serialize, ToSchema)]
pub(crate) struct ParkedRecord {
    parked_id: String,
    /// `unreadable`, `unknown_event` or `before_horizon`.
    reason: String,
    detail: Option<String>,
    /// Null if it came through Restate's ingress.
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    key_base64: Option<String>,
    value_base64: String,
    value_bytes: usize,
    event_id: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    parked_at: Timestamp,
    /// When its event was routed after all.
    #[schema(value_type = Option<String>, format = DateTime)]
    resolved_at: Option<Timestamp>,
}

/// Lists parked records. A page ends early when the values pass 4 MiB.
#[utoipa::path(get, path = "/parked-records", operation_id = "list_parked_records", tag = "ledger", params(Wanted),
    responses((status = 200, description = "A page", body = Page<ParkedRecord>)))]
pub(crate) async fn list(
    State(portal): State<Portal>,
    QueryParams(wanted): QueryParams<Wanted>,
) -> Result<Json<Page<ParkedRecord>>, Error> {
    let before = wanted.cursor.map(|cursor| cursor.0);
    let found = list_parked_records(&portal.lists, before, wanted.limit.get(), MOST_BYTES).await?;
    let next_cursor = found.records.last().filter(|_| found.has_more).map(|record| cursor(&record.parked_id));
    Ok(Json(Page { items: found.records.into_iter().map(shown).collect(), next_cursor }))
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
