//! The old way over real HTTP on a real database, with a receiver that answers as it is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod doors;
mod lab;
mod sending;
mod stopping;
