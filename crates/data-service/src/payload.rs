//! `GET /payload/{payment_id}`: the payment as it is now.

use axum::Json;
use axum::extract::{Path, State};
use chassis::Problem;
use chassis::error_chain::Chain;
use domain::ids::PaymentId;
use domain::payment::Payment;
use domain::time::Timestamp;
use serde::Serialize;

use crate::app::App;

/// A payment and the moment at which it was read.
#[derive(Debug, Serialize)]
pub struct Payload {
    #[serde(flatten)]
    payment: Payment,
    observed_at: Timestamp,
}

/// 404 if there is no such payment.
pub async fn get(State(app): State<App>, Path(payment_id): Path<String>) -> Result<Json<Payload>, Problem> {
    let payment_id: PaymentId = payment_id.parse().map_err(|error| Problem::not_found(format!("{error}")))?;
    match store::payload::payment(&app.core.rare, payment_id).await {
        Ok(Some((payment, observed_at))) => Ok(Json(Payload { payment, observed_at: observed_at.into() })),
        Ok(None) => Err(Problem::not_found(format!("there is no payment {payment_id}"))),
        Err(error) => {
            tracing::warn!(payment.id = %payment_id, error = %Chain(&error), "a payload could not be read");
            Err(Problem::unavailable())
        }
    }
}
