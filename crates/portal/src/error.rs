//! What the service answers when it does not do what was asked.

use axum::response::{IntoResponse, Response};
use chassis::Problem;
use chassis::egress::Refused;
use chassis::error_chain::Chain;
use domain::ids::{EndpointId, MerchantId};
use domain::schedule::NotASchedule;

use crate::data_service::Passed;
use crate::endpoints::secret;

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no merchant {0}")]
    UnknownMerchant(MerchantId),
    #[error("there is no endpoint {0}")]
    UnknownEndpoint(EndpointId),
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

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match &self {
            Self::UnknownMerchant(_) | Self::UnknownEndpoint(_) | Self::UnknownId(_) => {
                Problem::not_found(self.to_string())
            }
            Self::Passed(passed) => return secret::shown(passed),
            Self::Url(refused) => Problem::field("url", refused.to_string()),
            Self::Window { field, detail } => Problem::field(field, *detail),
            Self::StoredSchedule(..) | Self::Store(_) | Self::DataService(_) => {
                tracing::error!("a request was answered with 503: {}", Chain(&self));
                Problem::unavailable()
            }
        }
        .into_response()
    }
}
