//! The transitions of a delivery, as pure functions. The SQL stores what they answer; a model explores them.
//!
//! Invariant: an unfinished delivery is pending with a due time, or held behind an unfinished predecessor, or parked
//! with a reason. Invariant: once a 2xx is recorded, the delivery is delivered for ever; only somebody who has it resent
//! makes it unfinished once more, and however that ends, it is delivered again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gate::Admission;
use crate::outcome::Outcome;
use crate::schedule::Schedule;

/// The shortest wait that is ever answered, so that nobody spins.
pub const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// What a delivery is. Each has exactly one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// To be attempted at its due time, or being attempted.
    Pending,
    /// Behind an unfinished earlier delivery of the same object to the same endpoint.
    Held,
    /// A 2xx is recorded.
    Delivered,
    /// Waits for somebody: the reason is on the ledger.
    Parked,
    /// Its schedule is used up, or the receiver ended it.
    Exhausted,
    /// A newer delivery of the same object took its place.
    Superseded,
}

impl State {
    /// The word for it in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Held => "held",
            Self::Delivered => "delivered",
            Self::Parked => "parked",
            Self::Exhausted => "exhausted",
            Self::Superseded => "superseded",
        }
    }

    /// The state of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Pending, Self::Held, Self::Delivered, Self::Parked, Self::Exhausted, Self::Superseded]
            .into_iter()
            .find(|state| state.as_str() == word)
    }

    /// Whether later deliveries of the object must still wait for this one.
    #[must_use]
    pub const fn holds_successors(self) -> bool {
        match self {
            Self::Pending | Self::Held => true,
            Self::Delivered | Self::Parked | Self::Exhausted | Self::Superseded => false,
        }
    }
}

/// In which order an endpoint wants its events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As they come: none waits for another.
    #[default]
    Any,
    /// The events of one object in the order of its versions; other objects are not held up.
    PerObject,
    /// As [`Order::PerObject`], but an event that is still to be sent gives way to a later one of its object.
    LatestOnly,
}

impl Order {
    /// The word for it in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::PerObject => "per_object",
            Self::LatestOnly => "latest_only",
        }
    }

    /// The order of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Any, Self::PerObject, Self::LatestOnly].into_iter().find(|order| order.as_str() == word)
    }

    /// Whether the deliveries of an object stand in a line.
    #[must_use]
    pub const fn is_in_line(self) -> bool {
        match self {
            Self::Any => false,
            Self::PerObject | Self::LatestOnly => true,
        }
    }
}

/// Why a delivery is parked or exhausted, or an attempt was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Parked: the endpoint is disabled.
    EndpointDisabled,
    /// Parked: the endpoint is paused.
    EndpointPaused,
    /// Parked: when the endpoint was enabled again, it was chosen not to send it. Only a resend moves it.
    Declined,
    /// Parked: the endpoint has no secret that can be opened.
    NoSecret,
    /// Exhausted: every attempt of the schedule failed.
    ScheduleUsedUp,
    /// Exhausted: the receiver answered `webhook-delivery: abort-message`.
    AbortedByReceiver,
}

impl Reason {
    /// The word for it in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndpointDisabled => "endpoint_disabled",
            Self::EndpointPaused => "endpoint_paused",
            Self::Declined => "declined",
            Self::NoSecret => "no_secret",
            Self::ScheduleUsedUp => "schedule_used_up",
            Self::AbortedByReceiver => "aborted_by_receiver",
        }
    }
}

/// An attempt that was begun and has no result yet, seen from whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InFlight {
    /// Whether the one who asks has begun it: then it died since, or it would not ask.
    pub own: bool,
    /// Until the attempt can't be under way any more; zero when that has passed.
    pub lease_left: Duration,
}

/// A delivery as the transitions see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// Its state.
    pub state: State,
    /// Raised by each take-over, resume and resend; an older one gets `stop`.
    pub claim: u32,
    /// How many attempts were begun.
    pub attempts: u32,
    /// How many of them were found begun and unrecorded.
    pub unknowns: u32,
    /// Whether one of those was closed so lately that its POST may still arrive.
    pub in_doubt: bool,
    /// The attempt under way, if there is one.
    pub in_flight: Option<InFlight>,
    /// How many attempts it had when it was last resent: the schedule counts from there.
    pub schedule_from: u32,
    /// Whether a 2xx was recorded before it was last resent.
    pub accepted: bool,
}

