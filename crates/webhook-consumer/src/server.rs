//! Restate's door: TCP_NODELAY, which the SDK's own server does not set, and a stop on SIGTERM. Restate speaks HTTP/2;
//! HTTP/1.1 is there for whoever asks `GET /health`.

use std::pin::pin;
use std::time::Duration;

use chassis::Lifecycle;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use restate_sdk::endpoint::Endpoint;
use restate_sdk::hyper::HyperEndpoint;
use tokio::net::{TcpListener, TcpStream};

/// Invocations on one connection side by side.
const MOST_STREAMS: u32 = 4096;
/// A peer that answers no ping for so long is gone.
const PING_EVERY: Duration = Duration::from_secs(20);

/// Serves until the lifecycle stops, then lets the invocations under way finish.
pub fn serve(lifecycle: &Lifecycle, listener: TcpListener, endpoint: Endpoint) {
    let own = lifecycle.clone();
    lifecycle.spawn_vital("restate's door", async move {
        let mut stopped = pin!(own.stopped());
        loop {
            let accepted = tokio::select! {
                () = &mut stopped => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    own.spawn(connection(own.clone(), stream, endpoint.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection of Restate's could not be accepted");
                    // Out of file descriptors: give the others a moment to end.
                    own.sleep(Duration::from_millis(50)).await;
                }
            }
        }
    });
}

async fn connection(lifecycle: Lifecycle, stream: TcpStream, endpoint: Endpoint) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set on a connection");
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING_EVERY).max_concurrent_streams(MOST_STREAMS);
    let connection = builder.serve_connection(TokioIo::new(stream), HyperEndpoint::new(endpoint));
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = lifecycle.stopped() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection of Restate's ended");
    }
}
