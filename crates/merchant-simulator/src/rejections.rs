//! `GET /accounts/{endpoint_id}/rejections`: the last thousand requests whose signature was not accepted.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chassis::Problem;
use serde::Serialize;

use crate::Simulator;
use crate::account::Rejection;

#[derive(Serialize)]
pub(crate) struct Rejections {
    /// Of all times, also those that are no longer listed.
    rejected_signature: u64,
    rejections: Vec<Rejection>,
}

pub(crate) async fn list(
    State(simulator): State<Arc<Simulator>>,
    Path(endpoint_id): Path<String>,
) -> Result<Json<Rejections>, Problem> {
    let rejections = simulator.with(&endpoint_id, |account| Rejections {
        rejected_signature: account.counts().rejected_signature,
        rejections: account.rejections().cloned().collect(),
    })?;
    Ok(Json(rejections))
}
