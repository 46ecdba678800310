//! The state of the world: the ledger's rows, Restate's invocations, workers that were given up, and what happened.

use std::time::Duration;

use domain::ledger::{Delivery, InFlight, Reason, State};

pub const LEASE: Duration = Duration::from_secs(20);

/// Restate's id of an invocation, or what the ledger keeps of one that has vanished since.
pub type Who = Option<u8>;

/// An attempt that is begun and has no result yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flight {
    pub owner: Who,
    pub lapsed: bool,
}

/// A row of `deliveries`, with the invocation of `routed_events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// `in_flight` is always none here: it depends on who asks.
    pub stored: Delivery,
    pub flight: Option<Flight>,
    pub reason: Option<Reason>,
    /// Whether its due time is still to come.
    pub later: bool,
    /// Whether it stays at the gate of its endpoint until it is let in.
    pub stays: bool,
    /// How many attempts it had when it was last resent.
    pub resent_from: u32,
    pub routed_by: Who,
    /// A power cut may forget a delivery, and the next one of the event has another id.
    pub era: u8,
}

impl Row {
    /// The delivery as `asker` sees it.
    pub fn seen_by(&self, asker: Who) -> Delivery {
        let in_flight = self.flight.map(|flight| InFlight {
            own: asker.is_some() && flight.owner == asker,
            lease_left: if flight.lapsed { Duration::ZERO } else { LEASE },
        });
        Delivery { in_flight, ..self.stored }
    }

    /// Stores what a transition answered to `asker`.
    pub fn store(&mut self, delivery: Delivery, asker: Who) {
        self.flight = delivery.in_flight.and_then(|in_flight| match in_flight.own {
            true => Some(Flight { owner: asker, lapsed: false }),
            false => self.flight,
        });
        self.stored = Delivery { in_flight: None, ..delivery };
        self.stays = false;
    }

    pub fn state(&self) -> State {
        self.stored.state
    }

    pub fn is_unfinished(&self) -> bool {
        self.stored.state.holds_successors()
    }
}

/// The ledger: one row for each version of the object.
pub type Ledger = [Option<Row>; 2];

/// A delivery under a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    pub version: usize,
    pub era: u8,
    pub claim: u32,
}

/// An attempt that was begun under a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Try {
    pub target: Target,
    pub number: u32,
}

/// What a POST came to. A lost answer was a 2xx at the merchant, and is a time-out here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reply {
    Ok,
    Fail,
    Lost,
    Gone,
    Abort,
}

/// What an invocation is for: its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Work {
    Event(usize),
    Attempt(Target),
}

/// How far an invocation has come. A crash takes it back to `Ready`, or to `Deferred` once that is journaled.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing is journaled: it waits in a timer, or is to be run (again).
    Ready,
    /// Open or next has answered an attempt; the POST is to be made.
    Begun(Try),
    /// The POST is answered; the result is to be recorded.
    Posted(Try, Reply),
    /// The first step gave up recording and its result is journaled; the second step is to record it.
    Deferred(Try, Reply),
    /// The ledger has answered what is left; it is to be journaled and sent.
    Answered(Vec<Target>),
}

/// An invocation of Restate's. The world's list is sorted, and each id is its index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Invocation {
    pub id: u8,
    pub work: Work,
    pub phase: Phase,
}

/// A worker whose invocation was taken from it, but which goes on: with its POST to be made, or the result to record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Zombie {
    pub trial: Try,
    pub reply: Option<Reply>,
}

/// What happened to an event: known to the model alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Past {
    /// POSTs that the merchant answered 2xx.
    pub accepted: u8,
    /// Attempts whose result nobody can know.
    pub doubts: u8,
    /// A 2xx was recorded.
    pub recorded: bool,
    pub was_held: bool,
    pub taken_over: bool,
    pub resumed: u8,
    pub resent: u8,
    /// It is resent, no attempt is begun since, and the endpoint is not disabled meanwhile.
    pub awaits: bool,
    /// It was parked, and a later one takes its place.
    pub replaced: bool,
}

/// A rule that was broken by a step, where the state alone would not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrong {
    StaleEnd,
    Overtook,
    Overlapped,
    OutOfOrder,
    CameAfterAll,
    TooEarly,
    NoProgress,
    /// An answer begins an attempt and leaves something besides: here that is one delivery with two owners.
    Both,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub ledger: Ledger,
    /// What a power cut would leave of the ledger; none if there will be no cut.
    pub durable: Option<Ledger>,
    pub era: u8,
    pub is_enabled: bool,
    pub invocations: Vec<Invocation>,
    pub zombies: Vec<Zombie>,
    /// How many mishaps are still to come.
    pub mishaps: u8,
    pub past: [Past; 2],
    pub wrong: Option<Wrong>,
}

impl World {
    /// Nothing is routed, and each event has come through CDC.
    pub fn new(versions: usize, mishaps: u8, has_cuts: bool) -> Self {
        let mut world = Self {
            ledger: [None; 2],
            durable: has_cuts.then_some([None; 2]),
            era: 0,
            is_enabled: true,
            invocations: Vec::new(),
            zombies: Vec::new(),
            mishaps,
            past: [Past::default(); 2],
            wrong: None,
        };
        for version in 0..versions {
            world.send(Work::Event(version));
        }
        world
    }

