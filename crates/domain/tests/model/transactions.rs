//! The ledger's transactions: what data-service does between begin and commit, with the rules of `domain::ledger`.

use std::time::Duration;

use domain::gate::Admission;
use domain::ledger::{self, Delivery, Next, State, Step};

use crate::protocol::Protocol;
use crate::rules::{Bug, Rules};
use crate::world::{LEASE, Reply, Row, Target, Try, Who, World, Wrong};

/// What a transaction answers.
#[derive(Debug, Default)]
pub struct Answer {
    /// To be made now.
    pub attempt: Option<Try>,
    /// To be come back to, and successors.
    pub left: Vec<Target>,
}

/// One transaction on the ledger.
pub struct Transaction<'a> {
    pub rules: &'a Rules,
    pub is_ordered: bool,
    pub is_latest: bool,
    pub world: &'a mut World,
    pub asker: Who,
    /// What the endpoint's gate says.
    pub admission: Admission,
    pub is_durable: bool,
}

impl<'a> Transaction<'a> {
    pub fn new(protocol: &'a Protocol, world: &'a mut World, asker: Who) -> Self {
        let Protocol { rules, is_ordered, is_latest, .. } = protocol;
        Self {
            rules,
            is_ordered: *is_ordered,
            is_latest: *is_latest,
            world,
            asker,
            admission: Admission::NOW,
            is_durable: false,
        }
    }

    /// Open: routes the event and, where order is wanted, each earlier one that nobody has routed.
    pub fn open(mut self, version: usize) -> Answer {
        let lowest = if self.is_ordered { 0 } else { version };
        let last = version;
        let mut answer = Answer::default();
        for version in lowest..=last {
            match self.world.ledger[version] {
                None if self.is_latest && version < last => self.route_superseded(version),
                None => self.route(version, &mut answer),
                Some(row) if row.routed_by == self.asker => {
                    self.ask(Target { version, era: row.era, claim: 1 }, &mut answer);
                }
                Some(_) => {}
            }
        }
        self.commit();
        answer
    }

    /// Next.
    pub fn next(mut self, target: Target) -> Answer {
        let mut answer = Answer::default();
        self.ask(target, &mut answer);
        self.commit();
        answer
    }

    /// Record.
    pub fn record(mut self, trial: Try, reply: Reply) -> Answer {
        let (target, mut answer) = (trial.target, Answer::default());
        self.world.is_enabled &= reply != Reply::Gone;
        let Some(row) = self.world.row(target).copied() else { return answer };
        let mut before = row.seen_by(None);
        if self.rules.has(Bug::BeginsAfterThePost) && row.state() == State::Pending && before.attempts < trial.number {
            before = Delivery { attempts: trial.number, in_flight: Delivery::begun(LEASE).in_flight, ..before };
        }
        let step = self.rules.record(before, target.claim, trial.number, reply);
        let step = self.gives_way(target.version, before, step);
        self.world.past[target.version].recorded |= reply == Reply::Ok;
        if reply != Reply::Ok && target.claim != row.stored.claim && step.delivery.state != row.state() {
            self.world.wrong = Some(Wrong::StaleEnd);
        }
        self.is_durable = true;
        self.store(target, before, &step, &mut answer);
        self.commit();
        answer
    }

    /// The sweep raises a claim by a transition of the ledger's; answers what it sends.
    pub fn sweep(mut self, version: usize, transition: fn(Delivery) -> Option<Delivery>) -> Option<Target> {
        let is_late = self.is_latest && self.world.ledger[version + 1..].iter().any(Option::is_some);
        let row = self.world.ledger[version].as_mut()?;
        let mut delivery = transition(row.seen_by(None))?;
        if is_late && row.state() == State::Parked {
            // A later one was routed while it was parked.
            row.store(Delivery { state: State::Superseded, ..row.stored }, None);
            row.reason = None;
            self.is_durable = true;
            self.commit();
            return None;
        }
        if self.rules.has(Bug::TakeOverKeepsTheClaim) {
            delivery.claim = row.stored.claim;
        }
        row.store(delivery, None);
        row.reason = None;
        self.is_durable = true;
        self.commit();
        self.world.target(version)
    }

