//! A receiver of spans for one machine: OTLP over gRPC comes in, and each request becomes a line of JSON, as the OpenTelemetry
//! collector's file exporter writes it. So whoever reads the one reads the other.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use chassis::Lifecycle;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tonic::{Request, Response, Status};

/// Restate sends what it has in large batches.
const LARGEST_REQUEST: usize = 64 << 20;

/// Receives until the lifecycle stops, and appends to the file.
///
/// # Errors
/// If the file can't be opened, or the address is taken.
pub async fn serve(listen: SocketAddr, file: &Path, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    let opened = OpenOptions::new().append(true).create(true).open(file);
    let opened = opened.with_context(|| format!("can't open {}", file.display()))?;
    let receiver = Receiver { path: file.to_owned(), file: Mutex::new(opened) };
    let service = TraceServiceServer::new(receiver).max_decoding_message_size(LARGEST_REQUEST);
    tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_shutdown(listen, lifecycle.stopped())
        .await
        .with_context(|| format!("can't receive spans at {listen}"))
}

struct Receiver {
    path: PathBuf,
    file: Mutex<File>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut line = serde_json::to_vec(request.get_ref())
            .map_err(|error| Status::invalid_argument(format!("the spans can't be written as JSON: {error}")))?;
        line.push(b'\n');
        // One write: a reader never sees half of one line and half of another.
        let written = self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
        written.map_err(|error| Status::unavailable(format!("can't write to {}: {error}", self.path.display())))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
