//! payments-api: makes payments, reads them, changes their status, each exactly once for each Idempotency-Key.
//!
//! It knows nothing of webhooks. A trigger of the database writes the event in the transaction of the change.

mod error;
mod flags;
mod idempotency;
pub mod inputs;
mod merchants;
mod payments;
mod trace;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use chassis::Problem;
use chassis::token::require_token;
use domain::ids::MerchantId;
use domain::trace::SampleRatio;
use store::PgPool;
use store::kept::KeptConnections;

pub use flags::{Door, Flags};
pub use idempotency::forget_old_keys;
pub use merchants::{DEMO_MERCHANT, ensure_demo_merchant};

/// The largest request body, in bytes.
const LARGEST_BODY: usize = 64 * 1024;

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct Api {
    pool: PgPool,
    /// For all that is asked often.
    kept: KeptConnections,
    demo_merchant: Option<MerchantId>,
    /// Which of the traces that begin here are kept.
    sample_ratio: SampleRatio,
}

impl Api {
    /// With `demo_merchant`, a payment that names no merchant is the demo merchant's.
    #[must_use]
    pub fn new(pool: PgPool, demo_merchant: bool) -> Self {
        Self {
            kept: KeptConnections::of(pool.clone()),
            pool,
            demo_merchant: demo_merchant.then_some(DEMO_MERCHANT),
            sample_ratio: SampleRatio::ALL,
        }
    }

    /// The same; of the traces that begin here, so many are kept.
    #[must_use]
    pub fn sampling(mut self, ratio: SampleRatio) -> Self {
        self.sample_ratio = ratio;
        self
    }
}

/// All routes of the service.
pub fn router(api: Api, door: Door) -> Router {
    let router = Router::new()
        .route("/merchants", post(merchants::create))
        .route("/merchants/{merchant_id}", get(merchants::read))
        .route("/payments", post(payments::create))
        .route("/payments/{payment_id}", get(payments::read))
        .route("/payments/{payment_id}/status", post(payments::status::change))
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path knows other methods")
        })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(api);
    match door {
        Door::Open => router,
        Door::Token(token) => router.layer(from_fn_with_state(token, require_token)),
    }
}
