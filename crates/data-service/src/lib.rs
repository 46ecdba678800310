//! The truth at delivery time, and the ledger: webhook-consumer's only door to the database.

pub mod app;
mod compose;
pub mod config;
mod internal;
mod keyring;
pub mod maintenance;
pub mod observe;
mod payload;
pub mod retention;

pub use keyring::Keyring;
