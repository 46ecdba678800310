//! Signing secrets: read to be shown, rotated, and deleted when they have expired.
//!
//! An endpoint has one current secret, which has no end, and any number of older ones, which sign until they expire.

use domain::ids::{EndpointId, SecretId};
use domain::signature::Version;
use sqlx::{PgConnection, PgPool};

use crate::Error;
use crate::decode::parsed;
use crate::ledger::Moment;

/// A secret as it is stored.
#[derive(Debug, Clone)]
pub struct Secret {
    /// Its id.
    pub secret_id: SecretId,
    /// What it signs with.
    pub signature: Version,
    /// Which key encrypted it.
    pub key_id: String,
    /// Nonce and ciphertext.
    pub ciphertext: Vec<u8>,
    /// When it was made.
    pub created_at: Moment,
    /// When it signs no more; none for the current one.
    pub expires_at: Option<Moment>,
}

/// A secret to be stored as the current one.
#[derive(Debug, Clone)]
pub struct NewSecret<'a> {
    /// Its id.
    pub secret_id: SecretId,
    /// Whose it is.
    pub endpoint_id: EndpointId,
    /// What it signs with.
    pub signature: Version,
    /// Which key encrypted it.
    pub key_id: &'a str,
    /// Nonce and ciphertext.
    pub ciphertext: &'a [u8],
    /// The key of the rotation, and what it was asked for.
    pub asked: Option<(&'a str, &'a str)>,
}

struct Row {
    secret_id: String,
    signature: String,
    key_id: String,
    ciphertext: Vec<u8>,
    created_at: Moment,
    expires_at: Option<Moment>,
}

/// The secrets of an endpoint that sign now, newest first.
///
/// # Errors
/// If the statement fails.
pub async fn live_secrets(connection: &mut PgConnection, endpoint_id: EndpointId) -> Result<Vec<Secret>, Error> {
    sqlx::query_as!(
        Row,
        r#"
        select secret_id, signature, key_id, ciphertext, created_at, expires_at
        from endpoint_secrets
        where endpoint_id = $1 and (expires_at is null or expires_at > clock_timestamp())
        order by (expires_at is null) desc, created_at desc, secret_id desc
        "#,
        endpoint_id.to_string(),
    )
    .fetch_all(connection)
    .await
    .map_err(Error::doing("reading the secrets of an endpoint"))?
    .into_iter()
    .map(Row::into_secret)
    .collect()
}

/// What an endpoint signs with; none if there is no such endpoint. Until the transaction ends, nobody else rotates its
/// secrets.
///
/// # Errors
/// If the statement fails.
pub async fn lock_signature_of(
    connection: &mut PgConnection,
    endpoint_id: EndpointId,
) -> Result<Option<Version>, Error> {
    let found = sqlx::query_scalar!(
        "select signature from endpoints where endpoint_id = $1 for no key update",
        endpoint_id.to_string(),
    );
    let doing = "locking an endpoint for a rotation";
    let found = found.fetch_optional(connection).await.map_err(Error::doing(doing))?;
    found.map(|text: String| parsed(doing, &text)).transpose()
}

/// The secret that a rotation of the last 24 hours made under this key, and what it was asked for.
///
/// # Errors
/// If the statement fails.
pub async fn secret_made_under(
    connection: &mut PgConnection,
    endpoint_id: EndpointId,
    idempotency_key: &str,
) -> Result<Option<(Secret, String)>, Error> {
    let found = sqlx::query!(
        r#"
        select secret_id, signature, key_id, ciphertext, created_at, expires_at, request as "request!"
        from endpoint_secrets
        where endpoint_id = $1 and idempotency_key = $2 and created_at > clock_timestamp() - interval '24 hours'
        order by secret_id desc
        limit 1
        "#,
        endpoint_id.to_string(),
        idempotency_key,
    );
    let found =
        found.fetch_optional(connection).await.map_err(Error::doing("reading the secret of a repeated rotation"));
    found?
        .map(|row| {
            let secret = Row {
                secret_id: row.secret_id,
                signature: row.signature,
                key_id: row.key_id,
                ciphertext: row.ciphertext,
                created_at: row.created_at,
                expires_at: row.expires_at,
            };
            Ok((secret.into_secret()?, row.request))
        })
        .transpose()
}

/// Ends every secret of an endpoint after so many milliseconds, unless it ends before; answers how many sign now.
///
/// # Errors
/// If the statement fails.
pub async fn expire_secrets(
    connection: &mut PgConnection,
    endpoint_id: EndpointId,
    expires_in_ms: i64,
) -> Result<u64, Error> {
    let done = sqlx::query!(
        r#"
        update endpoint_secrets
        set expires_at = least(expires_at, statement_timestamp() + $2::bigint * interval '1 millisecond')
        where endpoint_id = $1 and (expires_at is null or expires_at > clock_timestamp())
        "#,
        endpoint_id.to_string(),
        expires_in_ms,
    );
    let done = done.execute(connection).await.map_err(Error::doing("ending the older secrets of an endpoint"))?;
    Ok(done.rows_affected())
}

/// Stores the current secret of an endpoint, which has none after [`expire_secrets`], and what it signs with.
///
/// # Errors
/// If the statement fails, or the endpoint is gone.
pub async fn insert_current_secret(connection: &mut PgConnection, new: NewSecret<'_>) -> Result<(), Error> {
    let doing = "storing the current secret of an endpoint";
    let done = sqlx::query!(
        r#"
        with made as (
            insert into endpoint_secrets
                (secret_id, endpoint_id, signature, key_id, ciphertext, idempotency_key, request)
            values ($1, $2, $3, $4, $5, $6, $7)
        )
        update endpoints set signature = $3, updated_at = clock_timestamp() where endpoint_id = $2
        "#,
        new.secret_id.to_string(),
        new.endpoint_id.to_string(),
        new.signature.as_str(),
        new.key_id,
        new.ciphertext,
        new.asked.map(|(key, _)| key),
        new.asked.map(|(_, request)| request),
    );
    let done = done.execute(connection).await.map_err(Error::doing(doing))?;
    match done.rows_affected() {
        1 => Ok(()),
        _ => Err(Error { doing, source: sqlx::Error::RowNotFound }),
    }
}

/// Deletes at most `limit` secrets that sign no more and that no repeated rotation can ask for; answers how many.
///
/// # Errors
/// If the statement fails.
pub async fn delete_expired_secrets(pool: &PgPool, limit: i64) -> Result<u64, Error> {
    let done = sqlx::query!(
        r#"
        delete from endpoint_secrets
        where secret_id = any(array(
            select secret_id from endpoint_secrets
            where expires_at <= clock_timestamp()
                and (idempotency_key is null or created_at <= clock_timestamp() - interval '24 hours')
            limit $1))
        "#,
        limit,
    );
    let done = done.execute(pool).await.map_err(Error::doing("deleting expired secrets"))?;
    Ok(done.rows_affected())
}

impl Row {
    fn into_secret(self) -> Result<Secret, Error> {
        let doing = "reading a secret's row";
        Ok(Secret {
            secret_id: parsed(doing, &self.secret_id)?,
            signature: parsed(doing, &self.signature)?,
            key_id: self.key_id,
            ciphertext: self.ciphertext,
            created_at: self.created_at,
            expires_at: self.expires_at,
        })
    }
}
