//! The gates of endpoints: a batch of attempts passes in one transaction, and failures are counted.
//!
//! An endpoint that is well and has no rate limit costs nothing here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use chassis::error_chain::Chain;
use domain::gate::{Admission, Gate};
use domain::ledger::{self, Delivery, Next, Step};
use domain::protocol::{Answer, Attempt, Busy, Later, Opened, Slot};
use store::ledger::{Endpoint, LetIn, LockedGate, StillGate};
use store::transaction::{begin, commit};

use super::{Begun, millis};
use crate::app::Core;

/// Those that are late for their slots leave so much closer together than the rate asks, and so catch up.
const CATCHING_UP: f64 = 0.97;

/// Why an endpoint was disabled that failed for too long.
const FAILING: &str = "failing";

/// Whoever was told to stay is written within this time.
const SETTLED: Duration = Duration::from_secs(10);

/// Whoever is let in has come within this time; otherwise it is let in once more, which costs a question at most.
const ON_THE_WAY: Duration = Duration::from_secs(3);

/// If nobody is let in for so long at a gate where some stay, the next one tries.
const STILL: Duration = Duration::from_secs(2);

/// One look lets in at so many gates at most, and so many at the gate of an endpoint that takes nothing, to be parked.
const MOST_GATES: i64 = 100;
const MOST_TO_PARK: i64 = 200;

/// An attempt that might begin.
pub struct Wanted<'a> {
    /// Of which delivery.
    pub delivery_id: String,
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
            Next::Wait(_) | Next::Stay(_) | Next::Stop(_) => Admission::NOW,
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
        answers.into_iter().map(Self::one).collect()
    }

    /// An answer whose times count from now.
    pub fn one(answer: T) -> Self {
        Self { answer, at: Instant::now() }
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
    let narrow = pass_where_wide_open(core, wanted);
    let (admissions, at) = match narrow.is_empty() {
        true => (vec![Admission::NOW; wanted.len()], Instant::now()),
        false => pass_all(core, wanted, &narrow).await?,
    };
    Ok(Admitted { admissions: admissions.into_iter(), at })
}

