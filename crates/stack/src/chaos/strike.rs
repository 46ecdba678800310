//! Does to the stack what the plan says, and notes what came of it.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustix::process::Signal;
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::armed::Armed;
use super::links::Links;
use super::plan::{Act, Fault, Plan};
use super::proxy::Mode;
use super::target::{Point, Victim, link_repeats};
use crate::Stack;
use crate::process::{Stopped, describe};
use crate::progress::Progress;
use crate::stack::STOP_WITHIN;
use verifier::verdict::explain::Window;

/// What died at a point is started again after so long.
const DOWN_AFTER_POINT: Duration = Duration::from_millis(500);
/// So long the news of a death may take.
const NEWS_WITHIN: Duration = Duration::from_secs(30);
/// What died although nobody struck it is started again after so long.
const DOWN_AFTER_DEATH: Duration = Duration::from_millis(500);

/// A fault as it happened.
#[derive(Debug, Clone, Serialize)]
pub struct Struck {
    /// As planned.
    #[serde(flatten)]
    pub fault: Fault,
    /// When it began.
    pub began_at: verifier::Timestamp,
    /// When whoever was struck could be used again.
    pub ended_at: verifier::Timestamp,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// As planned.
    Done,
    /// Somebody passed the armed point and died.
    Hit {
        /// Who; none if another fault struck the same process in that moment.
        process: Option<String>,
    },
    /// Nobody passed the point while it was armed.
    NotHit,
    /// The process did not run.
    WasDown,
    /// It was started again and could not be used in time, or it died on its way, or it did not stop when it was asked to.
    NotReady {
        /// What is said of it.
        problem: String,
    },
}

/// A process that died although nobody struck it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Death {
    /// Which.
    pub process: String,
    /// When it was seen.
    pub at: verifier::Timestamp,
    /// When it could be used again.
    pub ended_at: verifier::Timestamp,
    /// How it ended.
    pub how: String,
}

/// Whoever strikes.
pub struct Striker<'a> {
    stack: &'a Stack,
    links: &'a Links,
    armed: Armed,
    progress: &'a Progress,
    deaths: Mutex<Vec<Death>>,
}

impl<'a> Striker<'a> {
    /// Strikes this stack.
    pub fn new(stack: &'a Stack, links: &'a Links, armed: Armed, progress: &'a Progress) -> Self {
        Self { stack, links, armed, progress, deaths: Mutex::default() }
    }

    /// Plays the plan, and returns when every fault has ended and every process of it could be used again.
    ///
    /// # Errors
    /// If a signal can't be sent or a point can't be armed.
    pub async fn play(&self, plan: &Plan) -> anyhow::Result<Vec<Struck>> {
        let begun = Instant::now();
        let mut under_way = FuturesUnordered::new();
        let mut struck = Vec::new();
        for fault in &plan.faults {
            let due = sleep_until(begun + Duration::from_millis(fault.at_ms));
            tokio::pin!(due);
            loop {
                tokio::select! {
                    () = &mut due => break,
                    Some(ended) = under_way.next(), if !under_way.is_empty() => struck.push(ended?),
                }
            }
            self.progress.say(&fault.to_string());
            under_way.push(self.strike(fault));
        }
        while let Some(ended) = under_way.next().await {
            struck.push(ended?);
        }
        sleep_until(begun + plan.duration()).await;
        struck.sort_by_key(|struck: &Struck| struck.fault.at_ms);
        Ok(struck)
    }

    /// Starts again whatever dies by itself, or at a point that nobody waits for any more; for ever.
    ///
    /// # Errors
    /// If the stack's state can't be written.
    pub async fn mind_deaths(&self) -> anyhow::Result<()> {
        let mut starts = FuturesUnordered::new();
        loop {
            tokio::select! {
                died = self.stack.died() => {
                    let (process, status) = died?;
                    if !self.is_explained(&process, status) {
                        starts.push(self.revive(process, status));
                    }
                }
                Some(()) = starts.next(), if !starts.is_empty() => {}
            }
        }
    }

