//! The real rules, and the bugs that are planted to show that the model would find them.

use std::time::Duration;

use domain::ledger::{self, Delivery, Endpoint, EndpointState, Next, State, Step, Stop};
use domain::outcome::{Failure, Outcome};
use domain::schedule::Schedule;

use crate::world::{LEASE, Reply};

/// A bug that is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Record believes whoever comes, whatever its claim.
    StaleClaimRecords,
    /// Record takes no 2xx for a parked delivery.
    ParkedDropsA2xx,
    /// Nobody looks for overdue work.
    SweepIsOff,
    /// An attempt is begun on the ledger only when its POST has been made.
    BeginsAfterThePost,
    /// Only the first answer about an ended delivery carries its successor. (So it was first written.)
    ReplayCarriesNoSuccessor,
    /// A held delivery keeps its claim when it is released.
    ReleaseKeepsTheClaim,
    /// Each answer about an ended delivery raises the claim of its successor. (So it was written next.)
    ReplayRaisesTheClaim,
    /// A take-over raises no claim.
    TakeOverKeepsTheClaim,
    /// Next does not look at earlier versions. (So it was first written.)
    NextForgetsTheOrder,
    /// All that open and next do may be forgotten by a power cut. (So it was first written.)
    OnlyRecordIsDurable,
    /// What died is tried again at once, however often.
    PoisonIsRepeated,
    /// Next does not wait for the lease of another's attempt.
    LeaseIsIgnored,
    /// Next does not wait until the delivery is due.
    DueTimeIsIgnored,
    /// A later version takes the place of one whose POST is under way.
    SupersedesWhatIsUnderWay,
    /// A later version takes the place of one whose POST may be under way. (So it was first written.)
    DoubtIsForgotten,
    /// A version gives way although no later one is there.
    TheLatestGivesWay,
    /// A 2xx of before a resend, told once more, ends the resend.
    OldNewsEndsTheResend,
    /// A resend that fails leaves the delivery as if nothing had ever been accepted.
    ResendForgetsThe2xx,
    /// A resend keeps the claim.
    ResendKeepsTheClaim,
    /// A resend goes on with the schedule where it stopped.
    ResendKeepsTheSchedule,
    /// Nobody looks for those who stay at a gate.
    NobodyIsLetIn,
}

/// `domain::ledger`, with at most one bug.
#[derive(Debug, Clone)]
pub struct Rules {
    pub bug: Option<Bug>,
    pub schedule: Schedule,
}

impl Rules {
    /// Rules for a schedule of so many attempts.
    pub fn new(attempts: u64) -> Self {
        let waits = (0..attempts).map(|index| Duration::from_secs(5 * index)).collect();
        Self { bug: None, schedule: Schedule::new(waits).unwrap() }
    }

    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn endpoint(&self, enabled: bool) -> Endpoint<'_> {
        let state = if enabled { EndpointState::Enabled } else { EndpointState::Disabled };
        Endpoint { state, has_secret: true, schedule: &self.schedule }
    }

    pub fn open(&self, earlier: &[Delivery], enabled: bool) -> Step {
        ledger::open(earlier, self.endpoint(enabled), LEASE)
    }

    pub fn next(&self, earlier: &[Delivery], delivery: Delivery, claim: u32, due_in: Duration, enabled: bool) -> Step {
        let mut due_in = due_in;
        let mut seen = delivery;
        match self.bug {
            Some(Bug::PoisonIsRepeated) => seen.unknowns = 0,
            Some(Bug::DueTimeIsIgnored) => due_in = Duration::ZERO,
            Some(Bug::LeaseIsIgnored) => {
                seen.in_flight = seen.in_flight.map(|flight| ledger::InFlight { lease_left: Duration::ZERO, ..flight });
            }
            _ => {}
        }
        if self.has(Bug::NextForgetsTheOrder) {
            return ledger::next(seen, claim, due_in, self.endpoint(enabled), 0.5);
        }
        ledger::next_in_order(earlier, seen, claim, due_in, self.endpoint(enabled), 0.5)
    }

    pub fn record(&self, delivery: Delivery, claim: u32, number: u32, reply: Reply) -> Step {
        if self.has(Bug::ParkedDropsA2xx) && reply == Reply::Ok && delivery.state == State::Parked {
            return Step { delivery, reason: None, closed: None, next: Next::Stop(Stop::Ended) };
        }
        if self.has(Bug::OldNewsEndsTheResend) {
            let seen = Delivery { accepted: false, ..delivery };
            let mut step = ledger::record(seen, claim, number, &outcome(reply), &self.schedule, 0.5);
            step.delivery.accepted = delivery.accepted;
            return step;
        }
        let claim = if self.has(Bug::StaleClaimRecords) { delivery.claim } else { claim };
        ledger::record(delivery, claim, number, &outcome(reply), &self.schedule, 0.5)
    }

    pub fn resend(&self, delivery: Delivery) -> Option<Delivery> {
        let resent = ledger::resend(delivery)?;
        Some(match self.bug {
            Some(Bug::ResendForgetsThe2xx) => Delivery { accepted: false, ..resent },
            Some(Bug::ResendKeepsTheClaim) => Delivery { claim: delivery.claim, ..resent },
            Some(Bug::ResendKeepsTheSchedule) => Delivery { schedule_from: delivery.schedule_from, ..resent },
            _ => resent,
        })
    }

    pub fn release(&self, group: &[Delivery], from: usize) -> Option<(usize, Delivery)> {
        let (index, freed) = ledger::release(group, from)?;
        match self.bug {
            Some(Bug::ReplayCarriesNoSuccessor) if group[index].state != State::Held => None,
            Some(Bug::ReplayRaisesTheClaim) => Some((index, Delivery { claim: group[index].claim + 1, ..freed })),
            Some(Bug::ReleaseKeepsTheClaim) => Some((index, Delivery { claim: group[index].claim, ..freed })),
            _ => Some((index, freed)),
        }
    }

    pub fn may_be_forgotten(&self, step: &Step) -> bool {
        self.has(Bug::OnlyRecordIsDurable) || step.may_be_forgotten()
    }
}

fn outcome(reply: Reply) -> Outcome {
    match reply {
        Reply::Ok => Outcome::Delivered { disable: false },
        Reply::Fail => Outcome::Failed { reason: Failure::Status, retry_after_ms: None },
        Reply::Lost => Outcome::Failed { reason: Failure::Timeout, retry_after_ms: None },
        Reply::Gone => Outcome::Gone,
        Reply::Abort => Outcome::Aborted,
    }
}
