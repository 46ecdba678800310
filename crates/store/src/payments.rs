//! Payments: made in one statement, changed under a lock. The triggers write the event in the same transaction.

use domain::ids::PaymentId;
use domain::payment::{Payment, Status};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::Error;
use crate::decode::parsed;
use crate::idempotency::Kept;
use crate::kept::KeptConnections;

/// The constraint that a payment of an unknown merchant violates.
pub const MERCHANT_EXISTS: &str = "payments_merchant_exists";

struct Row {
    payment_id: String,
    merchant_id: String,
    amount: i64,
    currency: String,
    status: String,
    version: i64,
    reference: Option<String>,
    description: Option<String>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

/// Stores a new payment, and the answer to its idempotency key if there is one: one statement, one commit.
/// While another transaction holds the same key, this waits. The event carries `traceparent`.
///
/// # Errors
/// With the constraint [`MERCHANT_EXISTS`] if there is no such merchant, or [`crate::idempotency::KEY_TAKEN`] if the
/// key has an answer already; or if the statement fails. Nothing is stored then.
pub async fn insert_payment(
    connections: &KeptConnections,
    payment: &Payment,
    traceparent: &str,
    kept: Option<Kept<'_>>,
) -> Result<(), Error> {
    let mut connection = connections.take().await?;
    let done = sqlx::query!(
        r#"
        with kept as (
            insert into idempotency_keys (key, fingerprint, status, response)
            select $11::text, $12, $13, $14 where $11::text is not null
        )
        insert into payments
            (payment_id, merchant_id, amount, currency, status, version, reference, description, created_at, updated_at)
        select $1, $2, $3, $4, $5, 1, $6, $7, $8, $9
        from set_config('everhook.traceparent', $10, true)
        "#,
        payment.payment_id.to_string(),
        payment.merchant_id.to_string(),
        payment.amount,
        payment.currency,
        payment.status.as_str(),
        payment.reference,
        payment.description,
        payment.created_at.into_inner(),
        payment.updated_at.into_inner(),
        traceparent,
        kept.map(|kept| kept.key),
        kept.map(|kept| kept.fingerprint),
        kept.map(|kept| kept.status),
        kept.map(|kept| kept.response),
    )
    .execute(&mut *connection)
    .await;
    connection.keep_after(&done);
    done.map(|_| ()).map_err(Error::doing("storing a payment"))
}

/// Reads a payment; none if there is no such payment.
///
/// # Errors
/// If the statement fails.
pub async fn find_payment(connections: &KeptConnections, payment_id: PaymentId) -> Result<Option<Payment>, Error> {
    let mut connection = connections.take().await?;
    let found = sqlx::query_as!(
        Row,
        r#"
        select payment_id, merchant_id, amount, currency, status, version, reference, description,
            created_at, updated_at
        from payments
        where payment_id = $1
        "#,
        payment_id.to_string(),
    )
    .fetch_optional(&mut *connection)
    .await;
    connection.keep_after(&found);
    found.map_err(Error::doing("reading a payment"))?.map(Row::into_payment).transpose()
}

/// Reads a payment and locks it until the transaction ends, whose events carry `traceparent` from here on.
///
/// # Errors
/// If the statement fails.
pub async fn lock_payment(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    traceparent: &str,
) -> Result<Option<Payment>, Error> {
    sqlx::query_as!(
        Row,
        r#"
        select payment_id, merchant_id, amount, currency, status, version, reference, description,
            created_at, updated_at
        from payments, set_config('everhook.traceparent', $2, true)
        where payment_id = $1
        for update of payments
        "#,
        payment_id.to_string(),
        traceparent,
    )
    .fetch_optional(connection)
    .await
    .map_err(Error::doing("locking a payment"))?
    .map(Row::into_payment)
    .transpose()
}

/// Gives a locked payment its new status; answers the payment as it is then.
///
/// # Errors
/// If the statement fails, or the payment has gone.
pub async fn set_status(connection: &mut PgConnection, payment: Payment, status: Status) -> Result<Payment, Error> {
    let changed = sqlx::query!(
        "update payments set status = $2 where payment_id = $1 returning version, updated_at",
        payment.payment_id.to_string(),
        status.as_str(),
    )
    .fetch_one(connection)
    .await
    .map_err(Error::doing("changing the status of a payment"))?;
    Ok(Payment { status, version: changed.version, updated_at: changed.updated_at.into(), ..payment })
}

impl Row {
    fn into_payment(self) -> Result<Payment, Error> {
        let doing = "reading a payment's row";
        Ok(Payment {
            payment_id: parsed(doing, &self.payment_id)?,
            merchant_id: parsed(doing, &self.merchant_id)?,
            amount: self.amount,
            currency: self.currency,
            status: parsed(doing, &self.status)?,
            version: self.version,
            reference: self.reference,
            description: self.description,
            created_at: self.created_at.into(),
            updated_at: self.updated_at.into(),
        })
    }
}
