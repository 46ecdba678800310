//! `verifier trace`.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::spans::Spans;
use crate::waterfall::{Wanted, Waterfalls};

/// Flags of `trace`.
#[derive(Debug, Args)]
pub struct Flags {
    /// What to show: a payment's id (`pay_…`), an event's (`evt_…`), or a trace's (32 hex digits).
    id: Wanted,
    /// Files of spans: OTLP/JSON, a request on each line, as the OpenTelemetry collector's file exporter writes them.
    #[arg(long, required = true, num_args = 1..)]
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

pub(super) fn run(flags: &Flags) -> anyhow::Result<bool> {
    let waterfalls = Waterfalls::find(&Spans::read(&flags.spans)?, flags.id)?;
    let text = match (flags.json, flags.svg) {
        (true, _) => serde_json::to_string_pretty(&waterfalls)? + "\n",
        (false, true) => waterfalls.svg(),
        (false, false) => waterfalls.text(flags.width),
    };
    io::stdout().write_all(text.as_bytes()).context("can't write to stdout")?;
    Ok(true)
}
