//! data-service over real HTTP on a real database, whose role has the service's rights and no more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod answers;
mod as_committed;
mod at_gate;
mod body;
mod doors;
mod gates;
mod jobs;
mod lab;
mod libraries;
mod next;
mod open;
mod order;
mod overdue;
mod parked_records;
mod paused;
mod record;
mod retention;
mod rotation;
mod secrets;
mod service;
mod silence;
mod sweep;
mod test_events;
mod without_database;
