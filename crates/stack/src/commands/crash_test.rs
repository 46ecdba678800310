//! `stack crash-test`: the old way beside the new one, each killed in the middle, and the account of both.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::ensure;
use chassis::Lifecycle;
use chassis::flags::duration;

use super::Setting;
use super::beside::{Beside, Everything};
use super::demo::from_one;
use super::report::ReportFlags;
use crate::crash::{self, Options, full_load};
use crate::page::machine;
use crate::progress::Progress;
use crate::services;

/// Kills the old way and the new one with -9 in the middle of the same load, and gives the account of both.
///
/// OLD commits, then sends from memory (baseline); NEW is the pipeline. In each round both get the same payments at the
/// same pace, for merchants with the same moods; the process that delivers is killed as soon as half of the payments are
/// acknowledged, and started again. Exit code 0 only if NEW lost nothing in any round; what OLD loses is told as it comes.
#[derive(Debug, clap::Args)]
pub struct CrashTest {
    /// Payments on each side of a round.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(10..=100_000))]
    payments: u64,
    /// How many rounds, each with merchants of its own; 0 leaves them out.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    rounds: u32,
    /// Payments a second.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// How long to wait for what has not arrived once everything is acknowledged.
    #[arg(long, value_parser = duration, default_value = "120s")]
    deadline: Duration,
    /// After the rounds, kill both sides at full load, too.
    #[arg(long)]
    full_load: bool,
    /// How many times, each with a merchant of its own.
    #[arg(long, requires = "full_load", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    full_load_rounds: u32,
    /// Payments on each side of each of these.
    #[arg(long, requires = "full_load", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    full_load_payments: u64,
    /// Requests under way at full load.
    #[arg(long, requires = "full_load", default_value_t = 16, value_parser = from_one)]
    concurrency: usize,
    /// At full load, kill as soon as so many webhooks have arrived.
    #[arg(long, requires = "full_load", default_value_t = 1_500, value_parser = clap::value_parser!(u64).range(1..))]
    kill_after: u64,
    /// At full load, start again so long after the kill.
    #[arg(long, requires = "full_load", value_parser = duration, default_value = "2s")]
    restart_after: Duration,
    /// Say what was lost and repeated by id.
    #[arg(long)]
    ids: bool,
    #[command(flatten)]
    report: ReportFlags,
    /// Keep the logs and the accounts.
    #[arg(long)]
    keep: bool,
}

impl CrashTest {
    /// Runs it.
    pub async fn run(self, setting: &Setting, lifecycle: &Lifecycle, progress: &Progress) -> anyhow::Result<ExitCode> {
        let begun = Instant::now();
        self.validate()?;
        services::check_one(&setting.binaries()?, services::BASELINE)?;
        let beside = Beside { lifecycle, progress, keep_logs: self.keep, name: "crash test" };
        let Some(everything) = Everything::get(setting, &beside).await? else { return Ok(beside.interrupted()) };
        let machine = machine::Setting::of(&everything.components);
        let options = Options {
            payments: self.payments,
            rounds: self.rounds,
            rate: f64::from(self.rate),
            deadline: self.deadline,
            full_load: self.full_load.then_some(full_load::Options {
                rounds: self.full_load_rounds,
                payments: self.full_load_payments,
                concurrency: self.concurrency,
                kill_after: self.kill_after,
                restart_after: self.restart_after,
            }),
        };
        let test = beside.run(everything, begun, async |stack, _| {
            let report = crash::test(stack, machine, options, lifecycle, progress).await?;
            let text = if self.report.json { report.to_json()? } else { report.words(self.ids) };
            self.report.tell(|| report.page(self.ids), &text)?;
            Ok(report.is_well())
        });
        test.await
    }

    /// Checks what clap can't, before minutes have gone by.
    fn validate(&self) -> anyhow::Result<()> {
        ensure!(self.rounds > 0 || self.full_load, "--rounds 0 leaves nothing to do: add --full-load, or play a round");
        ensure!(
            !self.full_load || self.kill_after < self.full_load_payments,
            "--kill-after {} must be less than --full-load-payments {}: the kill is in the middle",
            self.kill_after,
            self.full_load_payments
        );
        self.report.check()
    }
}
