//! Killed at full load: as fast as it goes to one merchant, killed after so many arrivals, started again a moment later.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use verifier::Timestamp;
use verifier::account::Account;
use verifier::load::{Pace, Until};
use verifier::verdict::Seen;

use super::kill::Rule;
use super::run::{Plan, Run};
use super::side::Arena;
use crate::doors::Load;

/// Everything acknowledged before the kill is to have arrived so soon after the restart.
pub const WANTED_WITHIN_MS: i64 = 2_500;

/// What is driven.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Options {
    /// How many times, each with a merchant of its own.
    pub rounds: u32,
    /// Payments on each side.
    pub payments: u64,
    /// Requests under way.
    pub concurrency: usize,
    /// Killed as soon as so many webhooks have arrived.
    pub kill_after: u64,
    /// And started again so long after.
    #[serde(skip)]
    pub restart_after: Duration,
}

/// What came of all rounds.
#[derive(Debug, Serialize)]
pub struct FullLoad {
    /// What was driven.
    pub options: Options,
    /// Round by round; at least one.
    pub rounds: Vec<Round>,
}

/// What both sides showed.
#[derive(Debug, Serialize)]
pub struct Round {
    /// From 1.
    pub number: u32,
    /// From memory.
    pub old: Crash,
    /// Through the pipeline.
    pub new: Crash,
}

/// One side, and how fast it was back. Milliseconds; none where nothing was to come.
#[derive(Debug, Serialize)]
pub struct Crash {
    /// What it showed.
    #[serde(flatten)]
    pub run: Run,
    /// Payments that were acknowledged before the kill.
    pub acknowledged_before: usize,
    /// Of these, lost.
    pub lost_of_before: usize,
    /// From the restart to the first arrival after it.
    pub first_after_restart_ms: Option<i64>,
    /// From the restart until all of these had arrived that ever did.
    pub all_of_before_after_restart_ms: Option<i64>,
    /// The same from the kill on.
    pub all_of_before_after_kill_ms: Option<i64>,
    /// Of these, how many came later than [`WANTED_WITHIN_MS`] after the restart.
    pub later_than_wanted: usize,
}

impl FullLoad {
    pub(super) async fn play(old: &Arena<'_>, new: &Arena<'_>, options: Options) -> anyhow::Result<Self> {
        let mut rounds = Vec::new();
        for number in 1..=options.rounds {
            let play = async |arena| Crash::play(arena, number, options).await;
            rounds.push(Round { number, old: play(old).await?, new: play(new).await? });
        }
        Ok(Self { options, rounds })
    }
}

impl Crash {
    async fn play(arena: &Arena<'_>, number: u32, options: Options) -> anyhow::Result<Self> {
        let load = Load {
            merchants: 1,
            changes: 0,
            until: Until::Payments(options.payments),
            pace: Pace::Closed { concurrency: options.concurrency },
        };
        let plan = Plan {
            name: &format!("full load {number}"),
            load,
            moods: &[json!({"mood": "well"})],
            kill: Rule::Arrived(options.kill_after),
            restart_after: options.restart_after,
        };
        let (run, account, seen) = Run::play(arena, plan).await?;
        Ok(Self::of(run, &account, &seen))
    }

    /// Whether everything acknowledged before the kill came in time.
    pub(super) const fn is_in_time(&self) -> bool {
        self.lost_of_before == 0 && self.later_than_wanted == 0
    }

    fn of(run: Run, account: &Account, seen: &Seen) -> Self {
        let since = |from: Timestamp, at: Timestamp| (at.unix_micros() - from.unix_micros()) / 1_000;
        let arrivals = || seen.arrivals.values().flatten();
        let first_at: HashMap<&str, Timestamp> =
            arrivals().filter_map(|arrival| Some((arrival.payment_id.as_deref()?, arrival.first_at))).collect();
        let before = || account.acknowledged.iter().filter(|ack| ack.acknowledged_at <= run.killed_at);
        let arrived = || before().filter_map(|ack| first_at.get(ack.payment_id.to_string().as_str()).copied());
        let last = arrived().max().filter(|last| *last > run.restarted_at);
        let every =
            arrivals().flat_map(|arrival| std::iter::once(arrival.first_at).chain(arrival.repeats.iter().copied()));
        let first = every.filter(|at| *at > run.restarted_at).min();
        Self {
            acknowledged_before: before().count(),
            lost_of_before: before().count() - arrived().count(),
            first_after_restart_ms: first.map(|at| since(run.restarted_at, at)),
            all_of_before_after_restart_ms: last.map(|at| since(run.restarted_at, at)),
            all_of_before_after_kill_ms: last.map(|at| since(run.killed_at, at)),
            later_than_wanted: arrived().filter(|at| since(run.restarted_at, *at) > WANTED_WITHIN_MS).count(),
            run,
        }
    }
}
