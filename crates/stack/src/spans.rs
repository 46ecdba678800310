//! Where the spans and metrics of a stack go.

use url::Url;

use crate::Stack;
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
    /// Which share of the traces is kept, from 0 to 1.
    #[arg(long, env = SAMPLE_RATIO, value_parser = share)]
    trace_sample_ratio: Option<f64>,
}

/// The setting of our services that says which share of the traces is kept.
pub const SAMPLE_RATIO: &str = "EVERHOOK_TRACE_SAMPLE_RATIO";

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share of traces is a number from 0 to 1".to_owned())
}

impl TracingFlags {
    /// The stack that does as they say.
    #[must_use]
    pub fn of(&self, stack: Stack) -> Stack {
        let stack = stack.with_tracing(self.tracing());
        match self.trace_sample_ratio {
            Some(share) => stack.with_setting(SAMPLE_RATIO, &share.to_string()),
            None => stack,
        }
    }

    /// Where they say that spans go.
    #[must_use]
    pub fn tracing(&self) -> Tracing {
        match (&self.otlp_endpoint, self.no_traces) {
            (_, true) => Tracing::Off,
            (Some(url), false) => Tracing::Elsewhere(url.clone()),
            (None, false) => Tracing::Here,
        }
    }
}