impl Delivery {
    /// A delivery that is made and has begun nothing.
    #[must_use]
    pub const fn waiting() -> Self {
        Self { attempts: 0, in_flight: None, ..Self::begun(Duration::ZERO) }
    }

    /// A delivery whose first attempt begins as it is made.
    #[must_use]
    pub const fn begun(lease: Duration) -> Self {
        Self {
            state: State::Pending,
            claim: 1,
            attempts: 1,
            unknowns: 0,
            in_doubt: false,
            in_flight: Some(InFlight { own: true, lease_left: lease }),
            schedule_from: 0,
            accepted: false,
        }
    }

    /// Where it ends or stops in `state`: what was accepted once is delivered, whatever became of its resend.
    const fn stopped_in(self, state: State) -> Self {
        let state = match state {
            State::Pending | State::Held => state,
            State::Delivered | State::Parked | State::Exhausted | State::Superseded if self.accepted => {
                State::Delivered
            }
            State::Delivered | State::Parked | State::Exhausted | State::Superseded => state,
        };
        Self { state, in_flight: None, ..self }
    }
}

/// Whether something is sent to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointState {
    /// It is.
    Enabled,
    /// Not now: somebody holds it back for a while.
    Paused,
    /// Not until somebody enables it.
    Disabled,
}

impl EndpointState {
    /// The word for it in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }

    /// The state of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Enabled, Self::Paused, Self::Disabled].into_iter().find(|state| state.as_str() == word)
    }

    /// Why a delivery is parked there; none if it is not.
    #[must_use]
    pub const fn parks(self) -> Option<Reason> {
        match self {
            Self::Enabled => None,
            Self::Paused => Some(Reason::EndpointPaused),
            Self::Disabled => Some(Reason::EndpointDisabled),
        }
    }
}

/// The endpoint as the transitions see it.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// Something is sent to an enabled one alone.
    pub state: EndpointState,
    /// Whether a request to it can be signed.
    pub has_secret: bool,
    /// When its failed deliveries are tried again.
    pub schedule: &'a Schedule,
}

/// What a transition answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Make the attempt of this number now; it counts as begun.
    Attempt {
        /// From 1.
        number: u32,
    },
    /// Ask again after so long.
    Wait(Duration),
    /// It stays at the gate of its endpoint until it is let in. It is overdue after so long.
    Stay(Duration),
    /// There is nothing to do for this claim any more.
    Stop(Stop),
}

/// Why there is nothing more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The delivery has ended, is parked or held, or stays at the gate of its endpoint.
    Ended,
    /// Another claim has it now.
    StaleClaim,
    /// The ledger has no such delivery.
    Unknown,
}

/// A transition: the delivery as it is to be stored, and the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// To be stored.
    pub delivery: Delivery,
    /// Why it is parked or exhausted, if the step made it so.
    pub reason: Option<Reason>,
    /// The number of an attempt that the step closed as `unknown`.
    pub closed: Option<u32>,
    /// To be answered. A wait is the new due time, too.
    pub next: Next,
}

impl Step {
    const fn stop(delivery: Delivery, why: Stop) -> Self {
        Self { delivery, reason: None, closed: None, next: Next::Stop(why) }
    }

    const fn end(delivery: Delivery, state: State, reason: Option<Reason>) -> Self {
        let delivery = delivery.stopped_in(state);
        let reason = match delivery.state {
            State::Parked | State::Exhausted => reason,
            State::Pending | State::Held | State::Delivered | State::Superseded => None,
        };
        Self { delivery, reason, closed: None, next: Next::Stop(Stop::Ended) }
    }

    /// Whether a power cut may undo the step at the cost of a repeated POST alone, so that its commit need not be
    /// waited for. Whatever else commits durably before it is answered: a claim that is handed out to a successor and
    /// then forgotten would be handed out twice, and a forgotten end would let a later version overtake.
    #[must_use]
    pub const fn may_be_forgotten(&self) -> bool {
        matches!(self.next, Next::Attempt { .. } | Next::Stay(_))
    }
}

