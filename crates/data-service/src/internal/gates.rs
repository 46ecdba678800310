//! The gates of endpoints: a batch of attempts passes in one transaction, and failures are counted.
//!
//! An endpoint that is well and has no rate limit costs nothing here.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use domain::gate::{Admission, Gate, InFlight};
use domain::ledger::{self, Delivery, Next, Step};
use domain::protocol::{Answer, Attempt, Busy, Opened, Slot};
use store::ledger::{Endpoint, LockedGate};
use store::transaction::{begin, commit};

use super::millis;
use crate::app::Core;

/// Those that are late for their slots leave so much closer together than the rate asks, and so catch up.
const CATCHING_UP: f64 = 0.97;

/// Why an endpoint was disabled that failed for too long.
const FAILING: &str = "failing";

/// An attempt that might begin.
pub struct Wanted<'a> {
    /// Where.
    pub endpoint: &'a Endpoint,
    /// What its consumer has in flight, as far as it is much.
    pub busy: &'a [Busy],
    /// How long it may be under way, in milliseconds.
    pub lease_ms: i64,
    /// The slot that it waited for, and the rate of that.
    pub slot: Option<(i64, i32)>,
}

/// What the gates say to a batch.
pub struct Admitted {
    admissions: std::vec::IntoIter<Admission>,
    /// When they said so: what is told of the future counts from then.
    at: Instant,
}

impl Admitted {
    /// A step after the gate, and what the gate has said to it. Steps that would begin an attempt come in the order of the
    /// question; others pass.
    pub fn pass(&mut self, before: Delivery, step: Step) -> (Step, Admission) {
        let admission = match step.next {
            Next::Attempt { .. } => self.admissions.next().unwrap_or(Admission::NOW),
            Next::Wait(_) | Next::Stop(_) => Admission::NOW,
        };
        (ledger::admit(before, step, admission), admission)
    }

    /// Takes off the time that has passed since.
    pub fn settle(&self, attempt: &mut Attempt) {
        settle(attempt, self.at);
    }
}

/// An answer that says when POSTs leave, counted from a moment. It may wait for the others of its call.
pub struct Timed<T> {
    answer: T,
    at: Instant,
}

impl<T> Timed<T> {
    /// Answers whose times count from now.
    pub fn now(answers: Vec<T>) -> Vec<Self> {
        let at = Instant::now();
        answers.into_iter().map(|answer| Self { answer, at }).collect()
    }
}

impl Timed<Answer> {
    /// The answer as it leaves now.
    pub fn settled(mut self) -> Answer {
        if let Answer::Attempt(attempt) = &mut self.answer {
            settle(attempt, self.at);
        }
        self.answer
    }
}

impl Timed<Opened> {
    /// The answer as it leaves now.
    pub fn settled(mut self) -> Opened {
        if let Opened::Deliveries { attempts, .. } = &mut self.answer {
            attempts.iter_mut().for_each(|attempt| settle(attempt, self.at));
        }
        self.answer
    }
}

fn settle(attempt: &mut Attempt, since: Instant) {
    if let Some(slot) = &mut attempt.slot {
        let passed = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        slot.starts_in_ms = slot.starts_in_ms.saturating_sub(passed);
    }
}

/// Leads attempts to the gates of their endpoints.
///
/// # Errors
/// If the database refuses; then nothing is reserved. A slot that is reserved for nothing costs only its time.
pub async fn admit(core: &Core, wanted: &[Wanted<'_>]) -> Result<Admitted, store::Error> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let narrow: Vec<bool> = wanted.iter().map(|w| is_narrow(core, w, &mut counts)).collect();
    let mut ids: Vec<String> = wanted
        .iter()
        .zip(&narrow)
        .filter(|(_, narrow)| **narrow)
        .map(|(w, _)| w.endpoint.endpoint_id.clone())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(Admitted { admissions: vec![Admission::NOW; wanted.len()].into_iter(), at: Instant::now() });
    }
    let mut connection = core.fast.take().await?;
    let mut transaction = begin(&mut connection).await?;
    let mut locked = store::ledger::lock_gates(&mut transaction, &ids).await?;
    let mut gates: HashMap<String, &mut Gate> =
        locked.iter_mut().map(|locked| (locked.endpoint_id.clone(), &mut locked.gate)).collect();
    let mut counts = BTreeMap::new();
    let admissions: Vec<Admission> = wanted
        .iter()
        .map(|w| match gates.get_mut(&w.endpoint.endpoint_id) {
            Some(gate) => pass(core, gate, w, &mut counts),
            None => Admission::NOW,
        })
        .collect();
    let from = locked.first().map(|locked| locked.now);
    let now = store::ledger::keep_gates(&mut transaction, &locked, core.limits.disabled_after).await?;
    commit(transaction).await?;
    connection.keep();
    let late = from.map(|from| (now - from).unsigned_abs()).unwrap_or_default();
    let admissions: Vec<Admission> = admissions.into_iter().map(|admission| admission.later_by(late)).collect();
    Ok(Admitted { admissions: admissions.into_iter(), at: Instant::now() })
}

