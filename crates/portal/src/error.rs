//! What the service answers when it does not do what was asked.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chassis::Problem;
use chassis::egress::Refused;
use chassis::error_chain::Chain;
use domain::ids::{DeliveryId, EndpointId, EventId, JobId, MerchantId, NotAnId};
use domain::schedule::NotASchedule;
use serde::Serialize;
use utoipa::ToSchema;

use crate::data_service::Passed;
use crate::endpoints::headers::NotHeaders;
use crate::endpoints::secret;

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("send the header Authorization: Bearer <token>")]
    NoToken,
    #[error("the token has expired; ask the operator for a new one")]
    TokenExpired,
    #[error("only the operator's token opens this")]
    OperatorOnly,
    #[error(transparent)]
    Headers(NotHeaders),
    #[error("endpoint {0} was changed at the same time; ask again")]
    ChangedMeanwhile(EndpointId),
    #[error("the operator has disabled the endpoint; ask there")]
    DisabledByOperator,
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error("a merchant of this id exists: {0}")]
    MerchantIdTaken(MerchantId),
    #[error("there is no merchant {0}")]
    UnknownMerchant(MerchantId),
    #[error("there is no endpoint {0}")]
    UnknownEndpoint(EndpointId),
    #[error("there is no event {0}")]
    UnknownEvent(EventId),
    #[error("there is no delivery {0}")]
    UnknownDelivery(DeliveryId),
    #[error("there is no job {0}")]
    UnknownJob(JobId),
    #[error(
        "delivery {delivery_id} is {state}: it is still to be sent anyway; only what has ended, or is parked, is resent"
    )]
    NotEnded { delivery_id: DeliveryId, state: String },
    #[error("endpoint {endpoint_id} is {state}: nothing is sent to it; enable it first")]
    EndpointNotEnabled { endpoint_id: EndpointId, state: String },
    #[error("endpoint {0} is deleted: nothing is sent to it any more")]
    EndpointDeleted(EndpointId),
    #[error("a stored id can't be read")]
    StoredId(#[source] NotAnId),
    #[error("there is no payment, event or delivery {0}")]
    UnknownId(String),
    #[error(transparent)]
    Url(#[from] Refused),
    #[error("{detail}")]
    Window { field: &'static str, detail: &'static str },
    #[error("the stored schedule of endpoint {0} can't be read")]
    StoredSchedule(EndpointId, #[source] NotASchedule),
    #[error("the database did not do its part")]
    Store(#[from] store::Error),
    #[error("data-service did not do its part")]
    DataService(#[from] crate::data_service::Error),
    #[error("data-service refused what was asked")]
    Passed(Box<Passed>),
}

/// Every code that a problem of this API can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "chassis makes some of these problems itself")]
pub(crate) enum Code {
    /// 401: there is no token, or it opens nothing.
    Unauthorized,
    /// 401: the merchant's token is too old.
    TokenExpired,
    /// 403: a merchant's token does not open this.
    OperatorOnly,
    /// 404: it does not exist, or is another merchant's.
    NotFound,
    /// 405: the path is right, the method is not.
    MethodNotAllowed,
    /// 400: the body is not JSON.
    InvalidJson,
    /// 413: the body is too large.
    BodyTooLarge,
    /// 415: the body does not say that it is JSON.
    UnsupportedMediaType,
    /// 422: the body is JSON and no object.
    NotAnObject,
    /// 422: `field` says what is wrong.
    InvalidField,
    /// 409: somebody else changed it at the same time; ask again.
    ChangedMeanwhile,
    /// 409: a merchant of this id exists.
    MerchantExists,
    /// 422: the Idempotency-Key was used for another request.
    IdempotencyKeyReuse,
    /// 409: the operator has disabled the endpoint, and a merchant can't undo that.
    DisabledByOperator,
    /// 409: the delivery is still to be sent anyway.
    NotEnded,
    /// 409: nothing is sent to the endpoint; enable it first.
    EndpointNotEnabled,
    /// 409: as many secrets sign as may; wait until one expires.
    TooManySecrets,
    /// 503: try again soon.
    Unavailable,
}

impl Code {
    /// As it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::TokenExpired => "token_expired",
            Self::OperatorOnly => "operator_only",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::InvalidJson => "invalid_json",
            Self::BodyTooLarge => "body_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::NotAnObject => "not_an_object",
            Self::InvalidField => "invalid_field",
            Self::ChangedMeanwhile => "changed_meanwhile",
            Self::MerchantExists => "merchant_exists",
            Self::IdempotencyKeyReuse => chassis::idempotency::REUSE,
            Self::DisabledByOperator => "disabled_by_operator",
            Self::NotEnded => "not_ended",
            Self::EndpointNotEnabled => "endpoint_not_enabled",
            Self::TooManySecrets => "too_many_secrets",
            Self::Unavailable => "unavailable",
        }
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let of = |status, code: Code| Self::new(status, code.as_str(), error.to_string());
        match error {
            Error::NoToken => of(StatusCode::UNAUTHORIZED, Code::Unauthorized),
            Error::TokenExpired => of(StatusCode::UNAUTHORIZED, Code::TokenExpired),
            Error::OperatorOnly => of(StatusCode::FORBIDDEN, Code::OperatorOnly),
            Error::Headers(_) => Self::field("headers", error.to_string()),
            Error::ChangedMeanwhile(_) => of(StatusCode::CONFLICT, Code::ChangedMeanwhile),
            Error::KeyReused => chassis::idempotency::reuse(),
            Error::MerchantIdTaken(_) => {
                Self { field: Some("merchant_id".to_owned()), ..of(StatusCode::CONFLICT, Code::MerchantExists) }
            }
            Error::NotEnded { .. } => of(StatusCode::CONFLICT, Code::NotEnded),
            Error::EndpointNotEnabled { .. } | Error::EndpointDeleted(_) => {
                of(StatusCode::CONFLICT, Code::EndpointNotEnabled)
            }
            Error::DisabledByOperator => of(StatusCode::CONFLICT, Code::DisabledByOperator),
            Error::UnknownMerchant(_)
            | Error::UnknownEndpoint(_)
            | Error::UnknownEvent(_)
            | Error::UnknownDelivery(_)
            | Error::UnknownJob(_)
            | Error::UnknownId(_) => Self::not_found(error.to_string()),
            Error::Url(refused) => Self::field("url", refused.to_string()),
            Error::Window { field, detail } => Self::field(field, *detail),
            Error::StoredSchedule(..)
            | Error::StoredId(_)
            | Error::Store(_)
            | Error::DataService(_)
            | Error::Passed(_) => Self::unavailable(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        // Its answer is data-service's own.
        if let Self::Passed(passed) = &self {
            return secret::shown(passed);
        }
        let problem = Problem::from(&self);
        if problem.status == StatusCode::SERVICE_UNAVAILABLE.as_u16() {
            tracing::error!("a request was answered with 503: {}", Chain(&self));
        }
        problem.into_response()
    }
}
