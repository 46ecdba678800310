//! Endpoints: where merchants want their events.

pub mod health;

use std::collections::BTreeMap;

use domain::ids::{EndpointId, MerchantId, SecretId};
use domain::signature::Version;
use domain::time::Timestamp;
use sqlx::PgPool;
use sqlx::types::Json;
use time::OffsetDateTime;

use crate::Error;
use crate::decode::parsed;
use crate::idempotency::Kept;
use crate::span::below;

/// The constraint that an endpoint of an unknown merchant violates.
pub const MERCHANT_EXISTS: &str = "endpoints_merchant_exists";

/// An endpoint as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub endpoint_id: EndpointId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// Where to.
    pub url: String,
    /// For people.
    pub description: Option<String>,
    /// Filters, as `domain::event::EventFilter` writes them.
    pub event_types: Vec<String>,
    /// Waits before each attempt, in milliseconds; none is the default schedule.
    pub schedule_ms: Option<Vec<i64>>,
    /// `any`, `per_object` or `latest_only`.
    pub order: String,
    /// `fresh` or `as_committed`.
    pub payload: String,
    /// What its current secret signs with.
    pub signature: Version,
    /// For a whole POST.
    pub timeout_ms: i32,
    /// Attempts a second; none is without limit.
    pub rate_limit: Option<i32>,
    /// Headers of its own.
    pub headers: Headers,
    /// `enabled`, `paused` or `disabled`.
    pub state: String,
    /// Why it is disabled.
    pub disabled_reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The headers that an endpoint wants besides ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// Names, with the values that may be shown.
    pub shown: BTreeMap<String, Option<String>>,
    /// All names and values, encrypted; none if there are no headers.
    pub sealed: Option<SealedHeaders>,
}

/// Headers as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedHeaders {
    /// The key that they are encrypted with.
    pub key_id: String,
    /// Nonce and ciphertext.
    pub ciphertext: Vec<u8>,
}

/// An endpoint to be made, with its first secret.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    /// Its id.
    pub endpoint_id: EndpointId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// Where to.
    pub url: String,
    /// For people.
    pub description: Option<String>,
    /// At least one filter.
    pub event_types: Vec<String>,
    /// None is the default schedule.
    pub schedule_ms: Option<Vec<i64>>,
    /// `any`, `per_object` or `latest_only`.
    pub order: &'static str,
    /// `fresh` or `as_committed`.
    pub payload: &'static str,
    /// What it signs with.
    pub signature: Version,
    /// For a whole POST.
    pub timeout_ms: i32,
    /// Attempts a second; none is without limit.
    pub rate_limit: Option<i32>,
    /// Headers of its own.
    pub headers: Headers,
    /// The id of its secret.
    pub secret_id: SecretId,
    /// The key that the secret is encrypted with.
    pub key_id: String,
    /// The secret, encrypted.
    pub ciphertext: Vec<u8>,
    /// When it is made.
    pub created_at: Timestamp,
}

impl NewEndpoint {
    /// The endpoint as it will be stored.
    #[must_use]
    pub fn as_stored(&self) -> Endpoint {
        Endpoint {
            endpoint_id: self.endpoint_id,
            merchant_id: self.merchant_id,
            url: self.url.clone(),
            description: self.description.clone(),
            event_types: self.event_types.clone(),
            schedule_ms: self.schedule_ms.clone(),
            order: self.order.to_owned(),
            payload: self.payload.to_owned(),
            signature: self.signature,
            timeout_ms: self.timeout_ms,
            rate_limit: self.rate_limit,
            headers: self.headers.clone(),
            state: "enabled".to_owned(),
            disabled_reason: None,
            created_at: self.created_at,
        }
    }
}

/// What is to be changed; none leaves a setting as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Where to.
    pub url: Option<String>,
    /// For people; `Some(None)` takes it away.
    pub description: Option<Option<String>>,
    /// At least one filter.
    pub event_types: Option<Vec<String>>,
    /// `Some(None)` goes back to the default schedule.
    pub schedule_ms: Option<Option<Vec<i64>>>,
    /// `any`, `per_object` or `latest_only`.
    pub order: Option<&'static str>,
    /// `fresh` or `as_committed`.
    pub payload: Option<&'static str>,
    /// For a whole POST.
    pub timeout_ms: Option<i32>,
    /// Attempts a second; `Some(None)` is without limit.
    pub rate_limit: Option<Option<i32>>,
    /// The headers that were seen, and those that take their place. If others are there by now, nothing is changed.
    pub headers: Option<(Headers, Headers)>,
    /// Enabled, or disabled for this reason.
    pub disabled_reason: Option<Option<&'static str>>,
    /// If it is disabled for this reason by now, nothing is changed.
    pub unless: Option<&'static str>,
}

struct Row {
    endpoint_id: String,
    merchant_id: String,
    url: String,
    description: Option<String>,
    event_types: Vec<String>,
    schedule_ms: Option<Vec<i64>>,
    order: String,
    payload: String,
    signature: String,
    timeout_ms: i32,
    rate_limit: Option<i32>,
    state: String,
    disabled_reason: Option<String>,
    created_at: OffsetDateTime,
    shown_headers: Json<BTreeMap<String, Option<String>>>,
    headers_key_id: Option<String>,
    headers_ciphertext: Option<Vec<u8>>,
}

