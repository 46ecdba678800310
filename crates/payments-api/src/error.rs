//! What the service answers when it does not do what was asked.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chassis::Problem;
use chassis::error_chain::Chain;
use domain::ids::{MerchantId, PaymentId};
use domain::payment::IllegalStatus;
use domain::trace::TraceId;
use serde_json::Value;

/// Why a request is not done. Nothing is stored then, but the answer to a key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no merchant {0}")]
    UnknownMerchant(MerchantId),
    #[error("a merchant of this id exists: {0}")]
    MerchantIdTaken(MerchantId),
    #[error("the payment is of no merchant")]
    NoMerchant,
    #[error("the payment is of a merchant that does not exist: {0}")]
    PaymentOfUnknownMerchant(MerchantId),
    #[error("there is no payment {0}")]
    UnknownPayment(PaymentId),
    #[error(transparent)]
    IllegalStatus(#[from] IllegalStatus),
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error("the database did not do its part")]
    Store(#[from] store::Error),
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        match error {
            Error::UnknownMerchant(_) | Error::UnknownPayment(_) => Self::not_found(error.to_string()),
            Error::MerchantIdTaken(_) => Self {
                field: Some("merchant_id".to_owned()),
                ..Self::new(StatusCode::CONFLICT, "merchant_exists", error.to_string())
            },
            Error::NoMerchant => Self::field("merchant_id", "missing field `merchant_id`"),
            Error::PaymentOfUnknownMerchant(id) => Self::field("merchant_id", format!("there is no merchant {id}")),
            Error::IllegalStatus(illegal) => {
                let legal: Vec<Value> = illegal.from.legal().iter().map(|status| status.as_str().into()).collect();
                Self::new(StatusCode::CONFLICT, "illegal_status", illegal.to_string()).with("legal", legal)
            }
            Error::KeyReused => chassis::idempotency::reuse(),
            Error::Store(_) => Self::unavailable(),
        }
    }
}

/// An error of a request that has a trace.
#[derive(Debug)]
pub(crate) struct InTrace {
    pub(crate) error: Error,
    pub(crate) trace_id: TraceId,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.answer(None)
    }
}

impl IntoResponse for InTrace {
    fn into_response(self) -> Response {
        self.error.answer(Some(self.trace_id))
    }
}

impl Error {
    fn answer(self, trace_id: Option<TraceId>) -> Response {
        if let Self::Store(_) = self {
            tracing::error!(trace_id = trace_id.map(display), "a request was answered with 503: {}", Chain(&self));
        }
        Problem::from(&self).into_response()
    }
}