/// A delivery as it is made. `earlier` is those that it must not overtake, in the order of their versions; none if
/// the endpoint wants no order.
#[must_use]
pub fn open(earlier: &[Delivery], endpoint: Endpoint<'_>, lease: Duration) -> Step {
    let waiting = Delivery::waiting();
    match begin(waiting, None, endpoint) {
        Step { next: Next::Attempt { .. }, .. } if is_behind(earlier) => hold(waiting, None),
        Step { next: next @ Next::Attempt { .. }, .. } => {
            Step { delivery: Delivery::begun(lease), reason: None, closed: None, next }
        }
        parked => parked,
    }
}

/// A delivery as it is made where the latest only is wanted, and a later one of its object is made with it.
#[must_use]
pub const fn open_superseded() -> Step {
    Step::end(Delivery::waiting(), State::Superseded, None)
}

/// Somebody with a claim asks for the next attempt. `due_in` is the time until the delivery is due.
#[must_use]
pub fn next(delivery: Delivery, claim: u32, due_in: Duration, endpoint: Endpoint<'_>, jitter: f64) -> Step {
    if delivery.state != State::Pending {
        return Step::stop(delivery, Stop::Ended);
    }
    if delivery.claim != claim {
        return Step::stop(delivery, Stop::StaleClaim);
    }
    let Some(in_flight) = delivery.in_flight else {
        if due_in > Duration::ZERO {
            return Step { delivery, reason: None, closed: None, next: Next::Wait(due_in.max(SHORTEST_WAIT)) };
        }
        return begin(delivery, None, endpoint);
    };
    if !in_flight.own && in_flight.lease_left > Duration::ZERO {
        let next = Next::Wait(in_flight.lease_left.max(SHORTEST_WAIT));
        return Step { delivery, reason: None, closed: None, next };
    }
    let closed = Some(delivery.attempts);
    let delivery = Delivery { unknowns: delivery.unknowns + 1, in_doubt: true, in_flight: None, ..delivery };
    if delivery.unknowns == 1 {
        return begin(delivery, closed, endpoint);
    }
    // A poisonous answer that kills whoever reads it must not be asked for at once for ever.
    Step { closed, ..again(delivery, None, endpoint.schedule, jitter) }
}

/// As [`next`], where the endpoint wants the versions of an object in order. `earlier` is as in [`open`]. One of them
/// may have been parked, so that this delivery went ahead, and be resumed since: then this one is held again.
#[must_use]
pub fn next_in_order(
    earlier: &[Delivery],
    delivery: Delivery,
    claim: u32,
    due_in: Duration,
    endpoint: Endpoint<'_>,
    jitter: f64,
) -> Step {
    let step = next(delivery, claim, due_in, endpoint, jitter);
    match step.next {
        Next::Attempt { .. } if is_behind(earlier) => {
            hold(Delivery { attempts: delivery.attempts, in_flight: None, ..step.delivery }, step.closed)
        }
        Next::Attempt { .. } | Next::Wait(_) | Next::Stay(_) | Next::Stop(_) => step,
    }
}

/// Where the latest only is wanted, a later one of the object has come. None if the delivery is under way or finished:
/// what is under way is waited for, and so is what may be. Whoever made an attempt may go on with it although nobody hears
/// of it any more, and its POST must not come for the first time after a later one.
#[must_use]
pub fn supersede(delivery: Delivery) -> Option<Delivery> {
    let waits = delivery.state.holds_successors() && delivery.in_flight.is_none() && !delivery.in_doubt;
    waits.then_some(delivery.stopped_in(State::Superseded))
}

/// Where the latest only is wanted, and a later one of the object is there: `step` would have had the delivery attempted,
/// or wait for its next attempt, and it gives way instead. Not if an attempt of it is in doubt, as in [`supersede`]: it is
/// sent again, first.
#[must_use]
pub fn give_way(before: Delivery, step: Step) -> Step {
    let given = |delivery| Step::end(delivery, State::Superseded, None);
    match step.next {
        _ if step.delivery.in_doubt => step,
        Next::Attempt { .. } => given(Delivery { attempts: before.attempts, ..step.delivery }),
        Next::Wait(_) if step.delivery.in_flight.is_none() => given(step.delivery),
        Next::Wait(_) | Next::Stay(_) | Next::Stop(_) => step,
    }
}