/// Stores an endpoint, its secret, and the answer to its idempotency key if there is one.
///
/// # Errors
/// With the constraint [`MERCHANT_EXISTS`] if there is no such merchant, or [`crate::idempotency::KEY_TAKEN`]; or if the
/// statement fails. Nothing is stored then.
pub async fn insert_endpoint(pool: &PgPool, new: NewEndpoint, kept: Option<Kept<'_>>) -> Result<(), Error> {
    sqlx::query!(
        r#"
        with kept as (
            insert into idempotency_keys (key, fingerprint, status, response)
            select $12::text, $13, $14, $15 where $12::text is not null
            returning key
        ), made as (
            insert into endpoints
                (endpoint_id, merchant_id, url, description, event_types, schedule_ms, signature, created_at, timeout_ms,
                shown_headers, headers_key_id, headers_ciphertext, delivery_order, rate_limit, payload)
            select $1, $2, $3, $4, $5, $6, $7, $11, $16, $17, $18, $19, $20, $21, $22 from (select count(*) from kept) as first
        )
        insert into endpoint_secrets (secret_id, endpoint_id, signature, key_id, ciphertext)
        values ($8, $1, $7, $9, $10)
        "#,
        new.endpoint_id.to_string(),
        new.merchant_id.to_string(),
        new.url,
        new.description,
        &new.event_types,
        new.schedule_ms.as_deref(),
        new.signature.as_str(),
        new.secret_id.to_string(),
        new.key_id,
        new.ciphertext,
        new.created_at.into_inner(),
        kept.map(|kept| kept.key),
        kept.map(|kept| kept.fingerprint),
        kept.map(|kept| kept.status),
        kept.map(|kept| kept.response),
        new.timeout_ms,
        Json(&new.headers.shown) as _,
        new.headers.sealed.as_ref().map(|sealed| &sealed.key_id),
        new.headers.sealed.as_ref().map(|sealed| &sealed.ciphertext),
        new.order,
        new.rate_limit,
        new.payload,
    )
    .execute(pool)
    .await
    .map_err(Error::doing("storing an endpoint and its secret"))?;
    Ok(())
}

/// Reads an endpoint; none if there is no such endpoint, or it is deleted.
///
/// # Errors
/// If the statement fails.
pub async fn find_endpoint(pool: &PgPool, endpoint_id: EndpointId) -> Result<Option<Endpoint>, Error> {
    sqlx::query_as!(
        Row,
        r#"
        select endpoint_id, merchant_id, url, description, event_types, schedule_ms, delivery_order as "order", signature,
            timeout_ms, rate_limit, payload, state, disabled_reason, created_at,
            shown_headers as "shown_headers: Json<BTreeMap<String, Option<String>>>", headers_key_id, headers_ciphertext
        from endpoints
        where endpoint_id = $1 and deleted_at is null
        "#,
        endpoint_id.to_string(),
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::doing("reading an endpoint"))?
    .map(Row::into_endpoint)
    .transpose()
}

/// Reads at most `limit` endpoints of a merchant, newest first, before one of them or from the last on.
///
/// # Errors
/// If the statement fails.
pub async fn list_endpoints(
    pool: &PgPool,
    merchant_id: MerchantId,
    before: Option<EndpointId>,
    limit: i64,
) -> Result<Vec<Endpoint>, Error> {
    sqlx::query_as!(
        Row,
        r#"
        select endpoint_id, merchant_id, url, description, event_types, schedule_ms, delivery_order as "order", signature,
            timeout_ms, rate_limit, payload, state, disabled_reason, created_at,
            shown_headers as "shown_headers: Json<BTreeMap<String, Option<String>>>", headers_key_id, headers_ciphertext
        from endpoints
        where merchant_id = $1 and endpoint_id < $2 and deleted_at is null
        order by endpoint_id desc
        limit $3
        "#,
        merchant_id.to_string(),
        below(EndpointId::PREFIX, before),
        limit,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("listing the endpoints of a merchant"))?
    .into_iter()
    .map(Row::into_endpoint)
    .collect()
}

/// The ids of all endpoints of a merchant, also of the deleted ones.
///
/// # Errors
/// If the statement fails.
pub async fn endpoint_ids_of(pool: &PgPool, merchant_id: MerchantId) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!("select endpoint_id from endpoints where merchant_id = $1", merchant_id.to_string())
        .fetch_all(pool)
        .await
        .map_err(Error::doing("reading the ids of the endpoints of a merchant"))
}

