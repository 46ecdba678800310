//! What comes of an action.

use domain::gate::Admission;
use domain::ledger::{self, State};

use crate::protocol::{Action, Protocol, Sent};
use crate::transactions::{Answer, Transaction};
use crate::world::{LEASE, Phase, Reply, Target, Try, Who, Work, World, Wrong, Zombie};

impl Protocol {
    /// Does it.
    pub fn act(&self, world: &mut World, action: Action) {
        match action {
            Action::Ask(index) => {
                let before = world.ledger;
                let answer = self.ask(world, index, Admission::NOW);
                Self::answered(world, index, answer);
                // A crash between such an answer and the journal leads back to where the question was asked.
                let is_nothing = world.ledger == before || world.mishaps == 0;
                if is_nothing && matches!(world.invocations[index].phase, Phase::Answered(_)) {
                    self.act(world, Action::Journal(index));
                }
            }
            Action::AskAtGate(index) => {
                let answer = self.ask(world, index, Admission::Waits { wait: LEASE, slot_in: LEASE });
                Self::answered(world, index, answer);
            }
            Action::AskAtClosedGate(index) => {
                let answer = self.ask(world, index, Admission::STAYS);
                Self::answered(world, index, answer);
            }
            Action::LetIn(version, sent) => {
                let target = self.transaction(world, None).let_in(version);
                Self::sends_anew(world, target.map(Work::Attempt), sent);
            }
            Action::Post(index, reply) => {
                if let Phase::Begun(trial) = world.invocations[index].phase {
                    self.arrives(world, trial, reply);
                    world.invocations[index].phase = Phase::Posted(trial, reply);
                }
            }
            Action::Record(index) => {
                let is_second_step = matches!(world.invocations[index].phase, Phase::Deferred(..));
                if let Phase::Posted(trial, reply) | Phase::Deferred(trial, reply) = world.invocations[index].phase {
                    let Answer { left, .. } = self.transaction(world, None).record(trial, reply);
                    world.invocations[index].phase = Phase::Answered(left);
                }
                // A crash of the second step before its journal is a lost answer: it records once more.
                if is_second_step || world.mishaps == 0 {
                    self.act(world, Action::Journal(index));
                }
            }
            Action::LoseAnswer(index) => {
                if let Phase::Posted(trial, reply) | Phase::Deferred(trial, reply) = world.invocations[index].phase {
                    self.transaction(world, None).record(trial, reply);
                }
            }
            Action::AskLate(index) => drop(self.ask(world, index, Admission::NOW)),
            Action::VanishedAsksLate(version) => {
                if let Some(target) = world.target(version) {
                    self.transaction(world, None).next(target);
                }
            }
            Action::Journal(index) => {
                if let Phase::Answered(left) = world.invocations.remove(index).phase {
                    left.into_iter().for_each(|target| world.send(Work::Attempt(target)));
                }
            }
            Action::ZombiePosts(index, reply) => {
                self.arrives(world, world.zombies[index].trial, reply);
                world.zombies[index].reply = Some(reply);
            }
            Action::ZombieRecords(index) => {
                let zombie = world.zombies.remove(index);
                if let Some(reply) = zombie.reply {
                    self.transaction(world, None).record(zombie.trial, reply);
                }
            }
            Action::ZombieDies(index) => drop(world.zombies.remove(index)),
            Action::TimePasses(version) => world.ledger[version].iter_mut().for_each(|row| row.later = false),
            Action::DoubtPasses(version) => {
                world.ledger[version].iter_mut().for_each(|row| row.stored.in_doubt = false);
            }
            Action::LeaseLapses(version) => {
                world.ledger[version].iter_mut().filter_map(|row| row.flight.as_mut()).for_each(|f| f.lapsed = true);
            }
            Action::SweepRoutes(version, sent) => Self::sends_anew(world, Some(Work::Event(version)), sent),
            Action::SweepTakesOver(version, sent) => {
                let target = self.transaction(world, None).sweep(version, ledger::take_over);
                world.past[version].taken_over = true;
                Self::sends_anew(world, target.map(Work::Attempt), sent);
            }
            Action::SweepResumes(version, sent) => {
                let target = self.transaction(world, None).sweep(version, ledger::resume);
                world.past[version].resumed += 1;
                Self::sends_anew(world, target.map(Work::Attempt), sent);
            }
            Action::SweepReleases(version, sent) => {
                let target = self.transaction(world, None).sweep_held(version);
                Self::sends_anew(world, target.map(Work::Attempt), sent);
            }
            Action::Resend(version, sent) => {
                let target = self.transaction(world, None).resend(version);
                world.past[version].resent += 1;
                world.past[version].awaits = true;
                Self::sends_anew(world, target.map(Work::Attempt), sent);
            }
            Action::Decline(version) => self.transaction(world, None).settle(version, ledger::decline),
            Action::Replace(version) => {
                self.transaction(world, None).settle(version, ledger::replace);
                world.past[version].replaced = true;
            }
            Action::OperatorEnables => world.is_enabled = true,
            Action::Pause => world.is_enabled = false,
            Action::Crash(index) => world.invocations[index].phase = Phase::Ready,
            Action::Split(index) => {
                world.zombies.extend(zombie(&world.invocations[index].phase));
                world.invocations[index].phase = Phase::Ready;
            }
            Action::Defer(index) => {
                if let Phase::Posted(trial, reply) = world.invocations[index].phase {
                    world.invocations[index].phase = Phase::Deferred(trial, reply);
                }
            }
            Action::CaptureAgain(version) => world.send(Work::Event(version)),
            Action::Wipe => {
                let zombies = std::mem::take(&mut world.invocations);
                world.zombies.extend(zombies.iter().filter_map(|invocation| zombie(&invocation.phase)));
            }
            Action::CutPower => {
                if let Some(durable) = world.durable.take() {
                    for (version, row) in durable.iter().enumerate() {
                        world.past[version].doubts += u8::from(*row != world.ledger[version]);
                    }
                    world.ledger = durable;
                    world.era += 1;
                }
            }
        }
    }

