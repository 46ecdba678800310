//! What an endpoint that accepts and never answers costs the others: the same load to the same number of merchants, beside
//! thousands of events that wait for it, and alone, before that and after it. What the two times alone differ by is the
//! machine's noise.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, bail};
use chassis::Lifecycle;
use chassis::backoff::Backoff;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;
use verifier::account::{Account, Endpoint};
use verifier::audit::Audit;
use verifier::load::{Pace, Until, set_up};

use super::MOST_UNDER_WAY;
use super::phase::{Phase, Runner};
use crate::doors::{Load, WITHIN};

/// For the events of the silent endpoint to be routed, and to be parked.
const MOVED_WITHIN: Duration = Duration::from_secs(120);

/// How much is driven.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many merchants are measured.
    pub merchants: usize,
    /// Payments a second, to all of them together.
    pub rate: f64,
    /// How long each time.
    pub time: Duration,
    /// Events for the endpoint that never answers.
    pub silent_events: u64,
    /// Requests under way while these are made.
    pub concurrency: usize,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Neighbours {
    /// Payments a second.
    pub rate: f64,
    /// Events for the endpoint that never answers.
    pub silent_events: u64,
    /// Of these, still to be delivered when the second phase began, and when it ended.
    pub waiting: [u64; 2],
    /// Requests that it has had by then.
    pub requests: [u64; 2],
    /// Without it.
    pub before: Phase,
    /// With it.
    pub beside: Phase,
    /// Without it, again.
    pub after: Phase,
}

impl Neighbours {
    /// In the order in which they were measured.
    #[must_use]
    pub fn phases(&self) -> [&Phase; 3] {
        [&self.before, &self.beside, &self.after]
    }

    /// How much the 99th percentile from commit to arrival has moved from the mean of both times alone: 0.2 is a fifth more.
    #[must_use]
    pub fn p99_moved(&self) -> Option<f64> {
        let p99 = |phase: &Phase| phase.hops.commit_to_arrival.p99_ms;
        Some(2.0 * p99(&self.beside)? / (p99(&self.before)? + p99(&self.after)?) - 1.0)
    }

    pub(super) async fn measure(runner: &Runner<'_>, options: Options, lifecycle: &Lifecycle) -> anyhow::Result<Self> {
        let Options { merchants, rate, time, silent_events, concurrency } = options;
        let load = Load {
            merchants,
            changes: 0,
            until: Until::Elapsed(time),
            pace: Pace::Open { rate, most: MOST_UNDER_WAY },
        };
        // The time before was at full load.
        runner.rest().await?;
        let before = runner.run(&format!("{merchants} merchants alone"), load).await?;
        let pace = Pace::Closed { concurrency };
        let silent = Load { merchants: 1, changes: 0, until: Until::Payments(silent_events), pace };
        let silent = Silent::queue(runner, silent, lifecycle).await?;
        let (waited, had) = silent.look(runner).await?;
        let beside = runner.run(&format!("{merchants} merchants beside a silent one"), load).await?;
        let (waits, has) = silent.look(runner).await?;
        silent.withdraw(runner, has).await?;
        let after = runner.run(&format!("{merchants} merchants alone again"), load).await?;
        Ok(Self { rate, silent_events, waiting: [waited, waits], requests: [had, has], before, beside, after })
    }
}

/// The load of the endpoint that never answers.
struct Silent {
    endpoint: Endpoint,
    account: Account,
}

impl Silent {
    /// Makes the events, and waits until all of them are routed.
    async fn queue(runner: &Runner<'_>, load: Load, lifecycle: &Lifecycle) -> anyhow::Result<Self> {
        let step = runner.progress.begin("a silent endpoint", "making its events");
        let path = runner.account_file("silent");
        let ready = set_up(runner.doors.load(path.clone(), load)?).await?;
        let endpoint = ready.endpoints.first().context("the silent merchant has no endpoint")?.clone();
        runner.doors.simulator()?.put_mood(endpoint.endpoint_id, &json!({"mood": "dead"}), WITHIN).await?;
        ready.drive(lifecycle, &ProgressBar::hidden()).await?;
        let silent = Self { endpoint, account: Account::read(&path)? };
        silent.until_none_is(runner, "unrouted", |audit| audit.unrouted).await?;
        step.done("its events wait");
        Ok(silent)
    }

    /// Disables the endpoint, and waits until all that waits for it is parked: then it is as if it were not there. What it has
    /// been asked for, at most so many, has a time of its own, when it is parked, too.
    async fn withdraw(&self, runner: &Runner<'_>, asked_for: u64) -> anyhow::Result<()> {
        let step = runner.progress.begin("a silent endpoint", "disabling it");
        let disabled = json!({"state": "disabled"});
        runner.doors.portal()?.change_endpoint(self.endpoint.endpoint_id, &disabled, WITHIN).await?;
        self.until_none_is(runner, "pending", |audit| audit.pending.saturating_sub(asked_for)).await?;
        step.done("its events are parked");
        Ok(())
    }

    async fn until_none_is(&self, runner: &Runner<'_>, what: &str, of: impl Fn(&Audit) -> u64) -> anyhow::Result<()> {
        let deadline = Instant::now() + MOVED_WITHIN;
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        loop {
            let left = of(&self.audit(runner).await?);
            if left == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{left} events of the silent endpoint were still {what} after {MOVED_WITHIN:?}");
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }

    async fn audit(&self, runner: &Runner<'_>) -> anyhow::Result<Audit> {
        let from = self.account.runs.first().context("the silent account does not say when it began")?.started_at;
        let last = self.account.acknowledged.iter().map(|made| made.acknowledged_at).max();
        let to = last.context("nothing was made for the silent endpoint")?;
        runner.doors.portal()?.audit(from, to, WITHIN).await
    }

    /// How many events wait, and how many requests it has had.
    async fn look(&self, runner: &Runner<'_>) -> anyhow::Result<(u64, u64)> {
        let requests = runner.doors.simulator()?.requests(&HashSet::from([self.endpoint.endpoint_id]), WITHIN).await?;
        Ok((self.audit(runner).await?.pending, requests))
    }
}
