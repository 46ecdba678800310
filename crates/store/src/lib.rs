//! All SQL (but the relay's replication statements), the pool, and the migrations.

pub use sqlx::{PgConnection, PgPool};

pub mod audit;
mod decode;
pub mod deliveries;
pub mod endpoints;
pub mod events;
pub mod hops;
pub mod idempotency;
pub mod jobs;
pub mod kept;
pub mod ledger;
pub mod merchants;
pub mod overview;
pub mod parked;
pub mod payload;
pub mod payments;
mod pool;
pub mod retention;
pub mod schema;
pub mod secrets;
pub mod span;
pub mod test_events;
pub mod transaction;
pub mod why;

pub use pool::{Durability, Statements, connect, connect_for, connect_with};

/// A statement failed. `doing` says which, as its function's name in words.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct Error {
    /// What was being done.
    pub doing: &'static str,
    /// What the database said.
    #[source]
    pub source: sqlx::Error,
}

impl Error {
    /// Wraps the database's error with what was being done; use it in `map_err`.
    pub fn doing(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self { doing, source }
    }

    /// The name of the constraint that was violated, if that is what happened.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        self.source.as_database_error().and_then(sqlx::error::DatabaseError::constraint)
    }
}
