//! Prometheus metrics of this process, served at `/metrics` beside its health.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::{Lifecycle, server};

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder of this process; call it once, before anything is counted and before the process serves.
/// Histograms become summaries with quantiles. Recorded values are folded into them every few seconds: without that a
/// process that nobody scrapes would keep every value that a histogram ever got.
///
/// # Errors
/// If a recorder is installed already.
pub fn install(lifecycle: &Lifecycle) -> Result<(), BuildError> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    let own = HANDLE.get_or_init(|| handle).clone();
    let stopping = lifecycle.clone();
    lifecycle.spawn(async move {
        while stopping.sleep(Duration::from_secs(5)).await {
            own.run_upkeep();
        }
    });
    Ok(())
}

/// Serves `/metrics` and `/health` at a door of their own: for a process whose other door is for somebody else.
///
/// # Errors
/// If the address is taken.
pub fn serve(lifecycle: &Lifecycle, address: SocketAddr) -> Result<(), server::Error> {
    server::serve(lifecycle, server::bind(address)?, Router::new());
    Ok(())
}

/// Adds `GET /metrics`, in a process that has metrics.
pub(crate) fn beside(router: Router) -> Router {
    let Some(handle) = HANDLE.get() else { return router };
    router.route(
        "/metrics",
        get(move || {
            handle.run_upkeep();
            let text = handle.render();
            async move { text }
        }),
    )
}
