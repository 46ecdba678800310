//! Restate's door: TCP_NODELAY, which the SDK's own server does not set, and a stop on SIGTERM. Restate speaks HTTP/2;
//! HTTP/1.1 is there for whoever asks `GET /health`.
//!
//! A stopping HTTP/2 server says GOAWAY, and finishes the requests that it has. But up to 1.7.12 Restate takes GOAWAY for the
//! end of the connection (restatedev/restate, pull request 5311): it drops what is under way, and has it done again. So we
//! say it only when nothing is under way, and refuse new invocations one by one until then.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use chassis::Lifecycle;
use chassis::connections::{self, Farewell};
use domain::trace::Traceparent;
use http_body_util::{BodyExt as _, Either, Empty};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::service::{Service as _, service_fn};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use restate_sdk::endpoint::Endpoint;
use restate_sdk::hyper::HyperEndpoint;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::spans;

/// Invocations on one connection side by side.
const MOST_STREAMS: u32 = 4096;
/// A peer that answers no ping for so long is gone.
const PING_EVERY: Duration = Duration::from_secs(20);

/// A body that is made within an attempt of Restate's.
struct WithinRestate<B> {
    body: B,
    restate: Option<Traceparent>,
}

impl<B: Body + Unpin> Body for WithinRestate<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let restate = self.restate;
        spans::within(restate, || Pin::new(&mut self.body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Serves until the lifecycle stops, then takes no more invocations and lets those under way finish.
pub fn serve(lifecycle: &Lifecycle, listener: TcpListener, endpoint: Endpoint) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING_EVERY).max_concurrent_streams(MOST_STREAMS);
    let (own, endpoint, under_way) = (lifecycle.clone(), HyperEndpoint::new(endpoint), TaskTracker::new());
    let farewell = Farewell::After(under_way.clone());
    connections::accept(lifecycle, "restate's door", listener, farewell, move |stream| {
        let (own, endpoint, under_way) = (own.clone(), endpoint.clone(), under_way.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let restate = spans::of_restate(request.headers());
            let answer = (!own.is_stopping()).then(|| (endpoint.call(request), under_way.token()));
            async move {
                let Some((answer, token)) = answer else {
                    // Restate tries it again, at the process that follows.
                    let mut response = Response::new(Either::Right(Empty::<Bytes>::new()));
                    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    return Ok::<_, Infallible>(response);
                };
                // An invocation is under way for as long as its answer is.
                let hold = move |frame| {
                    let _under_way = &token;
                    frame
                };
                Ok(answer.await?.map(|body| Either::Left(WithinRestate { body: body.map_frame(hold), restate })))
            }
        });
        builder.serve_connection(stream, service).into_owned()
    });
}