/// Deletes an endpoint: it gets nothing new, its unfinished deliveries are parked when they are due, and its jobs are
/// cancelled. Answers whether there was one.
///
/// # Errors
/// If the statement fails.
pub async fn delete_endpoint(pool: &PgPool, endpoint_id: EndpointId) -> Result<bool, Error> {
    let deleted = sqlx::query_scalar!(
        r#"
        with deleted as (
            update endpoints
            set state = 'disabled', disabled_reason = 'deleted', deleted_at = clock_timestamp(),
                updated_at = clock_timestamp()
            where endpoint_id = $1 and deleted_at is null
            returning endpoint_id
        ), cancelled as (
            update jobs j set state = 'cancelled', ended_at = clock_timestamp()
            from deleted where j.endpoint_id = deleted.endpoint_id and j.state = 'running'
        )
        select endpoint_id from deleted
        "#,
        endpoint_id.to_string(),
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::doing("deleting an endpoint"))?;
    Ok(deleted.is_some())
}

/// Pauses an endpoint, whatever its state; answers whether there is one.
///
/// # Errors
/// If the statement fails.
pub async fn pause_endpoint(pool: &PgPool, endpoint_id: EndpointId, unless: Option<&str>) -> Result<bool, Error> {
    let done = sqlx::query!(
        r#"
        update endpoints
        set state = 'paused', disabled_reason = null, updated_at = clock_timestamp()
        where endpoint_id = $1 and deleted_at is null and ($2::text is null or disabled_reason is distinct from $2)
        "#,
        endpoint_id.to_string(),
        unless,
    )
    .execute(pool)
    .await
    .map_err(Error::doing("pausing an endpoint"))?;
    Ok(done.rows_affected() == 1)
}

/// Changes an endpoint; answers it as it is then, or none if there is no such endpoint, its headers are others than those
/// that were seen, or it is disabled for the reason that forbids it.
///
/// # Errors
/// If the statement fails.
pub async fn change_endpoint(
    pool: &PgPool,
    endpoint_id: EndpointId,
    change: Change,
) -> Result<Option<Endpoint>, Error> {
    let (seen, headers) = change.headers.as_ref().map(|(seen, headers)| (seen, headers)).unzip();
    let sealed = headers.and_then(|headers| headers.sealed.as_ref());
    let (changes_schedule, schedule_ms) = (change.schedule_ms.is_some(), change.schedule_ms.flatten());
    sqlx::query_as!(
        Row,
        r#"
        update endpoints
        set url = coalesce($2, url),
            description = case when $3 then $4 else description end,
            event_types = coalesce($5, event_types),
            schedule_ms = case when $6 then $7 else schedule_ms end,
            delivery_order = coalesce($16, delivery_order),
            payload = coalesce($19, payload),
            state = case when not $8 then state when $9::text is null then 'enabled' else 'disabled' end,
            disabled_reason = case when $8 then $9 else disabled_reason end,
            timeout_ms = coalesce($10, timeout_ms),
            rate_limit = case when $17 then $18 else rate_limit end,
            shown_headers = case when $11 then $13 else shown_headers end,
            headers_key_id = case when $11 then $14 else headers_key_id end,
            headers_ciphertext = case when $11 then $15 else headers_ciphertext end,
            updated_at = clock_timestamp()
        where endpoint_id = $1 and deleted_at is null
            and (not $11 or headers_ciphertext is not distinct from $12)
            and ($20::text is null or disabled_reason is distinct from $20)
        returning endpoint_id, merchant_id, url, description, event_types, schedule_ms, delivery_order as "order", signature,
            timeout_ms, rate_limit, payload, state, disabled_reason, created_at,
            shown_headers as "shown_headers: Json<BTreeMap<String, Option<String>>>", headers_key_id, headers_ciphertext
        "#,
        endpoint_id.to_string(),
        change.url,
        change.description.is_some(),
        change.description.flatten(),
        change.event_types.as_deref(),
        changes_schedule,
        schedule_ms.as_deref(),
        change.disabled_reason.is_some(),
        change.disabled_reason.flatten(),
        change.timeout_ms,
        headers.is_some(),
        seen.and_then(|seen| seen.sealed.as_ref()).map(|sealed| &sealed.ciphertext),
        Json(headers.map(|headers| &headers.shown)) as _,
        sealed.map(|sealed| &sealed.key_id),
        sealed.map(|sealed| &sealed.ciphertext),
        change.order,
        change.rate_limit.is_some(),
        change.rate_limit.flatten(),
        change.payload,
        change.unless,
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::doing("changing an endpoint"))?
    .map(Row::into_endpoint)
    .transpose()
}

impl Row {
    fn into_endpoint(self) -> Result<Endpoint, Error> {
        let doing = "reading an endpoint's row";
        Ok(Endpoint {
            endpoint_id: parsed(doing, &self.endpoint_id)?,
            merchant_id: parsed(doing, &self.merchant_id)?,
            url: self.url,
            description: self.description,
            event_types: self.event_types,
            schedule_ms: self.schedule_ms,
            order: self.order,
            payload: self.payload,
            signature: parsed(doing, &self.signature)?,
            timeout_ms: self.timeout_ms,
            rate_limit: self.rate_limit,
            headers: Headers {
                shown: self.shown_headers.0,
                sealed: self
                    .headers_key_id
                    .zip(self.headers_ciphertext)
                    .map(|(key_id, ciphertext)| SealedHeaders { key_id, ciphertext }),
            },
            state: self.state,
            disabled_reason: self.disabled_reason,
            created_at: self.created_at.into(),
        })
    }
}
