//! What every process has: flags, telemetry, a lifecycle, one HTTP door in, one HTTP door out, and its error format.
//!
//! Nothing here knows what a payment is.

pub mod answer;
pub mod backoff;
pub mod batch;
pub mod client;
pub mod connections;
pub mod database;
pub mod egress;
pub mod error_chain;
pub mod fault;
pub mod flags;
pub mod health;
pub mod idempotency;
pub mod lag;
pub mod lifecycle;
mod listener;
pub mod metrics;
pub mod params;
pub mod places;
pub mod problem;
mod resource;
pub mod server;
pub mod spans;
pub mod telemetry;
mod tls;
pub mod token;

pub use lifecycle::Lifecycle;
pub use problem::{JsonBody, JsonObject, Problem};
pub use token::Token;
