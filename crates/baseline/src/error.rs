//! What the endpoints' door answers when it does not do what was asked.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chassis::Problem;
use chassis::egress::Refused;
use chassis::error_chain::Chain;
use domain::ids::{EndpointId, MerchantId};

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no merchant {0}")]
    UnknownMerchant(MerchantId),
    #[error("there is no endpoint {0}")]
    UnknownEndpoint(EndpointId),
    #[error("an endpoint has 1 to 100 event types")]
    EventTypes,
    #[error(transparent)]
    Url(#[from] Refused),
    #[error("the database did not do its part")]
    Store(#[from] store::Error),
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let problem = match &self {
            Self::UnknownMerchant(_) | Self::UnknownEndpoint(_) => Problem::not_found(self.to_string()),
            Self::EventTypes => Problem::field("event_types", self.to_string()),
            Self::Url(_) => Problem {
                field: Some("url".to_owned()),
                ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused_url", self.to_string())
            },
            Self::Store(_) => {
                tracing::error!("a request was answered with 503: {}", Chain(&self));
                Problem::unavailable()
            }
        };
        problem.into_response()
    }
}
