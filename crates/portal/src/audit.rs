//! `GET /audit`: for a window, what became of every event that was committed in it.

use axum::Json;
use axum::extract::State;
use chassis::params::QueryParams;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::audit::account;
use utoipa::{IntoParams, ToSchema};

use crate::Portal;
use crate::error::Error;
use crate::window::Window;

/// Whatever should have gone on longer ago is a difference: twice what the reconciler waits by default.
const PATIENCE_S: i32 = 600;

/// Of which window.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Events that occurred then or later.
    #[param(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Events that occurred before; at most 31 days after `from`.
    #[param(value_type = String, format = DateTime)]
    to: Timestamp,
}

/// The account of a window. If nothing is wrong, `committed` = `unrouted` + `filtered` + `fanned_out`, `deliveries` is the
/// sum of the states, and `difference` is empty.
#[derive(Serialize, ToSchema)]
pub(crate) struct Audit {
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    committed: i64,
    unrouted: i64,
    filtered: i64,
    fanned_out: i64,
    deliveries: i64,
    delivered: i64,
    pending: i64,
    held: i64,
    parked: i64,
    exhausted: i64,
    superseded: i64,
    /// Records that were parked in the window and still name no event that the ledger knows.
    parked_records: i64,
    difference: Vec<Difference>,
}

/// Something that is not as it must be.
#[derive(Serialize, ToSchema)]
struct Difference {
    /// An event or a delivery.
    id: String,
    /// `unrouted`, `missing`, `of_another_event` or `overdue`.
    problem: String,
}

/// The account of a window: what became of each event that was committed in it.
#[utoipa::path(get, path = "/audit", operation_id = "read_audit", tag = "ledger", params(Asked),
    responses((status = 200, description = "The account", body = Audit)))]
pub(crate) async fn read(
    State(portal): State<Portal>,
    QueryParams(asked): QueryParams<Asked>,
) -> Result<Json<Audit>, Error> {
    let Window { from, to } = Window::new(asked.from, asked.to)?;
    let account = account(&portal.lists, from.into_inner(), to.into_inner(), PATIENCE_S).await?;
    let difference = account.difference.into_iter();
    Ok(Json(Audit {
        from,
        to,
        committed: account.committed,
        unrouted: account.unrouted,
        filtered: account.filtered,
        fanned_out: account.fanned_out,
        deliveries: account.deliveries,
        delivered: account.delivered,
        pending: account.pending,
        held: account.held,
        parked: account.parked,
        exhausted: account.exhausted,
        superseded: account.superseded,
        parked_records: account.parked_records,
        difference: difference.map(|found| Difference { id: found.id, problem: found.problem }).collect(),
    }))
}
