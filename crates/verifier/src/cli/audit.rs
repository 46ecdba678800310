//! `verifier audit`.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use chassis::flags::duration;
use clap::Args;
use domain::time::Timestamp;

use super::{PortalFlags, WITHIN};
use crate::audit::Audit;
use crate::now;

/// Flags of `audit`.
#[derive(Debug, Args)]
pub struct Flags {
    #[command(flatten)]
    portal: PortalFlags,
    /// The window: from so long ago until now.
    #[arg(long, value_parser = duration, default_value = "1h", conflicts_with_all = ["from", "to"])]
    since: Duration,
    /// The window's beginning, as 2026-11-23T20:38:00Z.
    #[arg(long, requires = "to")]
    from: Option<Timestamp>,
    /// The window's end.
    #[arg(long, requires = "from")]
    to: Option<Timestamp>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<bool> {
    let to = flags.to.unwrap_or_else(now);
    let since = i64::try_from(flags.since.as_micros()).context("--since is too long")?;
    let ago = Timestamp::from_unix_micros(to.unix_micros() - since).context("--since is before the calendar")?;
    let from = flags.from.unwrap_or(ago);
    ensure!(from < to, "the window must begin before it ends");
    let audit: Audit = flags.portal.door()?.audit(from, to, WITHIN).await?;
    super::print(&audit, flags.json)?;
    Ok(audit.balances())
}
