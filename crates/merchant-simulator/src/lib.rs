//! The merchant simulator: all merchants of a test in one process.
//!
//! It is load-test equipment: one hash map, nothing written, of a body only what is needed is read.
//! It knows Standard Webhooks and the names of a few fields, and nothing else of Everhook: a body of
//! another shape is received and counted alike, its fields being null.

pub mod account;
mod accounts;
mod arrivals;
pub mod body;
pub mod mood;
mod rejections;
mod reset;
mod simulator;
mod stats;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};

pub use simulator::Simulator;

/// All routes of the simulator.
pub fn router(simulator: Arc<Simulator>) -> Router {
    Router::new()
        .route("/webhooks/{endpoint_id}", post(webhooks::receive))
        .route("/accounts", get(accounts::list))
        .route("/accounts/{endpoint_id}", put(accounts::put))
        .route("/accounts/{endpoint_id}/mood", put(mood::put))
        .route("/accounts/{endpoint_id}/arrivals", get(arrivals::list))
        .route("/accounts/{endpoint_id}/rejections", get(rejections::list))
        .route("/stats", get(stats::get))
        .route("/reset", post(reset::post))
        .with_state(simulator)
}
