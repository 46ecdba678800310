//! What can happen: the ordinary course, which nobody can keep from going on, and mishaps, of which there are few.

use domain::ledger::{self, Reason, State};

use crate::protocol::{Action, Kind, Protocol, Sent};
use crate::rules::Bug;
use crate::world::{Phase, Reply, Row, Target, Work, World};

impl Protocol {
    fn replies(&self, world: &World) -> impl Iterator<Item = Reply> {
        let may = |kind| world.mishaps > 0 && self.has(kind);
        let rare = [(Kind::LostReply, Reply::Lost), (Kind::Gone, Reply::Gone), (Kind::Abort, Reply::Abort)];
        let rare = rare.map(|(kind, reply)| may(kind).then_some(reply));
        [Reply::Ok, Reply::Fail].into_iter().chain(rare.into_iter().flatten())
    }

    fn sends(&self, mishaps: u8) -> impl Iterator<Item = Sent> {
        let may = |kind| mishaps > 0 && self.has(kind);
        let lost = may(Kind::LostSend).then_some(Sent::Never);
        let twice = may(Kind::TwiceSent).then_some(Sent::Twice);
        [Sent::Once].into_iter().chain(lost).chain(twice)
    }

    /// Whether an invocation has this claim, or has an earlier version and will be told of this one.
    pub fn is_cared_for(&self, world: &World, target: Target) -> bool {
        let is_told = |work: Work| match work {
            Work::Event(version) => version <= target.version,
            Work::Attempt(of) => of.version < target.version,
        };
        world.carriers(target) > 0
            || (self.is_ordered && world.invocations.iter().any(|invocation| is_told(invocation.work)))
    }

    /// Nobody asks for it while the endpoint takes nothing, or where the latest only is wanted and this is not it.
    fn may_be_resent(&self, world: &World, version: usize) -> bool {
        let is_followed = world.ledger[version + 1..].iter().any(Option::is_some);
        world.is_enabled
            && world.ledger[version].is_some_and(|row| !row.is_unfinished())
            && !(self.is_latest && is_followed)
    }

    /// What goes on by itself, if nothing goes wrong. Some of it may come to nothing.
    pub fn course(&self, world: &World, actions: &mut Vec<Action>) {
        for (index, invocation) in world.invocations.iter().enumerate() {
            match invocation.phase {
                Phase::Ready => actions.push(Action::Ask(index)),
                Phase::Begun(_) => actions.extend(self.replies(world).map(|reply| Action::Post(index, reply))),
                Phase::Posted(..) | Phase::Deferred(..) => actions.push(Action::Record(index)),
                Phase::Answered(_) => actions.push(Action::Journal(index)),
            }
        }
        for (index, zombie) in world.zombies.iter().enumerate() {
            match zombie.reply {
                None => actions.extend(self.replies(world).map(|reply| Action::ZombiePosts(index, reply))),
                Some(_) => actions.push(Action::ZombieRecords(index)),
            }
            actions.push(Action::ZombieDies(index));
        }
        for version in 0..self.versions {
            if let Some(row) = world.ledger[version] {
                if row.stays && !self.rules.has(Bug::NobodyIsLetIn) {
                    actions.extend(self.sends(world.mishaps).map(|sent| Action::LetIn(version, sent)));
                } else if row.later && !row.stays {
                    actions.push(Action::TimePasses(version));
                }
                if row.flight.is_some_and(|flight| !flight.lapsed) && !world.is_being_made(version) {
                    actions.push(Action::LeaseLapses(version));
                }
                if self.is_latest && row.stored.in_doubt && !world.may_still_arrive(version) {
                    actions.push(Action::DoubtPasses(version));
                }
            }
            if self.has_sweep && !self.rules.has(Bug::SweepIsOff) {
                self.sweep(world, version, actions);
            }
        }
    }

    /// Whether the latest only is wanted, and one that is behind whatever waits.
    fn may_make_way(&self, world: &World, version: usize) -> bool {
        let gives_way = |row: &Row| ledger::supersede(row.seen_by(None)).is_some();
        self.is_latest && world.ledger[..version].iter().flatten().any(gives_way)
    }

