//! Where spans go.

use std::path::PathBuf;

use url::Url;

/// Where spans go.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TraceFlags {
    /// Who collects the spans, over OTLP/gRPC, such as http://127.0.0.1:4317. Without it there are none. Headers that it
    /// wants are read from `OTEL_EXPORTER_OTLP_HEADERS`.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<Url>,
    /// A folder in which spans are kept until they are sent, so that a process that is killed loses none. The process that
    /// follows it sends them.
    #[arg(long, env = "EVERHOOK_SPAN_SPOOL", requires = "otlp_endpoint")]
    pub span_spool: Option<PathBuf>,
}
