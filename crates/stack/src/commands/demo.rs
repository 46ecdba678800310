//! `stack demo`: everything on free ports, payments on their way to merchants, and the account of them.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use chassis::Lifecycle;
use chassis::flags::duration;

use super::Setting;
use super::beside::{Beside, Everything};
use crate::demo::{self, Options};
use crate::progress::Progress;

/// Starts everything on free ports, drives payments, shows the webhooks as they arrive, and gives the account of them.
///
/// Exit code 0 only if the account balances. Nothing stays behind, but for the logs if something went wrong.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// How many payments to make.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    payments: u64,
    /// How many merchants they belong to, each with one endpoint.
    #[arg(long, default_value_t = 5, value_parser = from_one)]
    merchants: usize,
    /// Status changes of each payment.
    #[arg(long, default_value_t = 2)]
    changes: usize,
    /// Requests a second.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// How long to wait for what has not arrived once everything is acknowledged.
    #[arg(long, value_parser = duration, default_value = "60s")]
    deadline: Duration,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Keep the logs, and the account of what was acknowledged beside them.
    #[arg(long)]
    keep: bool,
}

impl Demo {
    /// Runs it.
    pub async fn run(self, setting: &Setting, lifecycle: &Lifecycle, progress: &Progress) -> anyhow::Result<ExitCode> {
        let begun = Instant::now();
        let beside = Beside { lifecycle, progress, keep_logs: self.keep, name: "demo" };
        let Some(everything) = Everything::get(setting, &beside).await? else { return Ok(beside.interrupted()) };
        let options = Options {
            payments: self.payments,
            merchants: self.merchants,
            changes: self.changes,
            rate: f64::from(self.rate),
            deadline: self.deadline,
        };
        let demo = beside.run(everything, begun, async |stack, up_after| {
            let report = demo::play(stack, options, up_after, lifecycle, progress).await?;
            let text = if self.json { serde_json::to_string(&report)? } else { format!("\n{report}\n") };
            writeln!(std::io::stdout(), "{text}").context("can't write to stdout")?;
            Ok(report.well)
        });
        demo.await
    }
}

pub(super) fn from_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "write a whole number from 1".to_owned())
}
