//! What is struck when, and for how long: a pure function of the seed and the options, printed before anything happens.

mod deck;
mod words;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use self::deck::Deck;
use super::target::{Point, Victim};
use crate::routes::Link;

/// Nothing is struck before the load has found its pace.
const FIRST_AT_MS: u64 = 3_000;
/// So long before the end everything is over.
const CALM_MS: u64 = 1_000;
/// At a time no more than this is disturbed.
const MOST_AT_A_TIME: usize = 3;
/// While something is disturbed for longer, others are struck beside it.
const LONG_MS: u64 = 8_000;
/// So long a point stays armed.
const ARMED_MS: u64 = 20_000;

/// The whole plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// From which everything was drawn.
    pub seed: u64,
    /// How long the load goes on.
    pub duration_ms: u64,
    /// Requests a second.
    pub rate: f64,
    /// In the order of their beginnings.
    pub faults: Vec<Fault>,
}

/// One disturbance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// After the beginning of the load.
    pub at_ms: u64,
    /// What is killed is started again after so long, what is frozen goes on, what is kept back passes. A point stays armed
    /// for so long.
    pub for_ms: u64,
    /// What is done to whom.
    #[serde(flatten)]
    pub act: Act,
    /// Whether something else is still disturbed when this begins.
    #[serde(default)]
    pub beside: bool,
}

/// What is done to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// kill -9.
    Kill {
        /// Whom.
        process: Victim,
    },
    /// It is asked to stop.
    Restart {
        /// Whom.
        process: Victim,
    },
    /// It stands still, and its connections with it.
    Freeze {
        /// Whom.
        process: Victim,
    },
    /// Whoever passes the point next kills itself there.
    Point {
        /// Where.
        point: Point,
    },
    /// The connections that stand are cut.
    Cut {
        /// Which.
        link: Link,
    },
    /// They are cut, and no others are taken.
    Refuse {
        /// Which.
        link: Link,
    },
    /// Nothing passes, and nobody is told.
    Stall {
        /// Which.
        link: Link,
    },
    /// What passes is late and little.
    Slow {
        /// Which.
        link: Link,
        /// By so much.
        latency_ms: u32,
        /// At most so much, each way on each connection.
        bytes_per_second: u32,
    },
}

/// A plan that can't be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAPlan {
    /// A line that is none.
    #[error("line {number} is no line of a plan: {problem}")]
    Line {
        /// From 1.
        number: usize,
        /// What is wrong.
        problem: String,
    },
    /// It does not say how long it is.
    #[error("a plan begins with a line like: plan seed 7 lasts 300 s rate 20")]
    NoHead,
    /// It is not JSON, either.
    #[error("this is no plan in JSON: {0}")]
    Json(String),
    /// A fault that outlasts the load.
    #[error("{0} goes on after the end of the plan")]
    Endless(String),
    /// A fault before an earlier one in the list.
    #[error("{0} stands behind a later one")]
    NotInOrder(String),
    /// Two faults at one target at once.
    #[error("{0} begins while the same is disturbed already")]
    Twice(String),
    /// Two faults at once, of which the plan does not say so.
    #[error("{0} begins while something else is disturbed, and the plan does not say \"beside\"")]
    NotBeside(String),
}

/// Whom an act is about; no two at once are about the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Process(Victim),
    Link(Link),
    Point(Point),
}

impl Act {
    /// Every kind, in the order of the page's table.
    pub const KINDS: [&str; 8] = ["kill", "restart", "freeze", "point", "cut", "refuse", "stall", "slow"];

