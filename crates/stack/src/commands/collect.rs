//! `stack collect`: receives spans and metrics over OTLP and writes them down. A stack starts it by itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use chassis::Lifecycle;

use crate::collector;

/// Receives spans and metrics over OTLP/gRPC, and appends them to files as the OpenTelemetry collector's file exporter does.
#[derive(Debug, clap::Args)]
pub struct Collect {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:4317")]
    listen: SocketAddr,
    /// The file for spans.
    #[arg(long, default_value = "spans.jsonl")]
    file: PathBuf,
    /// The file for metrics.
    #[arg(long, default_value = "metrics.jsonl")]
    metrics_file: PathBuf,
}

impl Collect {
    /// Runs it.
    pub async fn run(self, lifecycle: &Lifecycle) -> anyhow::Result<ExitCode> {
        collector::serve(self.listen, &self.file, &self.metrics_file, lifecycle).await?;
        Ok(ExitCode::SUCCESS)
    }
}
