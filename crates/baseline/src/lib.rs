//! baseline: the old way, kept honest, to be measured beside the new one.
//!
//! Its API is that of payments-api, by the same code. Once a change is committed, and before it is acknowledged, the
//! webhook is queued in memory: there it is sent from at once, and there it waits to be tried again, by the same
//! schedule, with the same signed body. What is in memory when the process is killed is gone, and nothing here hides it.
//!
//! It has a database of its own, so that the new way does not deliver its events, too.

mod endpoints;
mod error;
mod event;
mod flags;
mod made;
mod outbox;
mod status;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, patch, post};
use payments_api::{Api, Door};

pub use flags::Flags;
pub use outbox::Outbox;

/// All routes of the service: those of payments-api, the endpoints, and what waits in memory.
pub fn router(api: Api, outbox: Outbox) -> Router {
    let own = Router::new()
        .route("/merchants/{merchant_id}/endpoints", post(endpoints::create))
        .route("/endpoints/{endpoint_id}", patch(endpoints::change))
        .route("/status", get(status::read))
        .with_state(outbox.clone());
    payments_api::router(api, Door::Open).layer(from_fn_with_state(outbox, made::queue)).merge(own)
}
