//! A receiver of spans and metrics for one machine: OTLP over gRPC comes in, and each request becomes a line of JSON, as the
//! OpenTelemetry collector's file exporter writes it. So whoever reads the one reads the other.

mod sparse;

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use chassis::Lifecycle;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use serde::Serialize;
use tonic::{Request, Response, Status};

use self::sparse::Sparse;

/// Restate sends what it has in large batches.
const LARGEST_REQUEST: usize = 64 << 20;
/// A request is sent in one go: with 64 KiB ahead, which is usual, each would wait several times to be told to go on.
const AHEAD: u32 = 4 << 20;

/// Receives until the lifecycle stops, and appends to the files.
///
/// # Errors
/// If a file can't be opened, or the address is taken.
pub async fn serve(listen: SocketAddr, spans: &Path, metrics: &Path, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    let spans = TraceServiceServer::new(Lines::append_to(spans)?).max_decoding_message_size(LARGEST_REQUEST);
    let metrics = MetricsServiceServer::new(Lines::append_to(metrics)?).max_decoding_message_size(LARGEST_REQUEST);
    tonic::transport::Server::builder()
        .initial_stream_window_size(AHEAD)
        .initial_connection_window_size(AHEAD)
        .add_service(spans)
        .add_service(metrics)
        .serve_with_shutdown(listen, lifecycle.stopped())
        .await
        .with_context(|| format!("can't receive spans and metrics at {listen}"))
}

/// Opens the file to append to it. A receiver that was killed while it wrote has left half a line, which goes.
fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut end = file.metadata()?.len();
    let mut chunk = [0; 64 << 10];
    while end > 0 {
        let start = end.saturating_sub(chunk.len() as u64);
        let length = usize::try_from(end - start).map_err(io::Error::other)?;
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut chunk[..length])?;
        match chunk[..length].iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => {
                end = start + newline as u64 + 1;
                break;
            }
            None => end = start,
        }
    }
    file.set_len(end)?;
    Ok(file)
}

/// A file of lines, and where each is made.
struct Lines {
    path: PathBuf,
    file: Mutex<(File, Vec<u8>)>,
}

impl Lines {
    fn append_to(path: &Path) -> anyhow::Result<Self> {
        let file = open(path).with_context(|| format!("can't open {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file: Mutex::new((file, Vec::new())) })
    }

    fn push(&self, request: &impl Serialize) -> Result<(), Status> {
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, line) = &mut *guard;
        line.clear();
        serde_json::to_writer(&mut *line, request)
            .map_err(|error| Status::invalid_argument(format!("the request can't be written as JSON: {error}")))?;
        line.push(b'\n');
        // One write: a reader never sees half of one line and half of another.
        file.write_all(line)
            .map_err(|error| Status::unavailable(format!("can't write to {}: {error}", self.path.display())))
    }
}

#[tonic::async_trait]
impl TraceService for Lines {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.push(&Sparse(request.get_ref()))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Lines {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.push(request.get_ref())?;
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_of_one_that_was_killed_goes_and_whole_ones_stay() {
        let path = std::env::temp_dir().join(format!("everhook-collector-{}", std::process::id()));
        let long = "x".repeat(100_000);
        for (before, after) in [
            ("", String::new()),
            ("{}\n{}\n", "{}\n{}\n".to_owned()),
            ("{}\n{\"res", "{}\n".to_owned()),
            (&format!("{{}}\n{long}"), "{}\n".to_owned()),
            (&long, String::new()),
        ] {
            std::fs::write(&path, before).unwrap();
            open(&path).unwrap().write_all(b"next\n").unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after + "next\n");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
