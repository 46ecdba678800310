//! Connections, and how durable their commits are.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::Error;

/// What a commit on the pool's connections waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Until the log is on disk.
    Durable,
    /// For nothing: a power cut may lose the last moments. Only for what a repeat makes good again.
    Fast,
}

/// A pool that connects when it is first used. `url` may carry a password: it is never printed.
///
/// # Errors
/// If the URL has options that are not known.
pub fn connect(url: &str, connections: u32, service: &str, durability: Durability) -> Result<PgPool, Error> {
    let synchronous_commit = match durability {
        Durability::Durable => "on",
        Durability::Fast => "off",
    };
    let options = PgConnectOptions::from_str(url)
        .map_err(Error::doing("reading the database URL"))?
        .application_name(service)
        .options([("synchronous_commit", synchronous_commit), ("timezone", "UTC"), ("jit", "off")]);
    Ok(PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false)
        .connect_lazy_with(options))
}
