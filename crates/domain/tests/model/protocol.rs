//! The protocol as stateright sees it: which worlds there are, what can happen in them, and what comes of it.

use stateright::{Model, Property};

use crate::progress::rank;
use crate::rules::Rules;
use crate::world::{Reply, World, Wrong};

/// The protocol in a world of a certain kind.
#[derive(Clone)]
pub struct Protocol {
    pub rules: Rules,
    /// `per_object` or `latest_only`, or `any`.
    pub is_ordered: bool,
    /// `latest_only`.
    pub is_latest: bool,
    /// One or two events of the object.
    pub versions: usize,
    /// How many mishaps there may be at most, and of which kinds.
    pub mishaps: u8,
    pub kinds: Vec<Kind>,
    pub has_sweep: bool,
    pub properties: Vec<Property<Protocol>>,
}

/// What may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A worker dies; its invocation is run again from what is journaled.
    Crash,
    /// The connection to a worker breaks: its invocation is run again, and the worker goes on nevertheless.
    Split,
    /// Record commits, and its answer is lost.
    LostAnswer,
    /// An open or next that nobody waits for any more commits late.
    LateAsk,
    /// Recording fails for so long that the result is journaled, to be recorded by a second step.
    Deferral,
    /// The merchant answers 2xx, and the answer is lost.
    LostReply,
    /// The merchant answers 410.
    Gone,
    /// The merchant answers `webhook-delivery: abort-message`.
    Abort,
    /// The sweep takes a delivery over that somebody has.
    TakeOver,
    /// A lease lapses while its owner is alive.
    Slow,
    /// The sweep's answer, or what it sends, is lost.
    LostSend,
    /// What the sweep sends arrives twice.
    TwiceSent,
    /// CDC brings an event again.
    TwiceCaptured,
    /// The endpoint is disabled.
    Pause,
    /// Somebody has a delivery resent that has ended, or is parked.
    Resend,
    /// Somebody declines what was parked, or has the latest of it sent alone.
    Settle,
    /// Restate's data is lost.
    Wipe,
    /// The ledger forgets what it has not committed durably.
    PowerCut,
    /// The endpoint's gate lets nothing through before a certain time: its rate.
    Gate,
    /// The endpoint's gate lets nothing through: its share or its circuit.
    ClosedGate,
}

impl Kind {
    pub const ALL: &[Self] = &[
        Self::Crash,
        Self::Split,
        Self::LostAnswer,
        Self::LateAsk,
        Self::Deferral,
        Self::LostReply,
        Self::Gone,
        Self::Abort,
        Self::TakeOver,
        Self::Slow,
        Self::LostSend,
        Self::TwiceSent,
        Self::TwiceCaptured,
        Self::Pause,
        Self::Resend,
        Self::Settle,
        Self::Wipe,
        Self::PowerCut,
    ];

    /// Those after which Restate still knows what is to be done.
    pub const OF_WORKERS: &[Self] = &[
        Self::Crash,
        Self::Split,
        Self::LostAnswer,
        Self::LateAsk,
        Self::Deferral,
        Self::LostReply,
        Self::Abort,
        Self::Slow,
        Self::TwiceCaptured,
    ];
}

/// What comes of that which the sweep sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Once,
    Never,
    Twice,
}

/// A step of the world. Numbers are indices of invocations, zombies and versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Ask(usize),
    AskAtGate(usize),
    AskAtClosedGate(usize),
    Post(usize, Reply),
    Record(usize),
    Journal(usize),
    ZombiePosts(usize, Reply),
    ZombieRecords(usize),
    ZombieDies(usize),
    TimePasses(usize),
    DoubtPasses(usize),
    LeaseLapses(usize),
    LetIn(usize, Sent),
    SweepRoutes(usize, Sent),
    SweepTakesOver(usize, Sent),
    SweepResumes(usize, Sent),
    SweepReleases(usize, Sent),
    Resend(usize, Sent),
    Decline(usize),
    Replace(usize),
    OperatorEnables,
    Crash(usize),
    Split(usize),
    LoseAnswer(usize),
    AskLate(usize),
    VanishedAsksLate(usize),
    Defer(usize),
    CaptureAgain(usize),
    Pause,
    Wipe,
    CutPower,
}

impl Protocol {
    pub fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// How many mishaps an action is.
    fn cost(&self, world: &World, action: Action) -> u8 {
        match action {
            Action::Ask(_)
            | Action::Record(_)
            | Action::Journal(_)
            | Action::ZombieRecords(_)
            | Action::ZombieDies(_)
            | Action::TimePasses(_)
            | Action::DoubtPasses(_)
            | Action::OperatorEnables => 0,
            Action::Post(_, reply) | Action::ZombiePosts(_, reply) => {
                u8::from(!matches!(reply, Reply::Ok | Reply::Fail))
            }
            Action::LeaseLapses(version) => u8::from(world.is_being_made(version)),
            Action::SweepTakesOver(version, sent) => {
                let has_owner = world.target(version).is_some_and(|target| self.is_cared_for(world, target));
                u8::from(has_owner) + u8::from(sent != Sent::Once)
            }
            Action::LetIn(_, sent)
            | Action::SweepRoutes(_, sent)
            | Action::SweepResumes(_, sent)
            | Action::SweepReleases(_, sent) => u8::from(sent != Sent::Once),
            Action::Resend(_, sent) => 1 + u8::from(sent != Sent::Once),
            Action::AskAtGate(_)
            | Action::AskAtClosedGate(_)
            | Action::Crash(_)
            | Action::Split(_)
            | Action::LoseAnswer(_)
            | Action::AskLate(_)
            | Action::VanishedAsksLate(_)
            | Action::Defer(_)
            | Action::CaptureAgain(_)
            | Action::Pause
            | Action::Decline(_)
            | Action::Replace(_)
            | Action::Wipe
            | Action::CutPower => 1,
        }
    }

    /// The world after an action, or none if the action came to nothing.
    pub fn after(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        let cost = self.cost(last, action);
        world.mishaps -= cost;
        self.act(&mut world, action);
        world.normalise();
        if world == *last {
            return None;
        }
        if cost == 0 && rank(&world) <= rank(last) {
            world.wrong = Some(Wrong::NoProgress);
        }
        Some(world)
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = World::new(self.versions, self.mishaps, self.has(Kind::PowerCut));
        world.normalise();
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.course(world, actions);
        if !world.is_enabled {
            actions.push(Action::OperatorEnables);
        }
        if world.mishaps > 0 {
            self.misfortunes(world, actions);
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        self.after(last, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        self.properties.clone()
    }
}
