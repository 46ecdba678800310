//! Transactions of several statements.

use sqlx::{Connection, PgConnection, PgPool, Postgres};

use crate::Error;

/// A transaction; dropped without [`commit`] it is rolled back.
pub type Transaction<'a> = sqlx::Transaction<'a, Postgres>;

/// Begins a transaction.
///
/// # Errors
/// If the statement fails.
pub async fn begin(connection: &mut PgConnection) -> Result<Transaction<'_>, Error> {
    connection.begin().await.map_err(Error::doing("beginning a transaction"))
}

/// Begins a transaction on a connection of the pool.
///
/// # Errors
/// If the pool gives none in its time, or the statement fails.
pub async fn begin_on(pool: &PgPool) -> Result<Transaction<'static>, Error> {
    pool.begin().await.map_err(Error::doing("beginning a transaction"))
}

/// Commits a transaction.
///
/// # Errors
/// If the database refuses, or the connection broke: then it may be committed or not.
pub async fn commit(transaction: Transaction<'_>) -> Result<(), Error> {
    transaction.commit().await.map_err(Error::doing("committing a transaction"))
}
