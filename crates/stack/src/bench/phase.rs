//! One phase: a load, everything that became of it, and what it cost.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use chassis::Lifecycle;
use chassis::backoff::Backoff;
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::time::Instant;
use verifier::account::{Account, Endpoint};
use verifier::audit::Audit;
use verifier::load::{Summary, set_up};
use verifier::simulator::Arrival;
use verifier::verdict::{self, Verdict, Witness};

use super::speed::Probe;
use super::usage::{Cost, Processes};
use crate::Stack;
use crate::doors::{Doors, Load, WITHIN};
use crate::hops::Hops;
use crate::ledger;
use crate::progress::Progress;

/// For what has not arrived once everything is acknowledged.
const ARRIVED_WITHIN: Duration = Duration::from_secs(120);
/// So long nothing may arrive before the last look.
const SETTLE: Duration = Duration::from_millis(500);

/// For what a load leaves to do once everything is on the ledger.
const RESTED_WITHIN: Duration = Duration::from_secs(30);

/// What one phase showed.
#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    /// What it is called.
    pub name: String,
    /// How many merchants it had.
    pub merchants: usize,
    /// What the API answered, and how fast.
    pub load: Summary,
    /// What arrived of it.
    pub verdict: Verdict,
    /// What the ledger says.
    pub ledger: Audit,
    /// From the first request to the last arrival, in seconds.
    pub seconds: f64,
    /// Deliveries a second in that time.
    pub delivered_per_second: f64,
    /// The time per hop and for the whole way.
    pub hops: Hops,
    /// CPU time from the first request until the ledger had an end for every delivery.
    pub cost: Cost,
    /// What the same small piece of work has cost meanwhile, in CPU microseconds: how slow the machine was.
    pub probe_us: f64,
    /// Memory at the end, in bytes.
    pub memory: Vec<(String, u64)>,
}

/// Runs phases on one stack.
pub(super) struct Runner<'a> {
    pub(super) doors: Doors,
    logs: PathBuf,
    lifecycle: &'a Lifecycle,
    pub(super) progress: &'a Progress,
    pub(super) processes: Processes,
}

impl<'a> Runner<'a> {
    pub(super) async fn new(stack: &Stack, lifecycle: &'a Lifecycle, progress: &'a Progress) -> anyhow::Result<Self> {
        Ok(Self {
            doors: Doors::of(stack)?,
            logs: stack.folder().logs(),
            lifecycle,
            progress,
            processes: Processes::of(stack).await,
        })
    }

    pub(super) fn account_file(&self, name: &str) -> PathBuf {
        self.logs.join(format!("account-{}.jsonl", name.replace([' ', ','], "-")))
    }

    /// What everything costs while nothing happens.
    pub(super) async fn idle(&self, time: Duration) -> anyhow::Result<Cost> {
        let step = self.progress.begin("idle", "watching the processes do nothing");
        let before = self.processes.read()?;
        tokio::time::sleep(time).await;
        let cost = before.until(&self.processes.read()?);
        step.done("measured");
        Ok(cost)
    }

    /// Waits until what a full load leaves to do is done: less than a quarter of a core is busy for a second. Not forever, for
    /// on a busy machine idling costs more.
    pub(super) async fn rest(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + RESTED_WITHIN;
        while self.idle(Duration::from_secs(1)).await?.delivering_cpu_s() > 0.25 && Instant::now() < deadline {}
        Ok(())
    }

    /// Drives a load and waits until everything has arrived and is on the ledger.
    pub(super) async fn run(&self, name: &str, load: Load) -> anyhow::Result<Phase> {
        let path = self.account_file(name);
        let ready = set_up(self.doors.load(path.clone(), load)?).await?;
        let step = self.progress.begin(name, "driving the load");
        let (before, probe) = (self.processes.read()?, Probe::begin()?);
        let summary = ready.drive(self.lifecycle, &ProgressBar::hidden()).await?;
        step.now("waiting for the last arrivals");
        self.wait_for_requests(&ready.endpoints, summary.acknowledged).await?;
        let account = Account::read(&path)?;
        let ledger = ledger::settled(&self.doors.portal()?, &account, ARRIVED_WITHIN).await?;
        let cost = before.until(&self.processes.read()?);
        let probe_us = probe.end()?;
        let memory = self.processes.memory()?;

        step.now("judging");
        let options = verdict::Options { wait: ARRIVED_WITHIN, settle: SETTLE, ..verdict::Options::default() };
        let (verdict, seen) = Witness::of(&account)?.verdict(&account, options, &ProgressBar::hidden()).await?;
        let arrivals = || seen.arrivals.values().flatten();
        let hops = Hops::of(&self.doors, &account, arrivals()).await?;
        let seconds = seconds(&account, arrivals())?;
        #[expect(clippy::cast_precision_loss, reason = "a count of deliveries is far below 2^52")]
        let delivered_per_second = verdict.delivered as f64 / seconds;
        step.done(&format!(
            "{} of {} arrived, {delivered_per_second:.0} a second",
            verdict.delivered, verdict.expected
        ));
        Ok(Phase {
            name: name.to_owned(),
            merchants: load.merchants,
            load: summary,
            verdict,
            ledger,
            seconds,
            delivered_per_second,
            hops,
            cost,
            probe_us,
            memory,
        })
    }

    /// Only counts, because that costs little; the verdict looks at each.
    async fn wait_for_requests(&self, endpoints: &[Endpoint], expected: u64) -> anyhow::Result<()> {
        let (simulator, deadline) = (self.doors.simulator()?, Instant::now() + ARRIVED_WITHIN);
        let ids = endpoints.iter().map(|endpoint| endpoint.endpoint_id).collect();
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(200));
        while simulator.requests(&ids, WITHIN).await? < expected && Instant::now() < deadline {
            tokio::time::sleep(backoff.next_wait()).await;
        }
        Ok(())
    }
}

impl Phase {
    /// Whether everything arrived, nothing else did, and the ledger has an end for it.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let answered = self.load.refused == 0 && self.load.unknown == 0;
        self.verdict.balanced && answered && ledger::is_finished(&self.ledger)
    }

    /// CPU milliseconds for each delivery.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a count of deliveries is far below 2^52")]
    pub fn cpu_ms_each(&self, cpu_s: f64) -> f64 {
        cpu_s * 1_000.0 / self.verdict.delivered as f64
    }
}

/// From the first request to the last arrival.
fn seconds<'a>(account: &Account, arrivals: impl Iterator<Item = &'a Arrival>) -> anyhow::Result<f64> {
    let first = account.acknowledged.iter().map(|ack| ack.requested_at.unix_micros()).min();
    let last = arrivals.map(|arrival| arrival.first_at.unix_micros()).max();
    let first = first.context("nothing was acknowledged")?;
    let last = last.context("nothing has arrived: see the logs")?;
    #[expect(clippy::cast_precision_loss, reason = "the time of a benchmark is far below 2^52 microseconds")]
    Ok((last - first) as f64 / 1_000_000.0)
}
