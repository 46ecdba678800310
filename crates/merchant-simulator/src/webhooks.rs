//! `POST /webhooks/{endpoint_id}`: receives, verifies, and answers as the endpoint's mood is.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chassis::Problem;
use chassis::spans::{self, Kind, Span};
use domain::trace::{Hop, Traceparent};
use futures_util::stream;

use crate::Simulator;
use crate::account::{Rejected, Signed};
use crate::body::Body;
use crate::mood::Answer;
use crate::simulator::now;

pub(crate) async fn receive(
    State(simulator): State<Arc<Simulator>>,
    Path(endpoint_id): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let began = SystemTime::now();
    let answer = answer(&simulator, &endpoint_id, &headers, &bytes).await;
    if spans::are_kept() {
        let status = answer.as_ref().map_or_else(|problem| problem.status, |response| response.status().as_u16());
        received(&headers, began, status);
    }
    answer
}

/// The span of a receiver that takes part in traces.
fn received(headers: &HeaderMap, began: SystemTime, status: u16) {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(post) = text("traceparent").and_then(|value| value.parse::<Traceparent>().ok()) else { return };
    if post.is_sampled {
        let span = Span::new(Hop::Receive.name(), post.trace_id, rand::random(), (began, SystemTime::now()))
            .under(post.span_id)
            .kind(Kind::Server)
            .with_some("event.id", text("webhook-id").map(str::to_owned))
            .with("http.request.method", "POST")
            .with("http.route", "/webhooks/{endpoint_id}")
            .with("http.response.status_code", status);
        spans::end(vec![span]);
    }
}

async fn answer(
    simulator: &Simulator,
    endpoint_id: &str,
    headers: &HeaderMap,
    bytes: &Bytes,
) -> Result<Response, Problem> {
    let now = now();
    let released = simulator.released();
    let signed = read_headers(headers);
    let (received, answer) = {
        let mut book = simulator.book();
        let Some(account) = book.accounts.get_mut(endpoint_id) else {
            book.unknown_account += 1;
            return Err(Problem::new(StatusCode::NOT_FOUND, "unknown_account", "this endpoint has no account here"));
        };
        let received = account.receive(signed, bytes, now).map_err(rejection)?;
        let answer = account.mood().answer(rand::random());
        if matches!(answer, Answer::Refuse { .. } | Answer::KeepWaiting) {
            account.refuse();
        }
        (received, answer)
    };
    let accept = || simulator.with(endpoint_id, |account| account.accept(received, Body::read(bytes)));
    match answer {
        Answer::Accept { after: Duration::ZERO } => {
            accept()?;
            Ok(StatusCode::OK.into_response())
        }
        // It is an arrival only once it is answered: a sender that gave up meanwhile was not told so.
        Answer::Accept { after } => {
            tokio::select! {
                () = released => Err(let_go()),
                () = tokio::time::sleep(after) => accept().map(|()| StatusCode::OK.into_response()),
            }
        }
        Answer::AcceptAndDrip => {
            accept()?;
            Ok(dripping(released).into_response())
        }
        Answer::Refuse { status, retry_after_s } => {
            let problem = Problem::new(status, "mood", "this endpoint is not in the mood to accept a webhook");
            Err(Problem { retry_after_s, ..problem })
        }
        Answer::KeepWaiting => {
            released.await;
            Err(let_go())
        }
    }
}

fn read_headers(headers: &HeaderMap) -> Signed<'_> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    Signed {
        id: text("webhook-id"),
        timestamp_s: text("webhook-timestamp").and_then(|seconds| seconds.parse().ok()),
        signature: text("webhook-signature"),
    }
}

fn rejection(reason: Rejected) -> Problem {
    let code = match reason {
        Rejected::Headers => "missing_headers",
        Rejected::Timestamp => "timestamp_out_of_tolerance",
        Rejected::Signature => "bad_signature",
    };
    Problem::new(StatusCode::UNAUTHORIZED, code, reason.to_string())
}

fn let_go() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "let_go", "the simulator was reset or is stopping")
}

/// A byte now and one each second, until the caller goes away or `released`.
fn dripping(released: impl Future<Output = ()> + Send + 'static) -> HttpBody {
    let drops = stream::unfold((Box::pin(released), Duration::ZERO), |(mut released, wait)| async move {
        tokio::select! {
            () = &mut released => None,
            () = tokio::time::sleep(wait) => {
                Some((Ok::<_, Infallible>(Bytes::from_static(b".")), (released, Duration::from_secs(1))))
            }
        }
    });
    HttpBody::from_stream(drops)
}
