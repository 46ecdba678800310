//! Connections: how durable their commits are, and how their statements are planned.

use std::str::FromStr;
use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};

use crate::Error;

/// What a commit on the pool's connections waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Until the log is on disk.
    Durable,
    /// For nothing: a power cut may lose the last moments. Only for what a repeat makes good again.
    Fast,
}

/// What the statements on a pool's connections are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statements {
    /// Of any kind: PostgreSQL plans them as it finds best.
    Any,
    /// Look-ups by key: each is planned once for a connection, and none waits long for a lock.
    ///
    /// Planning for the values at hand costs two to three times as much as the look-up, since the ledger's tables have
    /// a partition for each day. A plan for all values prunes partitions when it runs, if the statement bounds the
    /// keys. Invariant: it was perhaps made when today's partition was empty, so it must use the index nevertheless.
    Lookups,
    /// Over many rows, of which the first ones are wanted: as look-ups, but read in the order of an index, so that they
    /// end where enough is found, and by no other process beside.
    Scans,
}

/// A pool that connects when it is first used. `url` may carry a password: it is never printed.
///
/// # Errors
/// If the URL has options that are not known.
pub fn connect(url: &str, connections: u32, service: &str, durability: Durability) -> Result<PgPool, Error> {
    connect_for(Statements::Any, url, connections, service, durability)
}

/// As [`connect`], for statements of one kind.
///
/// # Errors
/// If the URL has options that are not known.
pub fn connect_for(
    statements: Statements,
    url: &str,
    connections: u32,
    service: &str,
    durability: Durability,
) -> Result<PgPool, Error> {
    Ok(connect_with(options(url, service)?, connections, durability, statements))
}

/// As [`connect`], with options that no URL has to carry.
#[must_use]
pub fn connect_with(
    options: PgConnectOptions,
    connections: u32,
    durability: Durability,
    statements: Statements,
) -> PgPool {
    let synchronous_commit = match durability {
        Durability::Durable => "on",
        Durability::Fast => "off",
    };
    let options = options.options([("synchronous_commit", synchronous_commit), ("timezone", "UTC"), ("jit", "off")]);
    let options = match statements {
        Statements::Any => options,
        Statements::Lookups => options.options([
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("lock_timeout", "2s"),
            // Whoever is stopped in the middle of a transaction must not keep its locks from everybody.
            ("idle_in_transaction_session_timeout", "10s"),
        ]),
        Statements::Scans => options.options([
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("max_parallel_workers_per_gather", "0"),
        ]),
    };
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(is_outside_of_transaction(connection)))
        .connect_lazy_with(options)
}

/// Whether no transaction is open on a connection that comes back; one with an open transaction is closed.
///
/// A transaction that is given up while it begins (its caller went away, its time was over) is open, and sqlx does not know:
/// it would roll back only what it has seen begin. Whoever stored something on that connection next would be told that it
/// is committed, and it would not be.
async fn is_outside_of_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    // As a simple query, which is its own transaction unless another one is open: then that one began earlier.
    let row = sqlx::raw_sql("select now() = statement_timestamp()").fetch_one(connection).await?;
    row.try_get(0)
}

fn options(url: &str, service: &str) -> Result<PgConnectOptions, Error> {
    let options = PgConnectOptions::from_str(url).map_err(Error::doing("reading the database URL"))?;
    Ok(options.application_name(service))
}
