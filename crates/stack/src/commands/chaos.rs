//! `stack chaos`: kills, freezes, restarts and cuts whatever there is, under load, and gives the verdict.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use chassis::Lifecycle;

use super::Setting;
use super::beside::{Beside, Everything};
use super::report::{ReportFlags, print};
use crate::chaos;
use crate::chaos::plan::Plan;
use crate::page::machine;
use crate::progress::Progress;
use crate::services;

/// Starts everything on free ports, kills, freezes and restarts every process and cuts and slows the connections between
/// them while payments are made, heals, and gives the verdict.
///
/// The same seed gives the same plan, which is printed first. Exit code 0 only if nothing is lost, phantom, stale, unsigned
/// or out of order, each repeat has a reason, and the ledger has an end for everything. Named points inside our processes
/// are planned only if the programs were built with them: cargo build --workspace --features chassis/faults.
#[derive(Debug, clap::Args)]
pub struct Chaos {
    /// What the plan is drawn from.
    #[arg(long, default_value_t = 1, conflicts_with = "plan")]
    seed: u64,
    /// How long the load goes on.
    #[arg(long, default_value_t = 5.0, value_parser = minutes, conflicts_with = "plan")]
    minutes: f64,
    /// Requests a second; each is one event for the three endpoints of its merchant.
    #[arg(long, default_value_t = 20.0, value_parser = rate, conflicts_with = "plan")]
    rate: f64,
    /// Play this plan: what was printed, or a report in JSON.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Only print the plan.
    #[arg(long)]
    print_plan: bool,
    #[command(flatten)]
    report: ReportFlags,
    /// Keep the logs and the account.
    #[arg(long)]
    keep: bool,
}

impl Chaos {
    /// Runs it.
    pub async fn run(self, setting: &Setting, lifecycle: &Lifecycle, progress: &Progress) -> anyhow::Result<ExitCode> {
        self.report.check()?;
        let binaries = setting.binaries()?;
        services::check(&binaries)?;
        let plan = self.plan(&binaries, progress)?;
        if self.print_plan {
            return print(&if self.report.json { serde_json::to_string(&plan)? } else { plan.to_string() })
                .map(|()| ExitCode::SUCCESS);
        }
        if !self.report.json {
            print(&plan.to_string())?;
        }
        let beside = Beside { lifecycle, progress, keep_logs: self.keep, name: "chaos" };
        let Some(everything) = Everything::get(setting, &beside).await? else { return Ok(beside.interrupted()) };
        let machine = machine::Setting::of(&everything.components);
        let done = beside.run_on(everything, chaos::shape, async |stack| {
            let report = chaos::run(stack, machine, plan, lifecycle, progress).await?;
            let text = if self.report.json { serde_json::to_string(&report)? } else { report.to_string() };
            self.report.tell(|| report.page().to_string(), &text)?;
            Ok(report.well)
        });
        done.await
    }

    fn plan(&self, binaries: &Path, progress: &Progress) -> anyhow::Result<Plan> {
        let has_points = chaos::has_points(binaries)?;
        if let Some(file) = &self.plan {
            let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
            let plan = Plan::read(&text).with_context(|| format!("{} can't be played", file.display()))?;
            ensure!(
                has_points || !plan.has_points(),
                "{} names points, and the programs in {} have none: build them with --features chassis/faults",
                file.display(),
                binaries.display()
            );
            return Ok(plan);
        }
        if !has_points {
            progress.say(&format!(
                "the programs in {} have no fault points, so only times at random are planned; cargo build --workspace \
                 --features chassis/faults has them",
                binaries.display()
            ));
        }
        Ok(Plan::new(self.seed, Duration::from_secs_f64(self.minutes * 60.0), self.rate, has_points))
    }
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| (0.2..=1440.0).contains(minutes));
    minutes.ok_or_else(|| "write a number of minutes from 0.2 to 1440".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.1..=10_000.0).contains(rate));
    rate.ok_or_else(|| "write a number of requests a second from 0.1 to 10000".to_owned())
}