    /// Whoever stays at the gate is let in; answers what is sent to Restate. Its claim is as it was, for nobody has it.
    pub fn let_in(mut self, version: usize) -> Option<Target> {
        let row = self.world.ledger[version].as_mut()?;
        (row.later, row.stays) = (false, false);
        self.is_durable = true;
        self.commit();
        self.world.target(version)
    }

    /// Somebody has it sent once more; answers what is sent to Restate.
    pub fn resend(mut self, version: usize) -> Option<Target> {
        let row = self.world.ledger[version].as_mut()?;
        let delivery = self.rules.resend(row.seen_by(None))?;
        row.resent_from = row.stored.attempts;
        row.store(delivery, None);
        row.reason = None;
        row.later = false;
        self.is_durable = true;
        self.commit();
        self.world.target(version)
    }

    /// Somebody says what becomes of a parked one.
    pub fn settle(mut self, version: usize, transition: fn(Delivery) -> Option<Step>) {
        let Some(row) = self.world.ledger[version].as_mut() else { return };
        let Some(step) = transition(row.seen_by(None)) else { return };
        row.store(step.delivery, None);
        row.reason = step.reason;
        self.is_durable = true;
        self.commit();
    }

    /// The sweep releases what is held behind nobody, or behind what waits although the latest only is wanted.
    pub fn sweep_held(mut self, version: usize) -> Option<Target> {
        let mut answer = Answer::default();
        self.make_way(version);
        self.release(version, &mut answer);
        self.is_durable = true;
        self.commit();
        answer.left.pop()
    }

    /// A later one is routed with it.
    fn route_superseded(&mut self, version: usize) {
        let stored = ledger::open_superseded().delivery;
        let era = self.world.era;
        self.is_durable = true;
        self.world.ledger[version] = Some(Row {
            stored,
            flight: None,
            reason: None,
            later: false,
            stays: false,
            resent_from: 0,
            routed_by: self.asker,
            era,
        });
    }

    /// Where the latest only is wanted, the earlier ones that wait give way.
    fn make_way(&mut self, version: usize) {
        if !self.is_latest {
            return;
        }
        for row in self.world.ledger[..version].iter_mut().flatten() {
            let seen = row.seen_by(None);
            let superseded = ledger::supersede(match self.rules.bug {
                Some(Bug::SupersedesWhatIsUnderWay) => Delivery { in_flight: None, ..seen },
                Some(Bug::DoubtIsForgotten) => Delivery { in_doubt: false, ..seen },
                _ => seen,
            });
            if let Some(superseded) = superseded {
                row.store(superseded, None);
                self.is_durable = true;
            }
        }
    }

    fn admitted(&self, before: Delivery, step: Step) -> Step {
        ledger::admit(before, step, self.admission)
    }

    fn gives_way(&self, version: usize, before: Delivery, step: Step) -> Step {
        if self.has_later(version) || (self.rules.has(Bug::TheLatestGivesWay) && self.is_latest) {
            let is_forgotten = self.rules.has(Bug::DoubtIsForgotten);
            let in_doubt = step.delivery.in_doubt && !is_forgotten;
            ledger::give_way(before, Step { delivery: Delivery { in_doubt, ..step.delivery }, ..step })
        } else {
            step
        }
    }

    /// Whether a later version is unfinished.
    fn has_later(&self, version: usize) -> bool {
        self.is_latest && self.world.ledger[version + 1..].iter().flatten().any(Row::is_unfinished)
    }

    fn route(&mut self, version: usize, answer: &mut Answer) {
        self.make_way(version);
        let earlier = self.earlier(version);
        let step = self.rules.open(&earlier, self.world.is_enabled);
        let step = self.admitted(Delivery::waiting(), step);
        self.is_durable |= !self.rules.may_be_forgotten(&step);
        let Step { delivery, reason, next, .. } = step;
        let era = self.world.era;
        let (later, stays) = (matches!(next, Next::Wait(_) | Next::Stay(_)), matches!(next, Next::Stay(_)));
        let routed_by = self.asker;
        let row = Row { stored: delivery, flight: None, reason, later, stays, resent_from: 0, routed_by, era };
        let stored = match self.rules.has(Bug::BeginsAfterThePost) {
            true => Delivery { attempts: 0, in_flight: None, ..delivery },
            false => delivery,
        };
        let row = self.world.ledger[version].insert(row);
        row.store(stored, self.asker);
        row.stays = stays;
        if let Next::Attempt { number } = next {
            self.begins(version);
            answer.attempt = Some(Try { target: Target { version, era, claim: delivery.claim }, number });
        }
        if later && !stays {
            answer.left.push(Target { version, era, claim: delivery.claim });
        }
        self.world.past[version].was_held |= delivery.state == State::Held;
    }

