//! `verifier trace`.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::spans::Spans;
use crate::waterfall::{Wanted, Waterfalls};

/// What to show, of which files, and how.
#[derive(Debug, Args)]
pub struct Trace {
    /// What to show: a payment's id (`pay_…`), an event's (`evt_…`), or a trace's (32 hex digits).
    id: Wanted,
    /// Files of spans: OTLP/JSON, a request on each line, as the OpenTelemetry collector's file exporter writes them.
    #[arg(long, num_args = 1..)]
    spans: Vec<PathBuf>,
    /// Print one JSON object.
    #[arg(long, conflicts_with = "svg")]
    json: bool,
    /// Print a drawing.
    #[arg(long)]
    svg: bool,
    /// So many characters a line has at most; at least 72.
    #[arg(long, default_value_t = 120)]
    width: usize,
}

impl Trace {
    /// The files, where they are named.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.spans
    }

    /// Prints what these files hold of it.
    ///
    /// # Errors
    /// If a file can't be read, or holds nothing of it.
    pub fn show(&self, files: &[PathBuf]) -> anyhow::Result<()> {
        let waterfalls = Waterfalls::find(&Spans::read(files)?, self.id)?;
        let text = match (self.json, self.svg) {
            (true, _) => serde_json::to_string_pretty(&waterfalls)? + "\n",
            (false, true) => waterfalls.svg(),
            (false, false) => waterfalls.text(self.width),
        };
        io::stdout().write_all(text.as_bytes()).context("can't write to stdout")
    }
}

pub(super) fn run(trace: &Trace) -> anyhow::Result<bool> {
    ensure!(!trace.files().is_empty(), "name the files of spans with --spans");
    trace.show(trace.files())?;
    Ok(true)
}