/// Attempts begin at the endpoints whose gates let all of them in; answers the other endpoints, in order. It is decided and
/// noted in one go, as other batches ask at the same time.
fn pass_where_wide_open(core: &Core, wanted: &[Wanted<'_>]) -> Vec<String> {
    let mut begun = core.begun.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    begun.forget_old(now);
    let mut counts: HashMap<&str, u32> = HashMap::new();
    let mut narrow: BTreeSet<&str> = BTreeSet::new();
    for w in wanted {
        let count = counts.entry(&w.endpoint.endpoint_id).or_default();
        *count += 1;
        let in_flight = begun.in_flight(&w.endpoint.endpoint_id, told_of(w), *count, now);
        if !Gate::is_wide_open(rate(w.endpoint), w.endpoint.is_circuit_open, &core.limits, in_flight) {
            narrow.insert(&w.endpoint.endpoint_id);
        }
    }
    for w in wanted.iter().filter(|w| !narrow.contains(w.endpoint.endpoint_id.as_str())) {
        begun.begin(&w.delivery_id, &w.endpoint.endpoint_id, now);
    }
    narrow.into_iter().map(str::to_owned).collect()
}

/// Leads attempts through these gates, of which each is locked; answers the moment from which their times count, too.
async fn pass_all(
    core: &Core,
    wanted: &[Wanted<'_>],
    narrow: &[String],
) -> Result<(Vec<Admission>, Instant), store::Error> {
    let mut connection = core.fast.take().await?;
    let mut transaction = begin(&mut connection).await?;
    let mut locked = store::ledger::lock_gates(&mut transaction, narrow).await?;
    let mut gates: HashMap<String, &mut LockedGate> =
        locked.iter_mut().map(|locked| (locked.endpoint_id.clone(), locked)).collect();
    let admissions = pass_locked(core, wanted, &mut gates);
    let from = locked.first().map(|locked| locked.now);
    let now = store::ledger::keep_gates(&mut transaction, &locked, core.limits.disabled_after).await?;
    commit(transaction).await?;
    connection.keep();
    let late = from.map(|from| (now - from).unsigned_abs()).unwrap_or_default();
    Ok((admissions.into_iter().map(|admission| admission.later_by(late)).collect(), Instant::now()))
}

/// What the gates say to attempts, and those that begin count from now on. Meanwhile nobody else is at these gates.
fn pass_locked(core: &Core, wanted: &[Wanted<'_>], gates: &mut HashMap<String, &mut LockedGate>) -> Vec<Admission> {
    let mut begun = core.begun.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    begun.forget_old(now);
    let mut counts = HashMap::new();
    let mut admissions = Vec::with_capacity(wanted.len());
    let mut begin = Vec::new();
    for w in wanted {
        let Some(gate) = gates.get_mut(&w.endpoint.endpoint_id) else {
            admissions.push(Admission::NOW);
            continue;
        };
        let admission = pass(core, gate, w, (&begun, now), &mut counts);
        begin.extend((admission == Admission::NOW).then_some(w));
        admissions.push(admission);
    }
    for w in begin {
        begun.begin(&w.delivery_id, &w.endpoint.endpoint_id, now);
    }
    admissions
}

/// Whom attempts that have ended let in, at the gates of their endpoints: at each at most so many.
pub async fn let_in(core: &Core, at: &BTreeMap<String, u32>) -> HashMap<String, Vec<Later>> {
    let mut all = HashMap::new();
    for (endpoint_id, most) in at.iter().filter(|(_, most)| **most > 0) {
        let Some(let_in) = let_in_at(core, endpoint_id, i64::from(*most)).await else { break };
        all.insert(endpoint_id.clone(), let_in);
    }
    all
}

/// Whom whoever reconciles lets in: one at each gate where nothing moves, to try it, and all where they are to be parked.
/// Answers whether there may be more.
pub async fn let_in_where_nothing_moves(core: &Core, still: &[StillGate]) -> (Vec<Later>, bool) {
    let mut all = Vec::new();
    let mut more = false;
    for StillGate { endpoint_id, is_enabled } in still {
        let most = if *is_enabled { 1 } else { MOST_TO_PARK };
        let Some(let_in) = let_in_at(core, endpoint_id, most).await else { break };
        more |= !is_enabled && !let_in.is_empty();
        all.extend(let_in);
    }
    (all, more)
}

/// Lets in at most so many. None if the database refuses: those who were let in elsewhere are told nevertheless, and here
/// whoever reconciles does it by and by.
async fn let_in_at(core: &Core, endpoint_id: &str, most: i64) -> Option<Vec<Later>> {
    let done = async {
        let mut connection = core.fast.take().await?;
        let mut transaction = begin(&mut connection).await?;
        let let_in = store::ledger::let_in(&mut transaction, endpoint_id, most, ON_THE_WAY, SETTLED).await?;
        commit(transaction).await?;
        connection.keep();
        Ok::<_, store::Error>(let_in.iter().filter_map(later).collect())
    };
    let failed = |error| tracing::warn!(error = %Chain(&error), endpoint.id = endpoint_id, "nobody could be let in");
    done.await.map_err(failed).ok()
}

/// Gates at which some stay, and nothing moves.
///
/// # Errors
/// If the database refuses.
pub async fn still_gates(core: &Core) -> Result<Vec<StillGate>, store::Error> {
    store::ledger::still_gates(&core.rare, STILL, MOST_GATES).await
}

fn later(let_in: &LetIn) -> Option<Later> {
    let delivery_id = let_in
        .delivery_id
        .parse()
        .map_err(|error| tracing::error!(delivery.id = let_in.delivery_id, %error, "the ledger has an id that is none"))
        .ok()?;
    Some(Later { delivery_id, claim: let_in.claim.unsigned_abs(), delay_ms: 0 })
}

/// Attempts at these endpoints have failed, each as often as it is named. Disables those that have failed for too long, and
/// answers those whose circuit is open.
///
/// # Errors
/// If the database refuses: then they do not count.
pub async fn failed(core: &Core, endpoint_ids: &[String]) -> Result<HashSet<String>, store::Error> {
    let mut ids = endpoint_ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashSet::new());
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
    Ok(locked.into_iter().filter(|one| one.gate.circuit.is_some()).map(|one| one.endpoint_id).collect())
}

/// Whether each attempt at the endpoint reserves something at its gate.
pub fn reserves(endpoint: &Endpoint) -> bool {
    endpoint.rate_limit.is_some() || endpoint.is_circuit_open
}

fn pass<'a>(
    core: &Core,
    locked: &mut LockedGate,
    wanted: &Wanted<'a>,
    (begun, now): (&Begun, Instant),
    counts: &mut HashMap<&'a str, u32>,
) -> Admission {
    let rate = rate(wanted.endpoint);
    let gate = &mut locked.gate;
    if gate.rate != rate {
        // The slots of another rate are void.
        *gate = Gate { rate, free_slot_in: Duration::ZERO, ..*gate };
    }
    let count = counts.entry(&wanted.endpoint.endpoint_id).or_default();
    let slot = wanted.slot.filter(|(_, of)| Some(*of) == wanted.endpoint.rate_limit);
    let slot_in = slot.and_then(|(ms, _)| u64::try_from(ms).ok()).map(Duration::from_millis);
    let lease = Duration::from_millis(wanted.lease_ms.unsigned_abs());
    let in_flight = begun.in_flight(&wanted.endpoint.endpoint_id, told_of(wanted), *count, now);
    let admission = gate.admit(&core.limits, in_flight, lease, slot_in);
    *count += u32::from(matches!(admission, Admission::Begins { .. }));
    locked.keeps_out |= matches!(admission, Admission::Stays { .. });
    admission
}

fn rate(endpoint: &Endpoint) -> Option<NonZeroU32> {
    endpoint.rate_limit.and_then(|rate| NonZeroU32::new(rate.unsigned_abs()))
}

/// How many its consumer has in flight at the endpoint, as it says.
fn told_of(wanted: &Wanted<'_>) -> u32 {
    let told = wanted.busy.iter().find(|busy| busy.endpoint_id.to_string() == wanted.endpoint.endpoint_id);
    told.map_or(0, |busy| busy.attempts)
}

/// The slot of a delivery that waits for it, as it is stored.
pub fn slot(endpoint: &Endpoint, admission: Admission) -> Option<(i64, i32)> {
    match admission {
        Admission::Waits { slot_in, .. } => endpoint.rate_limit.map(|rate| (millis(slot_in), rate)),
        Admission::Stays { .. } | Admission::Begins { .. } => None,
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
        Admission::Waits { .. } | Admission::Stays { .. } => None,
    }
}

/// How long an attempt that begins may be under way, in milliseconds, with the time until it leaves.
pub fn lease_ms(lease_ms: i64, slot: Option<Slot>) -> i64 {
    lease_ms.saturating_add_unsigned(slot.map_or(0, |slot| slot.starts_in_ms))
}
