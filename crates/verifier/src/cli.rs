//! The commands as they are typed.

mod audit;
mod load;
mod phantoms;
mod trace;
mod traces;
mod verdict;
mod why;
mod window;

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use chassis::{Lifecycle, Token, lifecycle};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use url::Url;

use crate::portal::Portal;
pub use trace::Trace;
use window::WindowFlags;

/// What the witness can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make merchants and endpoints, then payments and status changes, and keep the account of it.
    Load(Box<load::Flags>),
    /// Wait for what the account acknowledges, and say what became of it, by id.
    Verdict(verdict::Flags),
    /// Print the portal's account of a window, and check its sums.
    Audit(audit::Flags),
    /// List what Kafka still holds and the database does not know, after a restore: merchants may have been told of it.
    Phantoms(phantoms::Flags),
    /// Show the way of an event as a waterfall: its hops, their durations, and what was waited for.
    Trace(Trace),
    /// Hold the spans of a run against the ledger: say which delivered event misses which hop, and what says a secret.
    Traces(traces::Flags),
    /// Say who owns a payment, event or delivery, and what it waits for.
    Why(why::Flags),
}

/// Where the portal is.
#[derive(Debug, Args)]
struct PortalFlags {
    /// The portal.
    #[arg(long, env = "EVERHOOK_PORTAL_URL", default_value = "http://127.0.0.1:3003")]
    portal_url: Url,
    /// The file that holds the portal's operator token.
    #[arg(long, env = "EVERHOOK_OPERATOR_TOKEN_FILE")]
    operator_token_file: PathBuf,
}

impl PortalFlags {
    fn door(&self) -> anyhow::Result<Portal> {
        let token = Token::from_file(&self.operator_token_file).context("--operator-token-file")?;
        Portal::new(&self.portal_url, token, WITHIN)
    }
}

/// For a single question to the portal.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

/// Runs a command; true if all is well, false if something is not and has been printed.
///
/// # Errors
/// If it could not be found out.
pub fn run(command: Command) -> anyhow::Result<bool> {
    let mut is_well = false;
    lifecycle::run(1, async {
        is_well = match command {
            Command::Load(flags) => load::run(*flags, &Lifecycle::on_signals()?).await?,
            Command::Verdict(flags) => verdict::run(flags).await?,
            Command::Audit(flags) => audit::run(flags).await?,
            Command::Phantoms(flags) => phantoms::run(flags).await?,
            Command::Trace(trace) => trace::run(&trace)?,
            Command::Traces(flags) => traces::run(flags).await?,
            Command::Why(flags) => why::run(flags).await?,
        };
        anyhow::Ok(())
    })?;
    Ok(is_well)
}

/// Data goes to stdout: as one JSON object, or in words.
fn print(data: &(impl Serialize + std::fmt::Display), as_json: bool) -> anyhow::Result<()> {
    let text = if as_json { serde_json::to_string_pretty(data)? } else { data.to_string() };
    writeln!(io::stdout(), "{}", text.trim_end()).context("can't write to stdout")
}

/// A bar on stderr; nothing where stderr is no terminal.
fn progress(what: &'static str) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {per_sec}")?;
    Ok(ProgressBar::new(0).with_style(style).with_message(what))
}
