//! Where the spans and metrics of a stack go.

use url::Url;

use crate::ports::{Door, Ports};

/// Where the spans and metrics of a stack go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tracing {
    /// There are none.
    #[default]
    Off,
    /// Into a file beside the logs, by way of a receiver of our own.
    Here,
    /// To whoever collects them there, over OTLP/gRPC.
    Elsewhere(Url),
}

/// The receiver of our own, as a process of the stack.
pub const COLLECTOR: &str = "collector";

/// The names of its files, beside the logs.
pub const SPANS: &str = "spans.jsonl";
/// As above.
pub const METRICS: &str = "metrics.jsonl";

impl Tracing {
    /// What the processes are told.
    #[must_use]
    pub fn endpoint(&self, ports: &Ports) -> Option<String> {
        match self {
            Self::Off => None,
            Self::Here => Some(format!("http://127.0.0.1:{}", ports.of(Door::Collector))),
            Self::Elsewhere(url) => Some(url.to_string()),
        }
    }
}

/// Flags of the commands that start a stack to look at.
#[derive(Debug, Clone, clap::Args)]
pub struct TracingFlags {
    /// Send the spans to whoever collects them there, over OTLP/gRPC, instead of writing them into a file beside the logs.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", conflicts_with = "no_traces")]
    otlp_endpoint: Option<Url>,
    /// Make no spans.
    #[arg(long)]
    no_traces: bool,
}

impl TracingFlags {
    /// What they say.
    #[must_use]
    pub fn tracing(&self) -> Tracing {
        match (&self.otlp_endpoint, self.no_traces) {
            (_, true) => Tracing::Off,
            (Some(url), false) => Tracing::Elsewhere(url.clone()),
            (None, false) => Tracing::Here,
        }
    }
}
