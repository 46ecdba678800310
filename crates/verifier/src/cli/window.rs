//! The window that a command looks at.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use chassis::flags::duration;
use clap::Args;
use domain::time::Timestamp;

use crate::now;

/// From when until when.
#[derive(Debug, Args)]
pub(super) struct WindowFlags {
    /// The window: from so long ago until now.
    #[arg(long, value_parser = duration, default_value = "1h", conflicts_with_all = ["from", "to"])]
    since: Duration,
    /// The window's beginning, as 2026-11-23T20:38:00Z.
    #[arg(long, requires = "to")]
    from: Option<Timestamp>,
    /// The window's end.
    #[arg(long, requires = "from")]
    to: Option<Timestamp>,
}

impl WindowFlags {
    /// Its beginning and its end.
    pub(super) fn read(&self) -> anyhow::Result<(Timestamp, Timestamp)> {
        let to = self.to.unwrap_or_else(now);
        let since = i64::try_from(self.since.as_micros()).context("--since is too long")?;
        let ago = Timestamp::from_unix_micros(to.unix_micros() - since).context("--since is before the calendar")?;
        let from = self.from.unwrap_or(ago);
        ensure!(from < to, "the window must begin before it ends");
        Ok((from, to))
    }
}
