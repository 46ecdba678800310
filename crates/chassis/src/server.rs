//! The one HTTP door in: `/health`, TCP_NODELAY, and a clean stop.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use crate::{Lifecycle, Problem};

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
}

/// Binds the address.
///
/// # Errors
/// If the address is taken.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Bind { address, source })
}

/// Serves until the lifecycle stops, then finishes the requests under way.
/// Adds `GET /health` (200 as soon as the process serves) and a problem+json answer for unknown paths.
pub fn serve(lifecycle: &Lifecycle, listener: TcpListener, router: Router) {
    let router = router
        .route("/health", get(|| async { "ok" }))
        .fallback(|| async { Problem::not_found("there is nothing at this path") });
    let listener = listener.tap_io(|io| {
        if let Err(error) = io.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set on a connection");
        }
    });
    let stopped = lifecycle.stopped();
    lifecycle.spawn_vital("http server", async move {
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
}
