//! `GET /accounts/{endpoint_id}/arrivals?after=&limit=`: what was accepted, in the order of first acceptance.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use chassis::Problem;
use serde::{Deserialize, Serialize};

use crate::Simulator;
use crate::account::Arrival;

const DEFAULT_LIMIT: usize = 1_000;
const MOST: usize = 10_000;

#[derive(Deserialize)]
pub(crate) struct Page {
    /// The `next` of the page before; 0 is the beginning.
    #[serde(default)]
    after: usize,
    /// At most 10,000.
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Arrivals<'a> {
    arrivals: &'a [Arrival],
    next: usize,
}

pub(crate) async fn list(
    State(simulator): State<Arc<Simulator>>,
    Path(endpoint_id): Path<String>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<([(HeaderName, HeaderValue); 1], Vec<u8>), Problem> {
    let Query(page) =
        page.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "invalid_query", error.body_text()))?;
    let limit = page.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::field("limit", format!("the limit is a number from 1 to {MOST}")));
    }
    // Written to bytes straight from the account: a copy of ten thousand arrivals would cost more.
    let json = simulator.with(&endpoint_id, |account| {
        let all = account.arrivals();
        let start = page.after.min(all.len());
        let end = start.saturating_add(limit).min(all.len());
        let arrivals = all.get(start..end).unwrap_or_default();
        serde_json::to_vec(&Arrivals { arrivals, next: end })
    })?;
    let json = json.map_err(|error| {
        tracing::error!(%error, endpoint_id, "arrivals could not be written as JSON");
        Problem::unavailable()
    })?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], json))
}
