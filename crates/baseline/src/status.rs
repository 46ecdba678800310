//! `GET /status`: how much is in memory only.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::outbox::Outbox;

#[derive(Serialize)]
pub(crate) struct Status {
    /// Events that are not yet delivered, or given up, everywhere. A kill loses them.
    in_memory: usize,
}

pub(crate) async fn read(State(outbox): State<Outbox>) -> Json<Status> {
    Json(Status { in_memory: outbox.in_memory() })
}
