//! The first answer to each Idempotency-Key, kept in the transaction that it answers for.

use sqlx::{PgConnection, PgPool};

use crate::Error;
use crate::kept::KeptConnections;

/// The constraint that a second use of a key violates.
pub const KEY_TAKEN: &str = "idempotency_keys_pkey";

/// An answer that is to be kept under a key.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// The header's value.
    pub key: &'a str,
    /// SHA-256 of what was asked.
    pub fingerprint: &'a [u8],
    /// HTTP status of the answer.
    pub status: i16,
    /// The answer's body as it is sent.
    pub response: &'a str,
}

/// What was kept under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstAnswer {
    /// SHA-256 of what was asked.
    pub fingerprint: Vec<u8>,
    /// HTTP status of the answer.
    pub status: i16,
    /// The answer's body as it was sent.
    pub response: String,
}

/// Reads what is kept under a key.
///
/// # Errors
/// If the statement fails.
pub async fn first_answer(connections: &KeptConnections, key: &str) -> Result<Option<FirstAnswer>, Error> {
    let mut connection = connections.take().await?;
    let found =
        sqlx::query_as!(FirstAnswer, "select fingerprint, status, response from idempotency_keys where key = $1", key)
            .fetch_optional(&mut *connection)
            .await;
    connection.keep_after(&found);
    found.map_err(Error::doing("reading the first answer to an idempotency key"))
}

/// As [`first_answer`], on a connection of the pool.
///
/// # Errors
/// If the statement fails.
pub async fn find_first_answer(pool: &PgPool, key: &str) -> Result<Option<FirstAnswer>, Error> {
    sqlx::query_as!(FirstAnswer, "select fingerprint, status, response from idempotency_keys where key = $1", key)
        .fetch_optional(pool)
        .await
        .map_err(Error::doing("reading the first answer to an idempotency key"))
}

/// Keeps an answer, which answers for nothing else that is stored.
///
/// # Errors
/// As [`keep_answer`].
pub async fn keep(pool: &PgPool, kept: &Kept<'_>) -> Result<(), Error> {
    let mut connection = pool.acquire().await.map_err(Error::doing("taking a connection"))?;
    keep_answer(&mut connection, kept).await
}

/// Keeps an answer in the transaction of the connection. While another transaction holds the same key, this waits.
///
/// # Errors
/// With the constraint [`KEY_TAKEN`] if the key has an answer already; or if the statement fails.
pub async fn keep_answer(connection: &mut PgConnection, kept: &Kept<'_>) -> Result<(), Error> {
    sqlx::query!(
        "insert into idempotency_keys (key, fingerprint, status, response) values ($1, $2, $3, $4)",
        kept.key,
        kept.fingerprint,
        kept.status,
        kept.response,
    )
    .execute(connection)
    .await
    .map_err(Error::doing("keeping the answer to an idempotency key"))?;
    Ok(())
}

/// Forgets at most `limit` keys that are older than `days`; answers how many.
///
/// # Errors
/// If the statement fails.
pub async fn delete_old_keys(pool: &PgPool, days: i32, limit: i64) -> Result<u64, Error> {
    let done = sqlx::query!(
        r#"
        delete from idempotency_keys
        where key = any(array(
            select key from idempotency_keys where created_at < now() - make_interval(days => $1) limit $2))
        "#,
        days,
        limit,
    )
    .execute(pool)
    .await
    .map_err(Error::doing("deleting old idempotency keys"))?;
    Ok(done.rows_affected())
}
