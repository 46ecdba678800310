//! `stack trace`: the way of one event, hop by hop.

use std::path::PathBuf;
use std::process::ExitCode;

use verifier::cli::Trace;

use crate::folder::LOGS;
use crate::spans::SPANS;

/// Shows the way of a payment's events as a waterfall: hops, durations, gaps, attempts and their outcomes.
#[derive(Debug, clap::Args)]
pub struct TraceCommand {
    /// The folder of the data and the logs, as `stack up` has it.
    #[arg(long, env = "EVERHOOK_DATA_DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    trace: Trace,
}

impl TraceCommand {
    /// Runs it.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let files = match self.trace.files() {
            [] => vec![super::data_root(self.data_dir)?.join(LOGS).join(SPANS)],
            files => files.to_vec(),
        };
        self.trace.show(&files)?;
        Ok(ExitCode::SUCCESS)
    }
}
