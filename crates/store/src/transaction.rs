//! Transactions of several statements.

use sqlx::{PgPool, Postgres};

use crate::Error;

/// A transaction; dropped without [`commit`] it is rolled back.
pub type Transaction = sqlx::Transaction<'static, Postgres>;

/// Begins a transaction.
///
/// # Errors
/// If there is no connection.
pub async fn begin(pool: &PgPool) -> Result<Transaction, Error> {
    pool.begin().await.map_err(Error::doing("beginning a transaction"))
}

/// Commits a transaction.
///
/// # Errors
/// If the database refuses, or the connection broke: then it may be committed or not.
pub async fn commit(transaction: Transaction) -> Result<(), Error> {
    transaction.commit().await.map_err(Error::doing("committing a transaction"))
}
