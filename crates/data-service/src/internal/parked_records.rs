//! `POST /internal/parked-records`: keeps a record that names no event that the ledger knows.

use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::error_chain::Chain;
use chassis::{JsonBody, Problem};
use domain::ids::ParkedId;
use domain::protocol::ParkedRecord;
use store::ledger::NewParkedRecord;
use uuid::Uuid;

use super::storable;
use crate::app::App;

/// 204 once it is stored.
pub async fn post(State(app): State<App>, JsonBody(record): JsonBody<ParkedRecord>) -> Result<StatusCode, Problem> {
    let decode = |field: &'static str, text: &str| {
        STANDARD.decode(text).map_err(|_| Problem::field(field, "this is not base64"))
    };
    let key = record.key_base64.as_deref().map(|text| decode("key_base64", text)).transpose()?;
    let row = NewParkedRecord {
        parked_id: ParkedId::from_uuid(Uuid::now_v7()).to_string(),
        reason: record.reason.as_str(),
        detail: record.detail.map(storable),
        topic: record.topic.map(storable),
        partition: record.partition,
        offset: record.offset,
        key,
        value: decode("value_base64", &record.value_base64)?,
        event_id: record.event_id.map(|id| id.to_string()),
    };
    store::ledger::park_record(&app.core.rare, &row).await.map_err(|error| {
        tracing::warn!(error = %Chain(&error), "a record could not be parked");
        Problem::unavailable()
    })?;
    tracing::warn!(
        reason = row.reason,
        topic = row.topic,
        partition = row.partition,
        offset = row.offset,
        "a record was parked"
    );
    Ok(StatusCode::NO_CONTENT)
}
