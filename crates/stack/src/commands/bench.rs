//! `stack bench`: how fast the whole way is and what it costs, measured on the real components and written down.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use chassis::Lifecycle;
use chassis::flags::duration;

use super::Setting;
use super::beside::{Beside, Everything};
use super::demo::from_one;
use super::report::ReportFlags;
use crate::bench::{self, Options, neighbours, profile};
use crate::page::machine;
use crate::progress::Progress;

/// Measures the whole way on free ports: latency at a low rate, throughput, CPU time and memory of every process.
///
/// Prints a page of Markdown. Exit code 0 if everything arrived and every account balances, whether or not the goals
/// are met. Measure on a quiet machine, with binaries of a release build.
#[derive(Debug, clap::Args)]
pub struct Bench {
    /// Payments a second of the unloaded phase.
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    unloaded_rate: f64,
    /// How long that phase is.
    #[arg(long, value_parser = duration, default_value = "30s")]
    unloaded_for: Duration,
    /// Payments of each phase at full load.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    payments: u64,
    /// Requests under way at full load.
    #[arg(long, default_value_t = 16, value_parser = from_one)]
    concurrency: usize,
    /// Merchants of the second phase at full load; the first has one.
    #[arg(long, default_value_t = 20, value_parser = from_one)]
    merchants: usize,
    /// Payments before anything is measured.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    warm_up: u64,
    /// Drive one more full load under perf, and say where the time goes.
    #[arg(long)]
    profile: bool,
    /// Events that are queued for an endpoint that never answers, to see what it costs the others; 0 leaves that out.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    silent_events: u64,
    /// Rounds that say what traces cost, each without spans, with them, and with a receiver that stands still; 0 leaves them out.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(0..=100))]
    traced_rounds: u16,
    /// Payments of each phase of a round.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    traced_payments: u64,
    /// Payments a second to the others, without it, with it, and without it again.
    #[arg(long, default_value_t = 100.0, value_parser = rate)]
    neighbours_rate: f64,
    /// How long that is, each time.
    #[arg(long, value_parser = duration, default_value = "60s")]
    neighbours_for: Duration,
    #[command(flatten)]
    report: ReportFlags,
    /// Keep the logs and the accounts.
    #[arg(long)]
    keep: bool,
}

impl Bench {
    /// Runs it.
    pub async fn run(self, setting: &Setting, lifecycle: &Lifecycle, progress: &Progress) -> anyhow::Result<ExitCode> {
        let begun = Instant::now();
        self.report.check()?;
        if self.profile {
            profile::check_perf()?;
        }
        if cfg!(debug_assertions) {
            progress.say("this is a debug build: its figures say nothing; use target/release/stack bench");
        }
        let beside = Beside { lifecycle, progress, keep_logs: self.keep, name: "benchmark" };
        let Some(everything) = Everything::get(setting, &beside).await? else { return Ok(beside.interrupted()) };
        let machine = machine::Setting::of(&everything.components);
        let options = Options {
            warm_up: self.warm_up,
            unloaded_rate: self.unloaded_rate,
            unloaded_for: self.unloaded_for,
            payments: self.payments,
            concurrency: self.concurrency,
            merchants: self.merchants,
            profile: self.profile,
            traced_rounds: self.traced_rounds,
            traced_payments: self.traced_payments,
            neighbours: (self.silent_events > 0).then_some(neighbours::Options {
                merchants: self.merchants,
                rate: self.neighbours_rate,
                time: self.neighbours_for,
                silent_events: self.silent_events,
                concurrency: self.concurrency,
            }),
        };
        let bench = beside.run(everything, begun, async |stack, _| {
            let report = bench::measure(stack, machine, options, lifecycle, progress).await?;
            let text = if self.report.json { report.to_json()? } else { report.to_string() };
            self.report.tell(|| report.to_string(), &text)?;
            Ok(report.is_well())
        });
        bench.await
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "write a number of payments a second".to_owned())
}
