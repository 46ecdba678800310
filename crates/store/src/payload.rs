//! A payment as it is now.

use domain::ids::PaymentId;
use domain::payment::{Payment, Status};
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::Error;

/// Reads a payment and the moment of reading; none if there is no such payment.
///
/// # Errors
/// If the statement fails.
pub async fn payment(pool: &PgPool, payment_id: PaymentId) -> Result<Option<(Payment, OffsetDateTime)>, Error> {
    let doing = "reading a payment";
    let row = sqlx::query!(
        r#"
        select merchant_id, amount, currency, status, version, reference, description, created_at, updated_at,
            clock_timestamp() as "observed_at!"
        from payments
        where payment_id = $1
        "#,
        payment_id.to_string(),
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::doing(doing))?;
    let Some(row) = row else { return Ok(None) };
    let unreadable = |text: &str| Error { doing, source: sqlx::Error::Decode(text.to_owned().into()) };
    let payment = Payment {
        payment_id,
        merchant_id: row.merchant_id.parse().map_err(|_| unreadable(&row.merchant_id))?,
        amount: row.amount,
        currency: row.currency,
        status: row.status.parse::<Status>().map_err(|_| unreadable(&row.status))?,
        version: row.version,
        reference: row.reference,
        description: row.description,
        created_at: row.created_at.into(),
        updated_at: row.updated_at.into(),
    };
    Ok(Some((payment, row.observed_at)))
}

/// Disables endpoints that said they want nothing any more; answers how many were enabled before.
///
/// # Errors
/// If the statement fails.
pub async fn disable_endpoints(pool: &PgPool, endpoint_ids: &[String], reason: &str) -> Result<u64, Error> {
    let done = sqlx::query!(
        r#"
        update endpoints
        set state = 'disabled', disabled_reason = $2, updated_at = clock_timestamp()
        where endpoint_id = any($1) and state = 'enabled'
        "#,
        endpoint_ids,
        reason,
    )
    .execute(pool)
    .await
    .map_err(Error::doing("disabling endpoints"))?;
    Ok(done.rows_affected())
}