/// The attempt that `step` would begin is at the gate of its endpoint. If it has to wait, it has begun nothing.
#[must_use]
pub const fn admit(before: Delivery, step: Step, admission: Admission) -> Step {
    let next = match (step.next, admission) {
        (Next::Attempt { .. }, Admission::Waits { wait, .. }) => Next::Wait(wait),
        (Next::Attempt { .. }, Admission::Stays { forgotten_after }) => Next::Stay(forgotten_after),
        (Next::Attempt { .. } | Next::Wait(_) | Next::Stay(_) | Next::Stop(_), _) => return step,
    };
    let delivery = Delivery { attempts: before.attempts, in_flight: None, ..step.delivery };
    Step { delivery, reason: None, closed: step.closed, next }
}

/// A result of an attempt arrives.
#[must_use]
pub fn record(
    delivery: Delivery,
    claim: u32,
    attempt: u32,
    outcome: &Outcome,
    schedule: &Schedule,
    jitter: f64,
) -> Step {
    // Told once more of a 2xx that is kept already, nobody's resend ends.
    let is_old_news = delivery.accepted && delivery.claim > claim && delivery.state.holds_successors();
    if matches!(outcome, Outcome::Delivered { .. }) && !is_old_news {
        return Step::end(delivery, State::Delivered, None);
    }
    if delivery.state != State::Pending {
        return Step::stop(delivery, Stop::Ended);
    }
    if delivery.claim != claim {
        return Step::stop(delivery, Stop::StaleClaim);
    }
    if delivery.in_flight.is_none() || delivery.attempts != attempt {
        // The result came before, and its answer was lost: whoever asks goes on from what is stored.
        return Step { delivery, reason: None, closed: None, next: Next::Wait(SHORTEST_WAIT) };
    }
    let delivery = Delivery { in_flight: None, ..delivery };
    match outcome {
        Outcome::Delivered { .. } => Step::end(delivery, State::Delivered, None),
        Outcome::Gone => Step::end(delivery, State::Parked, Some(Reason::EndpointDisabled)),
        Outcome::Aborted => Step::end(delivery, State::Exhausted, Some(Reason::AbortedByReceiver)),
        Outcome::Failed { retry_after_ms, .. } => {
            again(delivery, retry_after_ms.map(Duration::from_millis), schedule, jitter)
        }
    }
}

/// The delivery is overdue: nobody seems to own it, so a new claim is made. None if it is not pending.
#[must_use]
pub fn take_over(delivery: Delivery) -> Option<Delivery> {
    let in_flight = delivery.in_flight.map(|attempt| InFlight { own: false, ..attempt });
    match delivery.state {
        State::Pending => Some(Delivery { claim: delivery.claim + 1, in_flight, ..delivery }),
        State::Held | State::Delivered | State::Parked | State::Exhausted | State::Superseded => None,
    }
}

/// Somebody wants it sent once more: under a new claim, at once, and from the beginning of the schedule. None if it is
/// still to be sent anyway. Whether its endpoint takes anything is for the caller to see.
///
/// A delivered one is unfinished meanwhile, and delivered again however that ends.
#[must_use]
pub fn resend(delivery: Delivery) -> Option<Delivery> {
    match delivery.state {
        State::Delivered | State::Parked | State::Exhausted | State::Superseded => Some(Delivery {
            state: State::Pending,
            claim: delivery.claim + 1,
            unknowns: 0,
            in_doubt: false,
            in_flight: None,
            schedule_from: delivery.attempts,
            accepted: delivery.accepted || delivery.state == State::Delivered,
            ..delivery
        }),
        State::Pending | State::Held => None,
    }
}

/// The endpoint is enabled again, and what was parked is not wanted: it stays parked, for a reason that does not go.
/// None if it is not parked.
///
/// The claim is raised, so that whoever was about to resume it, as it was before, can't any more.
#[must_use]
pub fn decline(delivery: Delivery) -> Option<Step> {
    let delivery = Delivery { claim: delivery.claim + 1, ..delivery };
    (delivery.state == State::Parked).then_some(Step::end(delivery, State::Parked, Some(Reason::Declined)))
}

