//! Prometheus metrics of this process, served at `/metrics`.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::Lifecycle;

/// Installs the recorder of this process; call it once. Histograms become summaries with quantiles.
///
/// # Errors
/// If a recorder is installed already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new().install_recorder()
}

/// A router with `/metrics`.
pub fn router(handle: PrometheusHandle) -> Router {
    Router::new().route(
        "/metrics",
        get(move || {
            handle.run_upkeep();
            let text = handle.render();
            async move { text }
        }),
    )
}

/// Folds recorded values into their summaries every few seconds. Without it a process that nobody scrapes would keep
/// every value that a histogram ever got.
pub fn keep_up(lifecycle: &Lifecycle, handle: PrometheusHandle) {
    let stopping = lifecycle.clone();
    lifecycle.spawn(async move {
        while stopping.sleep(Duration::from_secs(5)).await {
            handle.run_upkeep();
        }
    });
}
