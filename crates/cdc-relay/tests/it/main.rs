//! The relay as a process, between a real PostgreSQL and a real Kafka.
//!
//! `EVERHOOK_TEST_POSTGRES_URL` names a superuser of a server with `wal_level = logical`, and `EVERHOOK_TEST_KAFKA` a
//! broker. Every test has its own database, slot and topic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod changes;
mod delivery;
mod lab;
mod limits;
mod proxy;
mod recovery;
mod slot;