/// The endpoint is enabled again, and of what was parked the latest of each object is wanted: this is none of them. None
/// if it is not parked.
#[must_use]
pub fn replace(delivery: Delivery) -> Option<Step> {
    (delivery.state == State::Parked).then_some(Step::end(delivery, State::Superseded, None))
}

/// The reason for which it was parked is gone. None if it is not parked.
#[must_use]
pub fn resume(delivery: Delivery) -> Option<Delivery> {
    match delivery.state {
        State::Parked => {
            Some(Delivery { state: State::Pending, claim: delivery.claim + 1, in_flight: None, ..delivery })
        }
        State::Pending | State::Held | State::Delivered | State::Exhausted | State::Superseded => None,
    }
}

/// Whoever of `group`, from the index `from` on, may go now; none if somebody before holds it, or if it goes already.
/// `group` is the deliveries of one object to one endpoint in the order of its versions.
///
/// A held one gets a new claim, since whoever opened it may still ask with the old one. One that was released before,
/// and has begun nothing yet, is answered once more as it is: the answer that told of it first may be lost. Not with a
/// new claim, or an answer that reaches nobody would stop whoever was told before.
#[must_use]
pub fn release(group: &[Delivery], from: usize) -> Option<(usize, Delivery)> {
    let index = group.iter().position(|delivery| delivery.state.holds_successors())?;
    let first = group[index];
    let freed = match first.state {
        State::Held => Delivery { state: State::Pending, claim: first.claim + 1, ..first },
        State::Pending if first.attempts == 0 => first,
        State::Pending | State::Delivered | State::Parked | State::Exhausted | State::Superseded => return None,
    };
    (index >= from).then_some((index, freed))
}

fn is_behind(earlier: &[Delivery]) -> bool {
    earlier.iter().any(|delivery| delivery.state.holds_successors())
}

const fn hold(delivery: Delivery, closed: Option<u32>) -> Step {
    Step { closed, ..Step::end(delivery, State::Held, None) }
}

fn begin(delivery: Delivery, closed: Option<u32>, endpoint: Endpoint<'_>) -> Step {
    let park = |reason| Step { closed, ..Step::end(delivery, State::Parked, Some(reason)) };
    if let Some(reason) = endpoint.state.parks() {
        return park(reason);
    }
    if !endpoint.has_secret {
        return park(Reason::NoSecret);
    }
    let number = delivery.attempts + 1;
    let in_flight = Some(InFlight { own: true, lease_left: Duration::ZERO });
    let delivery = Delivery { attempts: number, in_flight, ..delivery };
    Step { delivery, reason: None, closed, next: Next::Attempt { number } }
}

