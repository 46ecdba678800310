//! `stack collect`: receives spans over OTLP and writes them down. A stack starts it by itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use chassis::Lifecycle;

use crate::collector;

/// Receives spans over OTLP/gRPC, and appends them to a file as the OpenTelemetry collector's file exporter does.
#[derive(Debug, clap::Args)]
pub struct Collect {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:4317")]
    listen: SocketAddr,
    /// The file.
    #[arg(long, default_value = "spans.jsonl")]
    file: PathBuf,
}

impl Collect {
    /// Runs it.
    pub async fn run(self, lifecycle: &Lifecycle) -> anyhow::Result<ExitCode> {
        collector::serve(self.listen, &self.file, lifecycle).await?;
        Ok(ExitCode::SUCCESS)
    }
}