    fn ask(&mut self, target: Target, answer: &mut Answer) {
        let Some(row) = self.world.row(target).copied() else { return };
        let before = row.seen_by(self.asker);
        if before.state == State::Pending && before.claim == target.claim {
            self.make_way(target.version);
        }
        let earlier = self.earlier(target.version);
        let is_due = !row.later || row.stays;
        let due_in = Duration::from_secs(if is_due { 0 } else { 5 });
        let step = self.rules.next(&earlier, before, target.claim, due_in, self.world.is_enabled);
        let step = self.gives_way(target.version, before, step);
        let step = self.admitted(before, step);
        self.world.past[target.version].doubts += u8::from(step.closed.is_some());
        if !self.world.is_enabled && before.state == State::Pending && step.delivery.state == State::Delivered {
            self.world.past[target.version].awaits = false;
        }
        if let Next::Attempt { .. } = step.next {
            self.begins(target.version);
            let is_early = match before.in_flight {
                None => !is_due,
                Some(flight) => !flight.own && flight.lease_left > Duration::ZERO,
            };
            if is_early {
                self.world.wrong = Some(Wrong::TooEarly);
            }
        }
        if step.delivery != before && !self.rules.may_be_forgotten(&step) {
            self.is_durable = true;
        }
        let is_stored = !(self.rules.has(Bug::BeginsAfterThePost) && matches!(step.next, Next::Attempt { .. }));
        let step = if is_stored { step } else { Step { delivery: before, ..step } };
        self.store(target, before, &step, answer);
    }

    /// Writes a step's row, and answers with the successors once the delivery is finished.
    fn store(&mut self, target: Target, before: Delivery, step: &Step, answer: &mut Answer) {
        let asker = self.asker;
        let Some(row) = self.world.ledger[target.version].as_mut() else { return };
        let stays = matches!(step.next, Next::Stay(_));
        if step.delivery != before || stays {
            row.store(step.delivery, asker);
            row.reason = step.reason;
            row.later = matches!(step.next, Next::Wait(_) | Next::Stay(_));
            row.stays = stays;
        }
        match step.next {
            Next::Attempt { number } => answer.attempt = Some(Try { target, number }),
            Next::Wait(_) => answer.left.push(target),
            Next::Stay(_) => {}
            Next::Stop(_) if step.delivery.state.holds_successors() => {}
            Next::Stop(_) => self.release(target.version + 1, answer),
        }
    }

    fn release(&mut self, from: usize, answer: &mut Answer) {
        let group = self.earlier(self.world.ledger.len());
        let Some((version, delivery)) = self.rules.release(&group, from) else { return };
        if let Some(row) = self.world.ledger[version].as_mut() {
            row.store(delivery, None);
        }
        self.is_durable |= !self.rules.has(Bug::OnlyRecordIsDurable);
        answer.left.extend(self.world.target(version));
    }

    /// The deliveries that `version` must not overtake.
    fn earlier(&self, version: usize) -> Vec<Delivery> {
        let rows = if self.is_ordered { &self.world.ledger[..version] } else { &[] };
        rows.iter().map_while(|row| row.as_ref()).map(|row| row.seen_by(None)).collect()
    }

    fn begins(&mut self, version: usize) {
        self.world.past[version].awaits = false;
        if self.is_ordered && !self.world.is_first(version) {
            self.world.wrong = Some(Wrong::Overtook);
        }
        let is_sure = |v: &usize| self.world.is_to_arrive(*v) && self.world.past[*v].doubts == 0;
        if self.is_ordered && (0..version).any(|v| is_sure(&v)) {
            self.world.wrong = Some(Wrong::Overlapped);
        }
    }

    fn commit(&mut self) {
        if self.is_durable && self.world.durable.is_some() {
            self.world.durable = Some(self.world.ledger);
        }
    }
}