    /// What the sweep finds, if it is truly overdue.
    fn sweep(&self, world: &World, version: usize, actions: &mut Vec<Action>) {
        let action: fn(usize, Sent) -> Action = match (world.ledger[version], world.target(version)) {
            (Some(row), Some(target)) => match row.state() {
                State::Pending
                    if !row.later
                        && row.flight.is_none_or(|flight| flight.lapsed)
                        && !self.is_cared_for(world, target) =>
                {
                    Action::SweepTakesOver
                }
                State::Parked if world.is_enabled && row.reason != Some(Reason::Declined) => Action::SweepResumes,
                State::Held if world.is_first(version) || self.may_make_way(world, version) => Action::SweepReleases,
                _ => return,
            },
            _ if world.invocations.iter().all(|invocation| invocation.work != Work::Event(version)) => {
                Action::SweepRoutes
            }
            _ => return,
        };
        actions.extend(self.sends(world.mishaps).map(|sent| action(version, sent)));
    }

    /// What may go wrong.
    pub fn misfortunes(&self, world: &World, actions: &mut Vec<Action>) {
        let mut offer = |kind, action| actions.extend(self.has(kind).then_some(action));
        for (index, invocation) in world.invocations.iter().enumerate() {
            match invocation.phase {
                Phase::Ready => {
                    offer(Kind::Gate, Action::AskAtGate(index));
                    offer(Kind::ClosedGate, Action::AskAtClosedGate(index));
                }
                Phase::Begun(_) | Phase::Answered(_) => offer(Kind::Crash, Action::Crash(index)),
                Phase::Posted(..) => {
                    offer(Kind::Crash, Action::Crash(index));
                    offer(Kind::LostAnswer, Action::LoseAnswer(index));
                    offer(Kind::Deferral, Action::Defer(index));
                }
                Phase::Deferred(..) => offer(Kind::LostAnswer, Action::LoseAnswer(index)),
            }
            if invocation.phase != Phase::Ready {
                offer(Kind::LateAsk, Action::AskLate(index));
            }
            if matches!(invocation.phase, Phase::Begun(_) | Phase::Posted(..)) {
                offer(Kind::Split, Action::Split(index));
            }
        }
        for version in 0..self.versions {
            offer(Kind::TwiceCaptured, Action::CaptureAgain(version));
            let Some((row, target)) = world.ledger[version].zip(world.target(version)) else { continue };
            if row.flight.is_some_and(|flight| !flight.lapsed) && world.is_being_made(version) {
                offer(Kind::Slow, Action::LeaseLapses(version));
            }
            let is_continued = row.stored.attempts > 0
                && world.invocations.iter().any(|invocation| invocation.work == Work::Attempt(target));
            if is_continued {
                offer(Kind::LateAsk, Action::VanishedAsksLate(version));
            }
            if row.state() == State::Parked && world.is_enabled && row.reason != Some(Reason::Declined) {
                offer(Kind::Settle, Action::Decline(version));
                if world.ledger[version + 1..].iter().any(Option::is_some) {
                    offer(Kind::Settle, Action::Replace(version));
                }
            }
            if self.may_be_resent(world, version) {
                for sent in self.sends(world.mishaps - 1) {
                    offer(Kind::Resend, Action::Resend(version, sent));
                }
            }
            if row.state() == State::Pending && self.is_cared_for(world, target) {
                for sent in self.sends(world.mishaps - 1) {
                    offer(Kind::TakeOver, Action::SweepTakesOver(version, sent));
                }
            }
        }
        if world.is_enabled {
            offer(Kind::Pause, Action::Pause);
        }
        if !world.invocations.is_empty() {
            offer(Kind::Wipe, Action::Wipe);
        }
        if world.durable.is_some_and(|durable| durable != world.ledger) {
            offer(Kind::PowerCut, Action::CutPower);
        }
    }
}