    /// Its kind in a word, one of [`Act::KINDS`].
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Restart { .. } => "restart",
            Self::Freeze { .. } => "freeze",
            Self::Point { .. } => "point",
            Self::Cut { .. } => "cut",
            Self::Refuse { .. } => "refuse",
            Self::Stall { .. } => "stall",
            Self::Slow { .. } => "slow",
        }
    }

    /// Whom it is about, by name.
    #[must_use]
    pub fn target(&self) -> &'static str {
        match self.about() {
            About::Process(process) => process.name(),
            About::Link(link) => link.name(),
            About::Point(point) => point.name(),
        }
    }

    fn about(&self) -> About {
        match *self {
            Self::Kill { process } | Self::Restart { process } | Self::Freeze { process } => About::Process(process),
            Self::Point { point } => About::Point(point),
            Self::Cut { link } | Self::Refuse { link } | Self::Stall { link } | Self::Slow { link, .. } => {
                About::Link(link)
            }
        }
    }

    /// A point disturbs nothing before it is passed.
    fn is_armed_only(&self) -> bool {
        matches!(self, Self::Point { .. })
    }
}

impl Fault {
    fn ends_ms(&self) -> u64 {
        self.at_ms.saturating_add(self.for_ms)
    }
}

impl Plan {
    /// The plan of this seed. Points are planned only for programs that have them.
    #[must_use]
    pub fn new(seed: u64, duration: Duration, rate: f64, points: bool) -> Self {
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let mut dice = StdRng::seed_from_u64(seed);
        let mut decks = Decks::new(points);
        let end = duration_ms.saturating_sub(CALM_MS);
        let longest_freeze_ms = (duration_ms / 10).clamp(5_000, 150_000);
        let mut faults: Vec<Fault> = Vec::new();
        let mut at_ms = FIRST_AT_MS + dice.random_range(0..3_000);
        while at_ms + 1_000 < end {
            let active: Vec<&Fault> = faults.iter().filter(|fault| fault.ends_ms() >= at_ms).collect();
            let act = decks.draw(&mut dice, &active);
            let for_ms = length(act, longest_freeze_ms, &mut dice).min(end - at_ms);
            let beside = !act.is_armed_only() && active.iter().any(|fault| !fault.act.is_armed_only());
            faults.push(Fault { at_ms, for_ms, act, beside });
            at_ms = next_at(&faults, at_ms, &mut dice);
        }
        Self { seed, duration_ms, rate, faults }
    }

    /// How long the load goes on.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_millis(self.duration_ms)
    }

    /// Whether a point is in it.
    #[must_use]
    pub fn has_points(&self) -> bool {
        self.faults.iter().any(|fault| fault.act.is_armed_only())
    }

    /// The plan in a text: its lines, or JSON, alone or in the report of a run.
    ///
    /// # Errors
    /// Says what is wrong with it, and where.
    pub fn read(text: &str) -> Result<Self, NotAPlan> {
        let plan = if text.trim_start().starts_with('{') { Self::from_json(text)? } else { words::parse(text)? };
        plan.check()?;
        Ok(plan)
    }

    fn from_json(text: &str) -> Result<Self, NotAPlan> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Read {
            Report { plan: Plan },
            Alone(Plan),
        }
        match serde_json::from_str(text).map_err(|error| NotAPlan::Json(error.to_string()))? {
            Read::Report { plan } | Read::Alone(plan) => Ok(plan),
        }
    }

    /// Every fault ends, none is about what is disturbed already, and two at once only where the plan says so.
    fn check(&self) -> Result<(), NotAPlan> {
        for (n, fault) in self.faults.iter().enumerate() {
            let before = self.faults.get(..n).unwrap_or_default();
            if fault.ends_ms() > self.duration_ms {
                return Err(NotAPlan::Endless(fault.to_string()));
            }
            if before.last().is_some_and(|before| before.at_ms > fault.at_ms) {
                return Err(NotAPlan::NotInOrder(fault.to_string()));
            }
            let active: Vec<&Fault> = before.iter().filter(|before| before.ends_ms() > fault.at_ms).collect();
            if active.iter().any(|other| other.act.about() == fault.act.about()) {
                return Err(NotAPlan::Twice(fault.to_string()));
            }
            let is_beside = !fault.act.is_armed_only() && active.iter().any(|other| !other.act.is_armed_only());
            if is_beside && !fault.beside {
                return Err(NotAPlan::NotBeside(fault.to_string()));
            }
        }
        Ok(())
    }
}

