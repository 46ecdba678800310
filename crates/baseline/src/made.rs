//! The old way's one step more: what an answer of the API says is made is queued, before the answer goes out.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chassis::Problem;
use chassis::error_chain::Chain;
use chassis::idempotency::REPLAY;
use domain::payment::Payment;

use crate::event::Event;
use crate::outbox::Outbox;

/// No answer of the API is larger.
const LARGEST_ANSWER: usize = 128 * 1024;

/// The answer can't be told on. It is committed nevertheless.
#[derive(Debug, thiserror::Error)]
enum Untold {
    #[error("reading the answer")]
    Answer(#[from] axum::Error),
    #[error("reading the payment of the answer")]
    Payment(#[from] serde_json::Error),
}

/// An answer that was given before is of a change that was queued before: it is not queued once more.
pub(crate) async fn queue(State(outbox): State<Outbox>, request: Request, next: Next) -> Response {
    let is_change = is_change(request.method(), request.uri().path());
    let response = next.run(request).await;
    if !is_change || !response.status().is_success() || response.headers().contains_key(REPLAY) {
        return response;
    }
    let (head, body) = response.into_parts();
    match told(&outbox, body).await {
        Ok(body) => Response::from_parts(head, body),
        Err(error) => {
            tracing::error!("a change is committed, and its webhook is lost: {}", Chain(&error));
            Problem::unavailable().into_response()
        }
    }
}

async fn told(outbox: &Outbox, body: Body) -> Result<Body, Untold> {
    let bytes = to_bytes(body, LARGEST_ANSWER).await?;
    let payment: Payment = serde_json::from_slice(&bytes)?;
    outbox.queue(Event::of(&payment)?);
    Ok(Body::from(bytes))
}

/// `POST /payments` and `POST /payments/{payment_id}/status`.
fn is_change(method: &Method, path: &str) -> bool {
    let rest = path.strip_prefix("/payments");
    method == Method::POST && rest.is_some_and(|rest| rest.is_empty() || rest.ends_with("/status"))
}