fn again(delivery: Delivery, at_least: Option<Duration>, schedule: &Schedule, jitter: f64) -> Step {
    match schedule.wait_after(delivery.attempts.saturating_sub(delivery.schedule_from), jitter) {
        None => Step::end(delivery, State::Exhausted, Some(Reason::ScheduleUsedUp)),
        Some(wait) => {
            let wait = wait.max(at_least.unwrap_or_default()).max(SHORTEST_WAIT);
            Step { delivery, reason: None, closed: None, next: Next::Wait(wait) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Failure;

    const LEASE: Duration = Duration::from_secs(20);
    const FAILED: Outcome = Outcome::Failed { reason: Failure::Status, retry_after_ms: None };

    fn schedule() -> Schedule {
        Schedule::new([0, 5, 300].map(Duration::from_secs).to_vec()).unwrap()
    }

    fn ask(delivery: Delivery, claim: u32, due_in: Duration) -> Step {
        let schedule = schedule();
        next(
            delivery,
            claim,
            due_in,
            Endpoint { state: EndpointState::Enabled, has_secret: true, schedule: &schedule },
            0.5,
        )
    }

    #[test]
    fn a_failed_attempt_waits_by_the_schedule_until_it_is_used_up() {
        let mut step = record(Delivery::begun(LEASE), 1, 1, &FAILED, &schedule(), 0.5);
        assert_eq!(step.next, Next::Wait(Duration::from_secs(5)));
        for (number, wait) in [(2, Some(300)), (3, None)] {
            step = ask(step.delivery, 1, Duration::ZERO);
            assert_eq!(step.next, Next::Attempt { number });
            step = record(step.delivery, 1, number, &FAILED, &schedule(), 0.5);
            match wait {
                Some(seconds) => assert_eq!(step.next, Next::Wait(Duration::from_secs(seconds))),
                None => {
                    assert_eq!((step.delivery.state, step.reason), (State::Exhausted, Some(Reason::ScheduleUsedUp)))
                }
            }
        }
    }

    #[test]
    fn a_2xx_is_kept_from_any_claim_and_any_state() {
        for state in [State::Pending, State::Parked, State::Exhausted, State::Superseded, State::Held] {
            let delivery = Delivery { state, claim: 7, ..Delivery::begun(LEASE) };
            let step = record(delivery, 3, 1, &Outcome::Delivered { disable: false }, &schedule(), 0.5);
            assert_eq!(step.delivery.state, State::Delivered, "from {state:?}");
        }
        let delivered = Delivery { state: State::Delivered, in_flight: None, ..Delivery::begun(LEASE) };
        assert_eq!(record(delivered, 1, 1, &FAILED, &schedule(), 0.5).delivery.state, State::Delivered);
    }

    #[test]
    fn a_stale_claim_neither_attempts_nor_ends_a_delivery() {
        let taken = take_over(Delivery::begun(LEASE)).unwrap();
        assert_eq!(ask(taken, 1, Duration::ZERO).next, Next::Stop(Stop::StaleClaim));
        let step = record(taken, 1, 1, &Outcome::Gone, &schedule(), 0.5);
        assert_eq!((step.delivery, step.next), (taken, Next::Stop(Stop::StaleClaim)));
    }

    #[test]
    fn an_attempt_that_died_is_repeated_at_once_the_first_time_then_by_the_schedule() {
        let step = ask(Delivery::begun(LEASE), 1, Duration::ZERO);
        assert_eq!((step.closed, step.next), (Some(1), Next::Attempt { number: 2 }));
        let step = ask(step.delivery, 1, Duration::ZERO);
        assert_eq!((step.closed, step.next), (Some(2), Next::Wait(Duration::from_secs(300))));
    }

    #[test]
    fn another_s_attempt_under_way_is_waited_for_while_its_lease_lasts() {
        let taken = take_over(Delivery::begun(LEASE)).unwrap();
        assert_eq!(ask(taken, 2, Duration::ZERO).next, Next::Wait(LEASE));
        let lapsed = Delivery { in_flight: Some(InFlight { own: false, lease_left: Duration::ZERO }), ..taken };
        assert_eq!(ask(lapsed, 2, Duration::ZERO).next, Next::Attempt { number: 2 });
    }

    #[test]
    fn a_disabled_endpoint_parks_and_resuming_raises_the_claim() {
        let schedule = schedule();
        let endpoint = Endpoint { state: EndpointState::Disabled, has_secret: true, schedule: &schedule };
        let waiting = Delivery { in_flight: None, ..Delivery::begun(LEASE) };
        let step = next(waiting, 1, Duration::ZERO, endpoint, 0.5);
        assert_eq!((step.delivery.state, step.reason), (State::Parked, Some(Reason::EndpointDisabled)));
        let resumed = resume(step.delivery).unwrap();
        assert_eq!((resumed.state, resumed.claim), (State::Pending, 2));
    }

    #[test]
    fn a_paused_endpoint_parks_for_another_reason_and_what_is_declined_stays_parked() {
        let schedule = schedule();
        let endpoint = Endpoint { state: EndpointState::Paused, has_secret: true, schedule: &schedule };
        let parked = open(&[], endpoint, LEASE);
        assert_eq!((parked.delivery.state, parked.reason), (State::Parked, Some(Reason::EndpointPaused)));
        let declined = decline(parked.delivery).unwrap();
        assert_eq!((declined.delivery.state, declined.reason), (State::Parked, Some(Reason::Declined)));
        assert_eq!(replace(parked.delivery).unwrap().delivery.state, State::Superseded);
        let begun = Delivery::begun(LEASE);
        assert_eq!((decline(begun), replace(begun)), (None, None));
    }

    #[test]
    fn a_resend_begins_the_schedule_anew_under_a_new_claim() {
        let used_up =
            Delivery { state: State::Exhausted, attempts: 3, unknowns: 1, in_flight: None, ..Delivery::begun(LEASE) };
        let mut resent = resend(used_up).unwrap();
        assert_eq!((resent.state, resent.claim, resent.attempts, resent.unknowns), (State::Pending, 2, 3, 0));
        for wait in [Some(5), Some(300), None] {
            let begun = ask(resent, 2, Duration::ZERO);
            let step = record(begun.delivery, 2, begun.delivery.attempts, &FAILED, &schedule(), 0.5);
            match wait {
                Some(seconds) => assert_eq!(step.next, Next::Wait(Duration::from_secs(seconds))),
                None => assert_eq!((step.delivery.state, step.delivery.attempts), (State::Exhausted, 6)),
            }
            resent = step.delivery;
        }
        for state in [State::Pending, State::Held] {
            assert_eq!(resend(Delivery { state, ..used_up }), None);
        }
    }

    #[test]
    fn what_was_accepted_is_delivered_again_whatever_becomes_of_its_resend() {
        let delivered = Delivery { state: State::Delivered, in_flight: None, ..Delivery::begun(LEASE) };
        let resent = resend(delivered).unwrap();
        assert_eq!((resent.state, resent.accepted), (State::Pending, true));
        let aborted = record(ask(resent, 2, Duration::ZERO).delivery, 2, 2, &Outcome::Aborted, &schedule(), 0.5);
        assert_eq!((aborted.delivery.state, aborted.reason), (State::Delivered, None));
        assert_eq!(supersede(resent).map(|delivery| delivery.state), Some(State::Delivered));
        let schedule = schedule();
        let endpoint = Endpoint { state: EndpointState::Paused, has_secret: true, schedule: &schedule };
        let stopped = next(resent, 2, Duration::ZERO, endpoint, 0.5);
        assert_eq!((stopped.delivery.state, stopped.reason), (State::Delivered, None));
        // The old 2xx, told again since its answer was lost, does not end the resend; that of the resend does.
        let accepted = Outcome::Delivered { disable: false };
        let old = record(resent, 1, 1, &accepted, &schedule, 0.5);
        assert_eq!((old.delivery, old.next), (resent, Next::Stop(Stop::StaleClaim)));
        assert_eq!(record(resent, 2, 2, &accepted, &schedule, 0.5).delivery.state, State::Delivered);
    }

    #[test]
    fn retry_after_is_obeyed_but_never_shortens_the_schedule() {
        let busy = |ms| Outcome::Failed { reason: Failure::Busy, retry_after_ms: Some(ms) };
        let wait = |ms| record(Delivery::begun(LEASE), 1, 1, &busy(ms), &schedule(), 0.5).next;
        assert_eq!(wait(60_000), Next::Wait(Duration::from_secs(60)));
        assert_eq!(wait(1_000), Next::Wait(Duration::from_secs(5)));
    }

    #[test]
    fn only_the_first_in_line_is_released() {
        let of = |state| Delivery { state, in_flight: None, ..Delivery::begun(LEASE) };
        let (index, freed) = release(&[of(State::Exhausted), of(State::Held), of(State::Held)], 1).unwrap();
        assert_eq!((index, freed.state, freed.claim), (1, State::Pending, 2));
        assert_eq!(release(&[of(State::Pending), of(State::Held)], 1), None);
        assert_eq!(release(&[of(State::Delivered), of(State::Parked)], 1), None);
    }

    #[test]
    fn a_successor_that_has_begun_nothing_is_told_of_again_under_its_claim() {
        let of = |state, attempts| Delivery { state, attempts, in_flight: None, ..Delivery::begun(LEASE) };
        let waits = of(State::Pending, 0);
        assert_eq!(release(&[of(State::Delivered, 1), waits], 1), Some((1, waits)));
        assert_eq!(release(&[of(State::Delivered, 1), of(State::Pending, 1)], 1), None);
        assert_eq!(release(&[waits, of(State::Delivered, 1)], 2), None);
    }

    #[test]
    fn what_waits_gives_way_to_a_later_one_and_what_is_under_way_does_not() {
        let begun = Delivery::begun(LEASE);
        assert_eq!(supersede(begun), None);
        let waiting = Delivery { in_flight: None, ..begun };
        assert_eq!(supersede(waiting).map(|delivery| delivery.state), Some(State::Superseded));
        assert_eq!(supersede(Delivery { state: State::Parked, ..waiting }), None);

        let failed = record(begun, 1, 1, &FAILED, &schedule(), 0.5);
        assert_eq!(give_way(begun, failed).delivery.state, State::Superseded);
        let asked = give_way(waiting, ask(waiting, 1, Duration::ZERO));
        assert_eq!((asked.delivery.state, asked.delivery.attempts), (State::Superseded, 1));
        let of_another = take_over(begun).unwrap();
        assert_eq!(give_way(of_another, ask(of_another, 2, Duration::ZERO)).next, Next::Wait(LEASE));
        let delivered = record(begun, 1, 1, &Outcome::Delivered { disable: false }, &schedule(), 0.5);
        assert_eq!(give_way(begun, delivered).delivery.state, State::Delivered);
    }

    #[test]
    fn what_may_still_arrive_is_sent_again_before_a_later_one() {
        let begun = Delivery::begun(LEASE);
        let died = give_way(begun, ask(begun, 1, Duration::ZERO));
        assert_eq!((died.closed, died.next), (Some(1), Next::Attempt { number: 2 }));
        let failed = give_way(died.delivery, record(died.delivery, 1, 2, &FAILED, &schedule(), 0.5));
        assert_eq!((failed.delivery.state, failed.next), (State::Pending, Next::Wait(Duration::from_secs(300))));
        assert_eq!(supersede(failed.delivery), None);
        let over = Delivery { in_doubt: false, ..failed.delivery };
        assert_eq!(supersede(over).map(|delivery| delivery.state), Some(State::Superseded));
        assert_eq!(give_way(over, ask(over, 1, Duration::ZERO)).delivery.state, State::Superseded);
    }

    #[test]
    fn an_attempt_that_waits_at_the_gate_has_begun_nothing() {
        let waits = |wait| Admission::Waits { wait, slot_in: wait };
        let waiting = Delivery { attempts: 1, in_flight: None, ..Delivery::begun(LEASE) };
        let step = ask(waiting, 1, Duration::ZERO);
        assert_eq!(admit(waiting, step, Admission::NOW), step);
        let waited = admit(waiting, step, waits(LEASE));
        assert_eq!((waited.delivery, waited.next), (waiting, Next::Wait(LEASE)));
        let stayed = admit(waiting, step, Admission::Stays { forgotten_after: LEASE });
        assert_eq!((stayed.delivery, stayed.next), (waiting, Next::Stay(LEASE)));
        let died = Delivery::begun(LEASE);
        let waited = admit(died, ask(died, 1, Duration::ZERO), waits(LEASE));
        assert_eq!((waited.closed, waited.delivery.attempts, waited.delivery.in_flight), (Some(1), 1, None));
    }

    #[test]
    fn a_delivery_is_held_behind_an_unfinished_one_when_it_is_made_and_when_it_asks() {
        let schedule = schedule();
        let endpoint = |state| Endpoint { state, has_secret: true, schedule: &schedule };
        let begun = Delivery::begun(LEASE);
        assert_eq!(open(&[], endpoint(EndpointState::Enabled), LEASE).delivery, begun);
        let held = open(&[begun], endpoint(EndpointState::Enabled), LEASE);
        assert_eq!((held.delivery.state, held.delivery.attempts), (State::Held, 0));
        assert_eq!(open(&[begun], endpoint(EndpointState::Disabled), LEASE).reason, Some(Reason::EndpointDisabled));

        let step = next_in_order(&[begun], begun, 1, Duration::ZERO, endpoint(EndpointState::Enabled), 0.5);
        assert_eq!((step.delivery.state, step.delivery.attempts, step.closed), (State::Held, 1, Some(1)));
        let ended = Delivery { state: State::Parked, in_flight: None, ..begun };
        let step = next_in_order(&[ended], begun, 1, Duration::ZERO, endpoint(EndpointState::Enabled), 0.5);
        assert_eq!(step.next, Next::Attempt { number: 2 });
    }
}
