//! Merchants: whose payments and endpoints these are.

use domain::ids::MerchantId;
use domain::time::Timestamp;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::Error;
use crate::decode::parsed;
use crate::idempotency::Kept;
use crate::span::below;

/// The constraint that a second merchant of the same id violates.
pub const MERCHANT_ID_TAKEN: &str = "merchants_pkey";

/// A merchant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Merchant {
    /// Its id.
    pub merchant_id: MerchantId,
    /// For people.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

struct Row {
    merchant_id: String,
    name: String,
    created_at: OffsetDateTime,
}

/// Stores a new merchant, and the answer to its idempotency key if there is one.
///
/// # Errors
/// With the constraint [`MERCHANT_ID_TAKEN`] or [`crate::idempotency::KEY_TAKEN`]; or if the statement fails.
/// Nothing is stored then.
pub async fn insert_merchant(pool: &PgPool, merchant: &Merchant, kept: Option<Kept<'_>>) -> Result<(), Error> {
    sqlx::query!(
        r#"
        with kept as (
            insert into idempotency_keys (key, fingerprint, status, response)
            select $4::text, $5, $6, $7 where $4::text is not null
            returning key
        )
        insert into merchants (merchant_id, name, created_at)
        select $1, $2, $3 from (select count(*) from kept) as first
        "#,
        merchant.merchant_id.to_string(),
        merchant.name,
        merchant.created_at.into_inner(),
        kept.map(|kept| kept.key),
        kept.map(|kept| kept.fingerprint),
        kept.map(|kept| kept.status),
        kept.map(|kept| kept.response),
    )
    .execute(pool)
    .await
    .map_err(Error::doing("storing a merchant"))?;
    Ok(())
}

/// Makes sure that there is a merchant with this id; one that exists stays as it is.
///
/// # Errors
/// If the statement fails.
pub async fn ensure_merchant(pool: &PgPool, merchant_id: MerchantId, name: &str) -> Result<(), Error> {
    sqlx::query!(
        "insert into merchants (merchant_id, name) values ($1, $2) on conflict (merchant_id) do nothing",
        merchant_id.to_string(),
        name,
    )
    .execute(pool)
    .await
    .map_err(Error::doing("making sure that a merchant exists"))?;
    Ok(())
}

/// Renames a merchant; answers it as it is then, or none if there is no such merchant.
///
/// # Errors
/// If the statement fails.
pub async fn rename_merchant(pool: &PgPool, merchant_id: MerchantId, name: &str) -> Result<Option<Merchant>, Error> {
    sqlx::query_as!(
        Row,
        "update merchants set name = $2 where merchant_id = $1 returning merchant_id, name, created_at",
        merchant_id.to_string(),
        name,
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::doing("renaming a merchant"))?
    .map(Row::into_merchant)
    .transpose()
}

/// Reads a merchant; none if there is no such merchant.
///
/// # Errors
/// If the statement fails.
pub async fn find_merchant(pool: &PgPool, merchant_id: MerchantId) -> Result<Option<Merchant>, Error> {
    sqlx::query_as!(
        Row,
        "select merchant_id, name, created_at from merchants where merchant_id = $1",
        merchant_id.to_string()
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::doing("reading a merchant"))?
    .map(Row::into_merchant)
    .transpose()
}

/// Reads at most `limit` merchants, newest first, before one of them or from the last on.
///
/// # Errors
/// If the statement fails.
pub async fn list_merchants(pool: &PgPool, before: Option<MerchantId>, limit: i64) -> Result<Vec<Merchant>, Error> {
    sqlx::query_as!(
        Row,
        r#"
        select merchant_id, name, created_at
        from merchants
        where merchant_id < $1
        order by merchant_id desc
        limit $2
        "#,
        below(MerchantId::PREFIX, before),
        limit,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("listing merchants"))?
    .into_iter()
    .map(Row::into_merchant)
    .collect()
}

impl Row {
    fn into_merchant(self) -> Result<Merchant, Error> {
        Ok(Merchant {
            merchant_id: parsed("reading a merchant's row", &self.merchant_id)?,
            name: self.name,
            created_at: self.created_at.into(),
        })
    }
}