    /// What died although nobody struck it.
    pub fn deaths(&self) -> Vec<Death> {
        self.deaths.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_explained(&self, process: &str, status: ExitStatus) -> bool {
        status.signal() == Some(Signal::KILL.as_raw()) && self.armed.explain(process).is_some()
    }

    async fn revive(&self, process: String, status: ExitStatus) {
        let (at, how) = (verifier::now(), describe(status));
        let log = self.stack.folder().log(&process);
        self.progress.say(&format!("{process} {how}, and nobody struck it (log: {})", log.display()));
        sleep(DOWN_AFTER_DEATH).await;
        // If it dies again, that is told again.
        if let Err(error) = self.stack.start_silently(&process).await {
            self.progress.say(&format!("{process}: {error:#}"));
        }
        let death = Death { process, at, ended_at: verifier::now(), how };
        self.deaths.lock().unwrap_or_else(PoisonError::into_inner).push(death);
    }

    async fn strike(&self, fault: &Fault) -> anyhow::Result<Struck> {
        let mut began_at = verifier::now();
        let time = Duration::from_millis(fault.for_ms);
        let outcome = match fault.act {
            Act::Kill { process } => self.kill(process, time).await?,
            Act::Restart { process } => self.restart(process, time).await?,
            Act::Freeze { process } => self.freeze(process, time).await?,
            Act::Point { point } => {
                let (outcome, hit_at) = self.point(point, time).await?;
                began_at = hit_at;
                outcome
            }
            Act::Cut { link } => {
                self.links.cut(link);
                Outcome::Done
            }
            Act::Refuse { link } => self.disturb(link, Mode::Refuse, time).await,
            Act::Stall { link } => self.disturb(link, Mode::Stall, time).await,
            Act::Slow { link, latency_ms, bytes_per_second } => {
                let latency = Duration::from_millis(latency_ms.into());
                self.disturb(link, Mode::Slow { latency, bytes_per_second }, time).await
            }
        };
        match &outcome {
            Outcome::Done => {}
            Outcome::Hit { process } => {
                let who = process.as_deref().unwrap_or("somebody who was struck then, too,");
                self.progress.say(&format!("  {who} died at {}", fault.act.target()));
            }
            Outcome::NotHit => self.progress.say(&format!("  nobody passed {}", fault.act.target())),
            Outcome::WasDown => self.progress.say(&format!("  {} did not run", fault.act.target())),
            Outcome::NotReady { problem } => self.progress.say(&format!("  {problem}")),
        }
        Ok(Struck { fault: fault.clone(), began_at, ended_at: verifier::now(), outcome })
    }

    async fn kill(&self, victim: Victim, time: Duration) -> anyhow::Result<Outcome> {
        if self.stack.pid(victim.name()).await.is_none() || self.stack.kill9(victim.name()).await.is_err() {
            return Ok(Outcome::WasDown);
        }
        sleep(time).await;
        Ok(self.start(victim.name()).await)
    }

    async fn restart(&self, victim: Victim, time: Duration) -> anyhow::Result<Outcome> {
        let name = victim.name();
        if self.stack.pid(name).await.is_none() {
            return Ok(Outcome::WasDown);
        }
        let Ok(stopped) = self.stack.stop(name).await else { return Ok(Outcome::WasDown) };
        sleep(time).await;
        let started = self.start(name).await;
        Ok(match (stopped, started) {
            (Stopped::Killed, Outcome::Done) => {
                let seconds = STOP_WITHIN.as_secs();
                Outcome::NotReady { problem: format!("{name} did not stop within {seconds} s and was killed") }
            }
            (_, started) => started,
        })
    }

    async fn freeze(&self, victim: Victim, time: Duration) -> anyhow::Result<Outcome> {
        let Ok(frozen) = self.stack.freeze(victim.name()).await else { return Ok(Outcome::WasDown) };
        sleep(time).await;
        drop(frozen);
        Ok(Outcome::Done)
    }

    async fn point(&self, point: Point, time: Duration) -> anyhow::Result<(Outcome, verifier::Timestamp)> {
        let mut told = self.armed.arm(point)?;
        let process = match timeout(time, &mut told).await {
            Ok(told) => told.ok(),
            Err(_) if self.armed.disarm(point) => return Ok((Outcome::NotHit, verifier::now())),
            Err(_) => timeout(NEWS_WITHIN, told).await.ok().and_then(Result::ok),
        };
        let hit_at = verifier::now();
        let Some(name) = process else { return Ok((Outcome::Hit { process: None }, hit_at)) };
        sleep(DOWN_AFTER_POINT).await;
        match self.start(&name).await {
            Outcome::Done => Ok((Outcome::Hit { process: Some(name) }, hit_at)),
            other => Ok((other, hit_at)),
        }
    }

    async fn disturb(&self, link: crate::routes::Link, mode: Mode, time: Duration) -> Outcome {
        let disturbed = self.links.disturb(link, mode);
        sleep(time).await;
        drop(disturbed);
        Outcome::Done
    }

    async fn start(&self, name: &str) -> Outcome {
        match self.stack.start_silently(name).await {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::NotReady { problem: format!("{error:#}") },
        }
    }
}

impl Struck {
    /// The time in which something was disturbed by it; none if nothing was.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        let disturbed = matches!(self.outcome, Outcome::Done | Outcome::Hit { .. } | Outcome::NotReady { .. });
        let repeats = match self.fault.act {
            Act::Kill { process } | Act::Restart { process } | Act::Freeze { process } => process.repeats(),
            Act::Point { point } => point.repeats(),
            Act::Cut { link } | Act::Refuse { link } | Act::Stall { link } | Act::Slow { link, .. } => {
                link_repeats(link)
            }
        };
        disturbed.then(|| Window {
            what: format!("{} {}", self.fault.act.kind(), self.fault.act.target()),
            from: self.began_at,
            to: self.ended_at,
            repeats,
        })
    }
}

impl Death {
    /// The time in which it was down.
    #[must_use]
    pub fn window(&self) -> Window {
        Window { what: format!("death of {}", self.process), from: self.at, to: self.ended_at, repeats: true }
    }
}
