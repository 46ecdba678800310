//! What an endpoint that accepts and never answers costs the others: the same load to the same number of merchants, alone,
//! and beside thousands of events that wait for it.

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

/// For the events of the silent endpoint to be routed.
const ROUTED_WITHIN: Duration = Duration::from_secs(120);

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
    pub alone: Phase,
    /// With it.
    pub beside: Phase,
}

impl Neighbours {
    /// How much the 99th percentile from commit to arrival has moved: 0.2 is a fifth more.
    #[must_use]
    pub fn p99_moved(&self) -> Option<f64> {
        let p99 = |phase: &Phase| phase.hops.commit_to_arrival.p99_ms;
        Some(p99(&self.beside)? / p99(&self.alone)? - 1.0)
    }

    pub(super) async fn measure(runner: &Runner<'_>, options: Options, lifecycle: &Lifecycle) -> anyhow::Result<Self> {
        let Options { merchants, rate, time, silent_events, concurrency } = options;
        let load = Load {
            merchants,
            changes: 0,
            until: Until::Elapsed(time),
            pace: Pace::Open { rate, most: MOST_UNDER_WAY },
        };
        let alone = runner.run(&format!("{merchants} merchants alone"), load).await?;
        let pace = Pace::Closed { concurrency };
        let silent = Load { merchants: 1, changes: 0, until: Until::Payments(silent_events), pace };
        let silent = Silent::queue(runner, silent, lifecycle).await?;
        let before = silent.look(runner).await?;
        let beside = runner.run(&format!("{merchants} merchants beside a silent one"), load).await?;
        let after = silent.look(runner).await?;
        Ok(Self { rate, silent_events, waiting: [before.0, after.0], requests: [before.1, after.1], alone, beside })
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
        let deadline = Instant::now() + ROUTED_WITHIN;
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        loop {
            let unrouted = silent.audit(runner).await?.unrouted;
            if unrouted == 0 {
                break;
            }
            if Instant::now() >= deadline {
                bail!("{unrouted} events of the silent endpoint were not routed within {ROUTED_WITHIN:?}");
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
        step.done("its events wait");
        Ok(silent)
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
