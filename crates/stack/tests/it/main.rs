//! The real components on free ports, and the launcher as a user meets it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod chaos;
mod components;
mod crash;
mod demo;
mod launcher;
mod pipeline;
mod way;
