//! Metrics of this process: as Prometheus text at `/metrics` beside its health, and over OTLP to whoever collects its spans.
//!
//! Names are OpenTelemetry's, with dots and without units: `cdc.capture` in seconds is `cdc_capture_seconds` to Prometheus,
//! and a counter gets `_total`.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use opentelemetry::global;
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, WithExportConfig as _};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter as _;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Temporality};
use prometheus::{Registry, TextEncoder};
use url::Url;

use crate::error_chain::Chain;
use crate::resource::resource;
use crate::{Lifecycle, server};

pub use opentelemetry::KeyValue;
pub use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

/// A collector has so long to answer; a process that ends waits no longer for it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// Bounds for what takes from a millisecond to days, in seconds.
pub const LATENCIES: [f64; 21] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
    14_400.0, 86_400.0, 432_000.0,
];

static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// How often metrics go to the collector.
#[derive(Debug, Clone, clap::Args)]
pub struct MetricsFlags {
    /// How often metrics are sent to where spans go; 0s is never.
    #[arg(long, env = "EVERHOOK_OTLP_METRICS_EVERY", value_parser = crate::flags::duration, default_value = "60s")]
    pub otlp_metrics_every: Duration,
}

/// Metrics can't be had from the start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way for them.
    #[error("setting up metrics")]
    SetUp(#[source] OTelSdkError),
    /// The endpoint is none.
    #[error("setting up the way of metrics to --otlp-endpoint {endpoint}")]
    Endpoint {
        /// As it was given.
        endpoint: Url,
        /// Why.
        source: ExporterBuildError,
    },
}

/// What sends metrics; it is told when the process ends.
#[derive(Debug)]
pub struct Sending {
    provider: SdkMeterProvider,
    sender: Option<Arc<Sender>>,
}

#[derive(Debug)]
struct Sender {
    exporter: MetricExporter,
    reader: SharedReader,
}

/// Starts the metrics of this process; call it once, before any is made, and before the process serves. They are sent to the
/// endpoint, too, if there is one.
///
/// # Errors
/// If the endpoint can't be used.
pub fn start(
    flags: &MetricsFlags,
    endpoint: Option<&Url>,
    service: &'static str,
    lifecycle: &Lifecycle,
) -> Result<Sending, Error> {
    let registry = REGISTRY.get_or_init(Registry::new).clone();
    let prometheus = opentelemetry_prometheus::exporter()
        .with_registry(registry)
        .scope_info_enabled(false)
        .build()
        .map_err(Error::SetUp)?;
    let mut provider = SdkMeterProvider::builder().with_resource(resource(service)).with_reader(prometheus);
    let sender = match endpoint.filter(|_| !flags.otlp_metrics_every.is_zero()) {
        Some(endpoint) => Some(Arc::new(Sender::new(endpoint)?)),
        None => None,
    };
    if let Some(sender) = &sender {
        provider = provider.with_reader(sender.reader.clone());
        lifecycle.spawn(sender.clone().run(lifecycle.clone(), flags.otlp_metrics_every));
    }
    let provider = provider.build();
    global::set_meter_provider(provider.clone());
    Ok(Sending { provider, sender })
}

/// Makes metrics. What is made before [`start`] counts for nothing.
#[must_use]
pub fn meter() -> Meter {
    global::meter("everhook")
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
    match REGISTRY.get() {
        Some(registry) => router.route("/metrics", get(async || text(registry))),
        None => router,
    }
}

fn text(registry: &Registry) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(error = %Chain(&error), "metrics can't be written as text");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Sending {
    /// The process ends: what was counted is sent once more, if that is done soon.
    pub async fn finish(self) {
        if let Some(sender) = self.sender
            && let Err(error) = sender.send().await
        {
            tracing::warn!(%error, "the last metrics were not sent");
        }
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "metrics were not shut down");
        }
    }
}

impl Sender {
    fn new(endpoint: &Url) -> Result<Self, Error> {
        let exporter = MetricExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint.as_str())
            .with_timeout(ANSWERED_WITHIN)
            .build()
            .map_err(|source| Error::Endpoint { endpoint: endpoint.clone(), source })?;
        Ok(Self { exporter, reader: SharedReader(Arc::new(ManualReader::builder().build())) })
    }

    async fn run(self: Arc<Self>, lifecycle: Lifecycle, every: Duration) {
        let mut is_failing = false;
        while lifecycle.sleep(every).await {
            match self.send().await {
                Ok(()) if std::mem::take(&mut is_failing) => tracing::info!("the collector takes metrics again"),
                Ok(()) => {}
                // Nothing is lost: each time all is told that was counted so far.
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "the collector does not take metrics");
                    }
                }
            }
        }
    }

    async fn send(&self) -> OTelSdkResult {
        let mut metrics = ResourceMetrics::default();
        self.reader.collect(&mut metrics)?;
        self.exporter.export(&metrics).await
    }
}

/// A reader that the provider has, too.
#[derive(Debug, Clone)]
struct SharedReader(Arc<ManualReader>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