    fn answered(world: &mut World, index: usize, answer: Answer) {
        let Answer { attempt, left } = answer;
        if attempt.is_some() && !left.is_empty() {
            world.wrong = Some(Wrong::Both);
        }
        world.invocations[index].phase = attempt.map_or(Phase::Answered(left), Phase::Begun);
    }

    /// A POST reaches the merchant.
    fn arrives(&self, world: &mut World, trial: Try, reply: Reply) {
        let Target { version, .. } = trial.target;
        let past = &mut world.past[version];
        past.accepted += u8::from(matches!(reply, Reply::Ok | Reply::Lost));
        past.doubts += u8::from(reply == Reply::Lost);
        let has_lost_its_place = past.resumed + past.resent > 0 || past.replaced;
        let is_superseded = world.ledger[version].is_some_and(|row| row.state() == State::Superseded);
        if matches!(reply, Reply::Ok | Reply::Lost) && is_superseded && !has_lost_its_place && world.era == 0 {
            world.wrong = Some(Wrong::CameAfterAll);
        }
        // Whoever was parked and resumed, or is resent, has lost its place.
        if self.is_ordered
            && !world.is_first(version)
            && world.past[..version].iter().all(|past| past.resumed + past.resent == 0)
        {
            world.wrong = Some(Wrong::OutOfOrder);
        }
    }

    fn sends_anew(world: &mut World, work: Option<Work>, sent: Sent) {
        let times = match sent {
            Sent::Never => 0,
            Sent::Once => 1,
            Sent::Twice => 2,
        };
        for work in work.into_iter().cycle().take(times) {
            world.send(work);
        }
    }

    fn ask(&self, world: &mut World, index: usize, admission: Admission) -> Answer {
        let asker = Some(world.invocations[index].id);
        let work = world.invocations[index].work;
        let transaction = Transaction { admission, ..self.transaction(world, asker) };
        match work {
            Work::Event(version) => transaction.open(version),
            Work::Attempt(target) => transaction.next(target),
        }
    }

    fn transaction<'a>(&'a self, world: &'a mut World, asker: Who) -> Transaction<'a> {
        Transaction::new(self, world, asker)
    }
}

/// The worker of an invocation, if it is at a POST.
fn zombie(phase: &Phase) -> Option<Zombie> {
    match phase {
        Phase::Begun(trial) => Some(Zombie { trial: *trial, reply: None }),
        Phase::Posted(trial, reply) => Some(Zombie { trial: *trial, reply: Some(*reply) }),
        Phase::Ready | Phase::Deferred(..) | Phase::Answered(_) => None,
    }
}
