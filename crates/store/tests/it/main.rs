//! The store on a real database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod given_up;
mod kept;
mod partitions;
mod payment_events;
mod plans;
mod roles;
mod schema;
mod sweep;
