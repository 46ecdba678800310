//! `GET /hops`: per event, the moments at which each hop of the way saw it.

use axum::Json;
use axum::extract::State;
use chassis::params::QueryParams;
use domain::ids::EventId;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::hops::list_hops;

use crate::Portal;
use crate::error::Error;
use crate::limit::Limit;
use crate::window::Window;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    from: Timestamp,
    to: Timestamp,
    #[serde(default)]
    after: Option<EventId>,
    #[serde(default)]
    limit: Limit<10_000>,
}

#[derive(Serialize)]
pub(crate) struct Hops {
    hops: Vec<Hop>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Hop {
    event_id: String,
    payment_id: String,
    object_version: i64,
    committed_at: Option<Timestamp>,
    captured_at: Option<Timestamp>,
    handled_at: Timestamp,
    routed_at: Timestamp,
}

pub(crate) async fn list(
    State(portal): State<Portal>,
    QueryParams(page): QueryParams<Page>,
) -> Result<Json<Hops>, Error> {
    let Window { from, to } = Window::new(page.from, page.to)?;
    let rows = list_hops(&portal.pool, from.into_inner(), to.into_inner(), page.after, page.limit.rows()).await?;
    let (rows, next) = page.limit.page(rows, |hop| hop.event_id.clone());
    Ok(Json(Hops { hops: rows.into_iter().map(shown).collect(), next }))
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
