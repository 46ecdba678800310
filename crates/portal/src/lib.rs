//! portal: the management API. It makes endpoints, and it answers from the ledger what became of every event.
//!
//! It holds no key: signing secrets pass through, from data-service to whoever may see them.

mod access;
mod audit;
mod clock;
mod data_service;
mod deliveries;
mod endpoints;
mod error;
mod event_types;
mod events;
mod flags;
mod hops;
mod idempotency;
pub mod inputs;
mod jobs;
mod merchant_token;
mod merchants;
mod openapi;
mod page;
mod parked_records;
mod why;
mod window;

use std::sync::Arc;

use axum::extract::Extension;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use chassis::egress::Policy;
use chassis::{Problem, Token};
use store::PgPool;
use utoipa_axum::routes;

use access::{Doors, operator_only, require_access};
use error::Code;
use openapi::{Document, for_merchants, for_operator};

pub use data_service::DataService;
pub use flags::Flags;
pub use merchant_token::{NotKeys, TokenKeys};

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct Portal {
    /// The database.
    pub pool: PgPool,
    /// The database, for [`store::Statements::Scans`].
    pub lists: PgPool,
    /// Whoever makes secrets.
    pub data_service: DataService,
    /// What merchants' tokens are signed with.
    pub token_keys: TokenKeys,
    /// What an endpoint's URL may be.
    pub egress: Policy,
}

/// All routes of the service. Each asks for a token; those that are not for merchants ask for the operator's.
pub fn router(portal: Portal, operator: Token) -> axum::Router {
    let doors = Doors { operator, token_keys: portal.token_keys.clone() };
    let of_operator = openapi::Router::new()
        .routes(routes!(merchants::list, merchants::create))
        .routes(routes!(merchants::change))
        .routes(routes!(merchants::tokens::create))
        .routes(routes!(parked_records::list))
        .routes(routes!(audit::read))
        .routes(routes!(hops::list));
    let of_merchants = openapi::Router::new()
        .routes(routes!(merchants::read))
        .routes(routes!(merchants::endpoints::list, merchants::endpoints::create))
        .routes(routes!(endpoints::read, endpoints::change, endpoints::delete))
        .routes(routes!(endpoints::health::read))
        .routes(routes!(endpoints::enable::post))
        .routes(routes!(endpoints::pause::post))
        .routes(routes!(endpoints::recover::post))
        .routes(routes!(endpoints::secret::read))
        .routes(routes!(endpoints::secret::rotate))
        .routes(routes!(endpoints::test::send))
        .routes(routes!(events::list))
        .routes(routes!(events::read))
        .routes(routes!(event_types::list))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::read))
        .routes(routes!(deliveries::attempts::list))
        .routes(routes!(deliveries::resend::post))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::read))
        .routes(routes!(jobs::cancel::post))
        .routes(routes!(why::read))
        .routes(routes!(openapi::read));
    let (router, document) = openapi::Router::with_openapi(openapi::head())
        .merge(for_operator(of_operator).route_layer(from_fn(operator_only)))
        .merge(for_merchants(of_merchants))
        .split_for_parts();
    router
        .method_not_allowed_fallback(|| async {
            let code = Code::MethodNotAllowed.as_str();
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, code, "this path knows other methods")
        })
        .layer(Extension(Document(Arc::new(document))))
        .with_state(portal)
        .layer(from_fn_with_state(doors, require_access))
}
