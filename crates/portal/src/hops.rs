//! `GET /hops`: per event, the moments at which each hop of the way saw it.

use axum::Json;
use axum::extract::State;
use chassis::params::QueryParams;
use domain::ids::EventId;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::hops::list_hops;
use utoipa::{IntoParams, ToSchema};

use crate::Portal;
use crate::error::Error;
use crate::page::{Cursor, Limit, Page};
use crate::window::Window;

/// Of which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// That occurred then or later.
    #[param(value_type = String, format = DateTime)]
    from: Timestamp,
    /// That occurred before; at most 31 days after `from`.
    #[param(value_type = String, format = DateTime)]
    to: Timestamp,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<EventId>>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 10000, default = 50)]
    limit: Limit<10_000>,
}

/// When each hop of the way saw an event.
#[derive(Serialize, ToSchema)]
pub(crate) struct Hop {
    event_id: String,
    payment_id: String,
    object_version: i64,
    /// As CDC said; null if the event did not come through CDC.
    #[schema(value_type = Option<String>, format = DateTime)]
    committed_at: Option<Timestamp>,
    /// As CDC said; null if the event did not come through CDC.
    #[schema(value_type = Option<String>, format = DateTime)]
    captured_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    handled_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    routed_at: Timestamp,
}

/// Lists when each hop of the way saw the routed events of a window.
#[utoipa::path(get, path = "/hops", operation_id = "list_hops", tag = "ledger", params(Wanted),
    responses((status = 200, description = "A page", body = Page<Hop>)))]
pub(crate) async fn list(
    State(portal): State<Portal>,
    QueryParams(wanted): QueryParams<Wanted>,
) -> Result<Json<Page<Hop>>, Error> {
    let Window { from, to } = Window::new(wanted.from, wanted.to)?;
    let before = wanted.cursor.map(|cursor| cursor.0);
    let rows = list_hops(&portal.lists, from.into_inner(), to.into_inner(), before, wanted.limit.rows()).await?;
    Ok(Json(wanted.limit.page(rows, |hop| hop.event_id.clone()).map(shown)))
}

fn shown(hop: store::hops::Hop) -> Hop {
    Hop {
        event_id: hop.event_id,
        payment_id: hop.payment_id,
        object_version: hop.object_version,
        committed_at: hop.committed_at.map(Timestamp::from),
        captured_at: hop.captured_at.map(Timestamp::from),
        handled_at: hop.handled_at.into(),
        routed_at: hop.routed_at.into(),
    }
}
