//! Flags that services share, and the reading of durations and files.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::lifecycle::StillRunning;
use crate::telemetry::LogFormat;
use crate::{Lifecycle, health, lifecycle, metrics, spans};

/// What every service takes.
#[derive(Debug, Clone, clap::Args)]
pub struct ServiceFlags {
    /// How the log is written to stderr.
    #[arg(long, env = "EVERHOOK_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Which log lines are written, as a tracing filter.
    #[arg(long, env = "EVERHOOK_LOG", default_value = "info")]
    pub log: String,
    /// Worker threads of the process; one is the cheapest for a small service.
    #[arg(long, env = "EVERHOOK_THREADS", default_value_t = 1)]
    pub threads: usize,
    /// Check the configuration, say what is wrong with it, and end. Opens no secret and resolves no name.
    #[arg(long)]
    pub check_config: bool,
    /// Ask the process that runs with the same flags for its health, and end: with success if it serves.
    #[arg(long, conflicts_with = "check_config")]
    pub check_health: bool,
    /// On SIGTERM, wait at most so long for the work under way.
    #[arg(long, env = "EVERHOOK_SHUTDOWN_TIMEOUT", value_parser = duration, default_value = "20s")]
    pub shutdown_timeout: Duration,
    /// Where spans go.
    #[command(flatten)]
    pub trace: spans::Flags,
    /// How metrics go there.
    #[command(flatten)]
    pub metrics: metrics::MetricsFlags,
}

impl ServiceFlags {
    /// The life of a process whose log is set up and whose flags are known to be good: it checks what it was asked to check, or
    /// does what `serve` starts until it is asked to stop. `flags` are for the log, and `name` is the service's in spans.
    ///
    /// # Errors
    /// If the process that listens there does not answer that it is well; what `serve` says; if it can't start, or does not
    /// end in its time.
    pub fn run<E>(
        &self,
        name: &'static str,
        listen: Listen,
        flags: &impl Debug,
        serve: impl AsyncFnOnce(&Lifecycle) -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<health::Error> + From<std::io::Error> + From<StillRunning> + From<metrics::Error> + From<spans::Error>,
    {
        if self.check_health {
            health::ask(listen)?;
        }
        if self.check_health || self.check_config {
            return Ok(());
        }
        tracing::info!(?flags, "starting");
        lifecycle::run(self.threads, async {
            let lifecycle = Lifecycle::on_signals()?;
            let metrics = metrics::start(&self.metrics, self.trace.otlp_endpoint.as_ref(), name, &lifecycle)?;
            let sending = spans::start(&self.trace, name)?;
            serve(&lifecycle).await?;
            let finished = lifecycle.finish(self.shutdown_timeout).await;
            if let Some(sending) = sending {
                sending.finish().await;
            }
            metrics.finish().await;
            Ok(finished?)
        })
    }
}

/// Where a service listens. Each binary gives its own default port.
pub type Listen = SocketAddr;

/// Parses a human duration such as `250ms`, `5m` or `7d`.
///
/// # Errors
/// Says what is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; write a duration like 250ms, 15s or 5m"))
}

/// A file that is named by a flag could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file could not be opened or read.
    #[error("can't read {path}")]
    Read {
        /// As it was given.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds only white space.
    #[error("{path} is empty")]
    Empty {
        /// As it was given.
        path: String,
    },
}

/// The text of a file without the white space around it; an empty file is an error.
///
/// # Errors
/// If the file can't be read or is empty.
pub fn read_trimmed(path: &Path) -> Result<String, FileError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| FileError::Read { path: name.clone(), source })?;
    match text.trim() {
        "" => Err(FileError::Empty { path: name }),
        text => Ok(text.to_owned()),
    }
}