/// Attempts at these endpoints have failed, each as often as it is named. Disables those that have failed for too long.
///
/// # Errors
/// If the database refuses: then they do not count.
pub async fn failed(core: &Core, endpoint_ids: &[String]) -> Result<(), store::Error> {
    let mut ids = endpoint_ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(());
    }
    let mut connection = core.fast.take().await?;
    let mut transaction = begin(&mut connection).await?;
    let mut locked = store::ledger::lock_gates(&mut transaction, &ids).await?;
    let mut too_long = Vec::new();
    for LockedGate { endpoint_id, gate, .. } in &mut locked {
        let was_open = gate.circuit.is_some();
        for _ in endpoint_ids.iter().filter(|id| *id == endpoint_id) {
            if gate.fail(&core.limits) && too_long.last() != Some(endpoint_id) {
                too_long.push(endpoint_id.clone());
            }
        }
        if !was_open && gate.circuit.is_some() {
            tracing::warn!(endpoint.id = endpoint_id, failures = gate.failures, "an endpoint fails: its circuit opens");
        }
    }
    store::ledger::keep_gates(&mut transaction, &locked, core.limits.disabled_after).await?;
    commit(transaction).await?;
    connection.keep();
    if !too_long.is_empty() && store::payload::disable_endpoints(&core.rare, &too_long, FAILING).await? > 0 {
        tracing::warn!(endpoints = ?too_long, "endpoints were disabled, for they have failed for too long");
    }
    Ok(())
}

/// Whether each attempt at the endpoint reserves something at its gate.
pub fn reserves(endpoint: &Endpoint) -> bool {
    endpoint.rate_limit.is_some() || endpoint.is_circuit_open
}

fn is_narrow<'a>(core: &Core, wanted: &Wanted<'a>, counts: &mut BTreeMap<&'a str, u32>) -> bool {
    let Wanted { endpoint, .. } = wanted;
    let count = counts.entry(&endpoint.endpoint_id).or_default();
    *count += 1;
    !Gate::is_wide_open(rate(endpoint), endpoint.is_circuit_open, &core.limits, in_flight(wanted).count + *count)
}

fn pass<'a>(core: &Core, gate: &mut Gate, wanted: &Wanted<'a>, counts: &mut BTreeMap<&'a str, u32>) -> Admission {
    let rate = rate(wanted.endpoint);
    if gate.rate != rate {
        // The slots of another rate are void.
        *gate = Gate { rate, free_slot_in: Duration::ZERO, ..*gate };
    }
    let count = counts.entry(&wanted.endpoint.endpoint_id).or_default();
    let told = in_flight(wanted);
    let in_flight = InFlight { count: told.count + *count, ..told };
    let slot = wanted.slot.filter(|(_, of)| Some(*of) == wanted.endpoint.rate_limit);
    let slot_in = slot.and_then(|(ms, _)| u64::try_from(ms).ok()).map(Duration::from_millis);
    let lease = Duration::from_millis(wanted.lease_ms.unsigned_abs());
    let admission = gate.admit(&core.limits, in_flight, lease, slot_in);
    *count += u32::from(matches!(admission, Admission::Begins { .. }));
    admission
}

fn rate(endpoint: &Endpoint) -> Option<NonZeroU32> {
    endpoint.rate_limit.and_then(|rate| NonZeroU32::new(rate.unsigned_abs()))
}

fn in_flight(wanted: &Wanted<'_>) -> InFlight {
    let busy = wanted.busy.iter().find(|busy| busy.endpoint_id.to_string() == wanted.endpoint.endpoint_id);
    busy.map_or_else(InFlight::default, |busy| InFlight {
        count: busy.attempts,
        age: Duration::from_millis(busy.age_ms),
    })
}

/// The slot of a delivery that waits for it, as it is stored.
pub fn slot(endpoint: &Endpoint, admission: Admission) -> Option<(i64, i32)> {
    match admission {
        Admission::Waits { slot_in: Some(slot_in), .. } => endpoint.rate_limit.map(|rate| (millis(slot_in), rate)),
        Admission::Waits { slot_in: None, .. } | Admission::Begins { .. } => None,
    }
}

/// When the POST of an attempt that begins is to leave, as its consumer is told.
pub fn told(endpoint: &Endpoint, admission: Admission) -> Option<Slot> {
    let apart = CATCHING_UP * f64::from(rate(endpoint)?.get()).recip();
    match admission {
        Admission::Begins { starts_in } => Some(Slot {
            starts_in_ms: millis(starts_in).unsigned_abs(),
            apart_us: u64::try_from(Duration::from_secs_f64(apart).as_micros()).unwrap_or(u64::MAX),
        }),
        Admission::Waits { .. } => None,
    }
}

/// How long an attempt that begins may be under way, in milliseconds, with the time until it leaves.
pub fn lease_ms(lease_ms: i64, slot: Option<Slot>) -> i64 {
    lease_ms.saturating_add_unsigned(slot.map_or(0, |slot| slot.starts_in_ms))
}
