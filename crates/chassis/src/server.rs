//! The one HTTP door in: `/health`, TCP_NODELAY, and a stop that no client notices.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Response};
use axum::routing::get;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpSocket};
use tower_service::Service as _;

use crate::connections::{self, Farewell};
use crate::listener::{self, Passed};
use crate::{Lifecycle, Problem, metrics};

/// The server could not start or died.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not ours.
    #[error("can't listen on {address}; choose another address with --listen")]
    Bind {
        /// As configured.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// What was passed to the process is no socket that can be listened at.
    #[error("the socket that was passed to this process can't be listened at; pass a listening TCP socket, or none")]
    Passed(#[source] std::io::Error),
}

/// So many connections may wait to be accepted, if the kernel allows as many (`net.core.somaxconn`). Where the queue is full
/// the kernel drops what comes, and its client tries again after 1, 3, 7 and 15 s: it waits long for what could be
/// refused at once.
const BACKLOG: u32 = 4096;

/// Binds the address and listens.
///
/// # Errors
/// If the address is taken.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    listen(address).map_err(|source| Error::Bind { address, source })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // What an earlier process has left in TIME_WAIT does not keep the address.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// As [`bind`], for a door that stays open while one process follows another: the socket that was passed as systemd does
/// it, if it has this address; otherwise a new one, which systemd is asked to keep for the next process.
/// Call it once.
///
/// # Errors
/// If the address is taken, or what was passed is of no use.
pub fn take_over(address: SocketAddr) -> Result<TcpListener, Error> {
    match listener::passed(address).map_err(Error::Passed)? {
        Passed::Fits(listener) => return Ok(listener),
        Passed::Elsewhere(other) => {
            tracing::info!(passed = %other, %address, "the socket that was passed has another address, and is let go");
            listener::forget();
        }
        Passed::Nothing => {}
    }
    let listener = bind(address)?;
    listener::keep(&listener);
    Ok(listener)
}

/// Serves until the lifecycle stops. The requests that come before their connection has heard of that are served, too;
/// each answer then says that it is its connection's last.
/// Adds `GET /health` (200 as soon as the process serves), `GET /metrics`, and a problem+json answer for unknown paths.
pub fn serve(lifecycle: &Lifecycle, listener: TcpListener, router: Router) {
    let router = metrics::beside(router)
        .route("/health", get(|| async { "ok" }))
        .fallback(|| async { Problem::not_found("there is nothing at this path") });
    let own = lifecycle.clone();
    connections::accept(lifecycle, "http server", listener, Farewell::Gradual, move |stream| {
        let (router, lifecycle) = (router.clone(), own.clone());
        let service = service_fn(move |request| answer(router.clone(), lifecycle.clone(), request));
        http1::Builder::new().serve_connection(stream, service)
    });
}

async fn answer(
    mut router: Router,
    lifecycle: Lifecycle,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut response = router.call(request.map(Body::new)).await?;
    if lifecycle.is_stopping() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}