/// One deck for each sort of target, so that each target is struck, and in each way, before one is struck a second time.
struct Decks {
    processes: Deck<Victim>,
    links: Deck<Link>,
    points: Option<Deck<Point>>,
}

impl Decks {
    fn new(points: bool) -> Self {
        Self {
            processes: Deck::new(
                &Victim::ALL,
                &[
                    |process, _| Act::Kill { process },
                    |process, _| Act::Freeze { process },
                    |process, _| Act::Restart { process },
                ],
            ),
            links: Deck::new(
                &Link::ALL,
                &[
                    |link, _| Act::Cut { link },
                    |link, _| Act::Stall { link },
                    |link, dice| Act::Slow {
                        link,
                        latency_ms: dice.random_range(20..=400),
                        bytes_per_second: [8_000, 50_000, 400_000].choose(dice).copied().unwrap_or(50_000),
                    },
                    |link, _| Act::Refuse { link },
                ],
            ),
            points: points.then(|| Deck::new(&Point::ALL, &[|point, _| Act::Point { point }])),
        }
    }

    /// The next act about somebody who is not disturbed.
    fn draw(&mut self, dice: &mut StdRng, active: &[&Fault]) -> Act {
        let is_free = |act: &Act| active.iter().all(|fault| fault.act.about() != act.about());
        match (dice.random_range(0..100), &mut self.points) {
            (0..20, Some(points)) => points.draw(dice, is_free),
            (0..65, _) => self.processes.draw(dice, is_free),
            _ => self.links.draw(dice, is_free),
        }
    }
}

/// For how long.
fn length(act: Act, longest_freeze_ms: u64, dice: &mut StdRng) -> u64 {
    let sort = dice.random_range(0..10);
    let mut within = |from: u64, to: u64| dice.random_range(from..=to.max(from));
    match (act, sort) {
        (Act::Cut { .. }, _) => 0,
        (Act::Point { .. }, _) => ARMED_MS,
        (Act::Kill { .. }, 0..8) => within(100, 2_500),
        (Act::Kill { .. }, _) => within(2_500, 8_000),
        (Act::Restart { .. }, _) => within(0, 1_500),
        (Act::Freeze { .. }, 0..6) => within(1_000, 4_000),
        (Act::Freeze { .. }, 6..9) => within(4_000, longest_freeze_ms.min(15_000)),
        (Act::Freeze { .. }, _) => within(longest_freeze_ms / 2, longest_freeze_ms),
        (Act::Stall { .. }, 0..8) | (Act::Refuse { .. }, _) => within(1_000, 6_000),
        (Act::Stall { .. }, _) => within(6_000, longest_freeze_ms.min(30_000)),
        (Act::Slow { .. }, _) => within(3_000, 12_000),
    }
}

/// When the next one begins: mostly a while after everything is over, now and then beside what is disturbed, and always
/// beside what is disturbed for long.
fn next_at(faults: &[Fault], at_ms: u64, dice: &mut StdRng) -> u64 {
    let pause_ms = dice.random_range(1_500..=5_500);
    let wants_beside = dice.random_bool(0.25);
    let mut ends: Vec<u64> = faults
        .iter()
        .filter(|fault| !fault.act.is_armed_only())
        .map(Fault::ends_ms)
        .filter(|end| *end > at_ms)
        .collect();
    ends.sort_unstable();
    let all_long = ends.iter().all(|end| end - at_ms >= LONG_MS);
    if ends.len() < MOST_AT_A_TIME && (wants_beside || all_long) {
        return at_ms + pause_ms;
    }
    // Until only long ones are left, and few of them.
    let short = ends.iter().filter(|end| **end - at_ms < LONG_MS).max().copied();
    let crowded = ends.len().checked_sub(MOST_AT_A_TIME - 1).and_then(|n| ends.get(n)).copied();
    short.max(crowded).unwrap_or(at_ms).max(at_ms) + pause_ms
}

#[cfg(test)]
mod tests;
