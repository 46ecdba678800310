//! portal: the management API. It makes endpoints, and it answers from the ledger what became of every event.
//!
//! It holds no key: signing secrets pass through, from data-service to whoever may see them.

mod audit;
mod data_service;
mod endpoints;
mod error;
mod flags;
mod hops;
mod limit;
mod merchants;
mod parked_records;
mod why;
mod window;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use chassis::egress::Policy;
use chassis::token::require_token;
use chassis::{Problem, Token};
use store::PgPool;

pub use data_service::DataService;
pub use flags::Flags;

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct Portal {
    /// The database.
    pub pool: PgPool,
    /// Whoever makes secrets.
    pub data_service: DataService,
    /// What an endpoint's URL may be.
    pub egress: Policy,
}

/// All routes of the service; each asks for the operator's token.
pub fn router(portal: Portal, operator: Token) -> Router {
    Router::new()
        .route("/merchants", get(merchants::list))
        .route("/merchants/{merchant_id}", get(merchants::read))
        .route("/merchants/{merchant_id}/endpoints", get(merchants::endpoints::list).post(merchants::endpoints::create))
        .route("/endpoints/{endpoint_id}", get(endpoints::read).patch(endpoints::change))
        .route("/endpoints/{endpoint_id}/secret", get(endpoints::secret::read))
        .route("/endpoints/{endpoint_id}/secret/rotate", post(endpoints::secret::rotate))
        .route("/parked-records", get(parked_records::list))
        .route("/audit", get(audit::read))
        .route("/why/{id}", get(why::read))
        .route("/hops", get(hops::list))
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path knows other methods")
        })
        .with_state(portal)
        .layer(from_fn_with_state(operator, require_token))
}