    pub fn row(&self, target: Target) -> Option<&Row> {
        self.ledger[target.version].as_ref().filter(|row| row.era == target.era)
    }

    pub fn target(&self, version: usize) -> Option<Target> {
        self.ledger[version].as_ref().map(|row| Target { version, era: row.era, claim: row.stored.claim })
    }

    /// Adds an invocation. Its id is one that neither an invocation nor the ledger has, until all are numbered anew.
    pub fn send(&mut self, work: Work) {
        let id = 128 + self.invocations.len() as u8;
        self.invocations.push(Invocation { id, work, phase: Phase::Ready });
    }

    /// How many invocations have this claim, or will have it once they are run again or have sent what is left.
    pub fn carriers(&self, target: Target) -> usize {
        let routed_by = self.row(target).and_then(|row| row.routed_by);
        let count = |invocation: &Invocation| match &invocation.phase {
            Phase::Ready => match invocation.work {
                Work::Event(_) => usize::from(target.claim == 1 && routed_by == Some(invocation.id)),
                Work::Attempt(of) => usize::from(of == target),
            },
            Phase::Begun(trial) | Phase::Posted(trial, _) | Phase::Deferred(trial, _) => {
                usize::from(trial.target == target)
            }
            Phase::Answered(left) => left.iter().filter(|of| **of == target).count(),
        };
        self.invocations.iter().map(count).sum()
    }

    /// Whether somebody is at the POST of the attempt in flight, or about to record it.
    pub fn is_being_made(&self, version: usize) -> bool {
        let Some(row) = self.ledger[version] else { return false };
        let is_it = |trial: Try| {
            (trial.target.version, trial.target.era, trial.number) == (version, row.era, row.stored.attempts)
        };
        self.zombies.iter().any(|zombie| is_it(zombie.trial))
            || self.invocations.iter().any(|invocation| match &invocation.phase {
                Phase::Begun(trial) | Phase::Posted(trial, _) => is_it(*trial),
                Phase::Ready | Phase::Deferred(..) | Phase::Answered(_) => false,
            })
    }

    /// Whether the POST of the last attempt that was begun is still to reach the merchant.
    pub fn is_to_arrive(&self, version: usize) -> bool {
        self.is_any_to_arrive(version, |row, trial| trial.number == row.stored.attempts)
    }

    /// Whether the POST of an attempt that was closed as unknown is still to reach the merchant.
    pub fn may_still_arrive(&self, version: usize) -> bool {
        self.is_any_to_arrive(version, |row, trial| trial.number < row.stored.attempts || row.flight.is_none())
    }

    fn is_any_to_arrive(&self, version: usize, is_meant: impl Fn(&Row, Try) -> bool) -> bool {
        let Some(row) = self.ledger[version] else { return false };
        let is_it =
            |trial: Try| (trial.target.version, trial.target.era) == (version, row.era) && is_meant(&row, trial);
        self.zombies.iter().any(|zombie| zombie.reply.is_none() && is_it(zombie.trial))
            || self.invocations.iter().any(|one| matches!(one.phase, Phase::Begun(trial) if is_it(trial)))
    }

    /// The earlier versions are all finished.
    pub fn is_first(&self, version: usize) -> bool {
        self.ledger[..version].iter().all(|row| row.is_some_and(|row| !row.is_unfinished()))
    }

    /// Sorts the invocations and numbers them anew, so that worlds that differ only in ids are one.
    pub fn normalise(&mut self) {
        self.zombies.sort_unstable();
        if self.mishaps == 0 {
            self.durable = None;
        }
        let references = |id: u8, world: &Self| {
            let rows = world.ledger.iter().chain(world.durable.iter().flatten()).flatten();
            let is_it = |who: Who| u8::from(who == Some(id));
            let of = |row: &Row| 2 * is_it(row.routed_by) + is_it(row.flight.and_then(|flight| flight.owner));
            rows.fold(0_u8, |all, row| 4 * all + of(row))
        };
        let mut keyed: Vec<_> = std::mem::take(&mut self.invocations)
            .into_iter()
            .map(|invocation| (references(invocation.id, self), invocation))
            .collect();
        keyed.sort_by(|(seen, one), (other, two)| (one.work, &one.phase, seen).cmp(&(two.work, &two.phase, other)));
        let ids: Vec<u8> = keyed.iter().map(|(_, invocation)| invocation.id).collect();
        let renumber =
            |who: &mut Who| *who = who.and_then(|id| ids.iter().position(|old| *old == id)).map(|new| new as u8);
        for row in self.ledger.iter_mut().chain(self.durable.iter_mut().flatten()).flatten() {
            renumber(&mut row.routed_by);
            if let Some(flight) = &mut row.flight {
                renumber(&mut flight.owner);
            }
        }
        self.invocations = keyed.into_iter().map(|(_, invocation)| invocation).collect();
        for (index, invocation) in self.invocations.iter_mut().enumerate() {
            invocation.id = index as u8;
        }
    }
}
