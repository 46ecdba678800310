//! Deliveries that stand in a line: at an endpoint that wants the events of an object in the order of its versions.
//!
//! Each step is one transaction that holds the line's lock from before it looks until it commits, so that nobody
//! overtakes and no successor is forgotten. It commits durably: a claim that is handed out to a successor and then
//! forgotten would be handed out twice.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use chassis::error_chain::Chain;
use domain::ledger::{self, Delivery, Next, Order, State, Step, Stop};
use domain::outcome::Outcome;
use domain::protocol::{Answer, Ask, Attempt, Later, Open, Recorded};
use store::PgConnection;
use store::ledger::{Endpoint, Event, Line, Routed, Seen, StepRow, Written};
use store::transaction::{begin, commit};

use super::first_time::{Before, Draft, Drawn, drafts, draw, wants};
use super::gates::{self, Wanted};
use super::next::{Asked, Finished};
use super::spans::Spans;
use super::{jobs, next, record, spans};
use crate::app::Core;
use crate::compose;

/// What opening an event in line came to.
pub struct OpenedInLine {
    /// Whether this call has routed the event itself.
    pub won: bool,
    /// The attempts of all that this call has routed: earlier events of the object, and the event.
    pub attempts: Vec<Attempt>,
    /// Those that wait at the gate of their endpoint.
    pub later: Vec<Later>,
}

/// A step in a line could not be done; it is asked for again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused.
    #[error("the database refused")]
    Store(#[from] store::Error),
    /// The webhook could not be composed.
    #[error("the webhook of {event_id} could not be composed")]
    Compose {
        /// Of which event.
        event_id: String,
        /// Why.
        source: compose::Error,
    },
    /// Something that was locked out has changed all the same, as a take-over does.
    #[error("the delivery {delivery_id} changed meanwhile")]
    Changed {
        /// Which.
        delivery_id: String,
    },
    /// The ledger lacks what the delivery names.
    #[error("the endpoint or the event of {delivery_id} is gone")]
    Gone {
        /// Which.
        delivery_id: String,
    },
}

/// Routes an event, and first each earlier one of its object that nobody has routed.
pub async fn open(core: &Core, item: &Open, event: &Event, endpoints: &[Endpoint]) -> Result<OpenedInLine, Error> {
    let mut connection = core.recording.take().await?;
    let mut transaction = begin(&mut connection).await?;
    let line =
        |endpoint: &Endpoint| Line { endpoint_id: endpoint.endpoint_id.clone(), object_id: event.object_id.clone() };
    let lines: BTreeSet<Line> = endpoints.iter().filter(|endpoint| endpoint.order.is_in_line()).map(line).collect();
    let locked = store::ledger::lock_lines(&mut transaction, &lines).await?;
    let mut standing = stand(&mut transaction, locked).await?;
    let is_latest = |endpoint: &Endpoint| endpoint.order == Order::LatestOnly && wants(endpoint, event);
    // Whoever takes the place of another takes its slot in the endpoint's rate, too.
    let mut slots = HashMap::new();
    for endpoint in endpoints.iter().filter(|endpoint| is_latest(endpoint)) {
        if let Some(row) = standing.get_mut(&line(endpoint)) {
            let slot = make_way(&mut transaction, row, event.object_version).await?;
            slots.extend(slot.map(|slot| (endpoint.endpoint_id.clone(), slot)));
        }
    }

    let mut events = unrouted_before(&mut transaction, event).await?;
    events.push(event.clone());
    let mut opened = OpenedInLine { won: false, attempts: Vec::new(), later: Vec::new() };
    let mut routed = Vec::new();
    for event in events {
        let asked_for = item.event_id.to_string() == event.event_id;
        let item = match asked_for {
            true => item.clone(),
            // It has not come through CDC, or it would be routed.
            false => Open { from_cdc: false, committed_at: None, captured_at: None, ..item.clone() },
        };
        let before = |endpoint: &Endpoint| match standing.get(&line(endpoint)) {
            _ if !asked_for && is_latest(endpoint) => Before::Superseded,
            Some(row) => Before::Earlier(earlier_than(row, event.object_version)),
            None => Before::Earlier(Vec::new()),
        };
        let mut drafts = drafts(core, &item, &event, endpoints, before);
        if drafts.iter().any(Draft::is_at_a_gate)
            && !store::ledger::routed(&core.fast, std::slice::from_ref(&event.event_id)).await?.is_empty()
        {
            continue;
        }
        if asked_for {
            drafts.iter_mut().for_each(|draft| draft.slot = slots.get(draft.endpoint_id()).copied());
        }
        let wanted: Vec<Wanted<'_>> = drafts.iter().filter_map(|draft| draft.wanted(&item)).collect();
        // On a connection of its own, and only for a moment: whoever holds a line may wait for a gate, never the other way.
        let mut admitted = gates::admit(core, &wanted).await?;
        let Drawn { route, mut attempts, later } = draw(core, &item, &event, drafts, &mut admitted)
            .map_err(|source| Error::Compose { event_id: event.event_id.clone(), source })?;
        if store::ledger::route_on(&mut transaction, vec![route.clone()]).await?.is_empty() {
            continue;
        }
        opened.won |= asked_for;
        attempts.iter_mut().for_each(|attempt| admitted.settle(attempt));
        opened.attempts.extend(attempts);
        opened.later.extend(later);
        routed.push((item, event.clone(), route.deliveries.len()));
        for made in route.deliveries.into_iter().filter(|made| made.state.holds_successors()) {
            let line = Line { endpoint_id: made.endpoint_id, object_id: event.object_id.clone() };
            if let Some(row) = standing.get_mut(&line) {
                let delivery = Delivery { state: made.state, ..Delivery::begun(Duration::ZERO) };
                let version = event.object_version;
                row.push(Standing { delivery_id: made.delivery_id, version, delivery, seen: None });
            }
        }
    }
    keep(&mut transaction, standing).await?;
    commit(transaction).await?;
    connection.keep();
    let mut spans = Spans::default();
    for (item, event, deliveries) in &routed {
        spans::routed(&mut spans, core, item, event, *deliveries);
    }
    Ok(opened)
}

/// The earlier events of the object that the same invocation has routed with this one.
pub async fn routed_along(core: &Core, event: &Event, invocation_id: &str) -> Result<Vec<Routed>, store::Error> {
    let mut connection = core.recording.take().await?;
    let done = store::ledger::routed_along(&mut connection, event, invocation_id).await;
    connection.keep_after(&done);
    done
}

/// As `next::steps`, for one delivery in line.
pub async fn next(core: &Core, item: &Ask) -> Answer {
    or_failed("begun", next_in_line(core, item).await)
}

/// As `record::run`, for the result of one delivery in line.
pub async fn record(core: &Core, item: &Recorded) -> Answer {
    or_failed("recorded", record_in_line(core, item).await)
}

/// The reason for which the delivery was parked is gone: it takes its place in the line again.
pub async fn resume(core: &Core, delivery_id: &str) -> Result<Option<Later>, Error> {
    let mut connection = core.recording.take().await?;
    let mut transaction = begin(&mut connection).await?;
    let Some(mut turn) = Turn::of(&mut transaction, delivery_id).await? else { return Ok(None) };
    let parked = (!turn.seen.declined).then(|| next::as_delivery(&turn.seen, ""));
    let Some(delivery) = parked.and_then(ledger::resume) else { return Ok(None) };
    let endpoint = turn.endpoint(&mut transaction).await?;
    let is_late = endpoint.order == Order::LatestOnly
        && store::ledger::is_followed(&mut transaction, &turn.line, turn.version()).await?;
    if is_late {
        let delivery = Delivery { state: State::Superseded, ..delivery };
        let step = Step { delivery, reason: None, closed: None, next: Next::Stop(Stop::Ended) };
        write(&mut transaction, next::step_row(&turn.seen, &step, None, Vec::new())).await?;
        commit(transaction).await?;
        connection.keep();
        return Ok(None);
    }
    let step = Step { delivery, reason: None, closed: None, next: Next::Wait(Duration::ZERO) };
    write(&mut transaction, next::step_row(&turn.seen, &step, None, Vec::new())).await?;
    let later = later(&turn.seen.delivery_id, delivery.claim);
    turn.settle(&mut transaction, &step).await?;
    commit(transaction).await?;
    connection.keep();
    Ok(later)
}

/// What became of a delivery in line that was to be sent once more.
pub enum Resent {
    /// It is in its place in the line, under this claim.
    Again(Later),
    /// It was parked, the endpoint wants the latest only, and a later one of its object was routed meanwhile.
    Replaced,
    /// It can't be: it is still to be sent anyway, or the endpoint wants the latest only and this is not it.
    Not,
}

/// Somebody wants the delivery sent once more: it takes its place in the line again. The line is locked by the caller,
/// together with all others of the same transaction.
pub async fn resend(connection: &mut PgConnection, delivery_id: &str) -> Result<Resent, Error> {
    let Some(mut turn) = Turn::of(connection, delivery_id).await? else { return Ok(Resent::Not) };
    let before = next::as_delivery(&turn.seen, "");
    let endpoint = turn.endpoint(connection).await?;
    let is_late = endpoint.order == Order::LatestOnly
        && store::ledger::is_followed(connection, &turn.line, turn.version()).await?;
    if is_late {
        turn.keep_with_own(connection).await?;
        let Some(step) = ledger::replace(before) else { return Ok(Resent::Not) };
        write(connection, next::step_row(&turn.seen, &step, None, Vec::new())).await?;
        return Ok(Resent::Replaced);
    }
    let Some(delivery) = ledger::resend(before) else {
        turn.keep_with_own(connection).await?;
        return Ok(Resent::Not);
    };
    let row = jobs::resent(&turn.seen, delivery);
    if store::ledger::resend_on(connection, vec![row]).await?.is_empty() {
        return Err(Error::Changed { delivery_id: delivery_id.to_owned() });
    }
    let step = Step { delivery, reason: None, closed: None, next: Next::Wait(Duration::ZERO) };
    turn.settle(connection, &step).await?;
    Ok(later(delivery_id, delivery.claim).map_or(Resent::Not, Resent::Again))
}

/// The delivery is held for long: lets go whoever is first in its line, if nobody has told them. Where the latest only is
/// wanted, what was in doubt when the delivery was made may wait for long, and gives way now.
pub async fn release(core: &Core, delivery_id: &str) -> Result<Option<Later>, Error> {
    let mut connection = core.recording.take().await?;
    let mut transaction = begin(&mut connection).await?;
    let Some(mut turn) = Turn::of(&mut transaction, delivery_id).await? else { return Ok(None) };
    let before = next::as_delivery(&turn.seen, "");
    if before.state != State::Held {
        return Ok(None);
    }
    // Looked at now, so it is not looked at again with each sweep.
    let step = Step { delivery: before, reason: None, closed: None, next: Next::Wait(Duration::ZERO) };
    write(&mut transaction, next::step_row(&turn.seen, &step, None, Vec::new())).await?;
    if turn.endpoint(&mut transaction).await?.order == Order::LatestOnly {
        let version = turn.version();
        make_way(&mut transaction, &mut turn.others, version).await?;
    }
    turn.others.push(Standing::of(&turn.seen, before));
    turn.others.sort_by_key(|other| other.version);
    let released = turn.let_go(&mut transaction, 0).await?;
    turn.keep(&mut transaction).await?;
    commit(transaction).await?;
    connection.keep();
    Ok(released)
}

async fn next_in_line(core: &Core, item: &Ask) -> Result<Answer, Error> {
    let delivery_id = item.delivery_id.to_string();
    let mut connection = core.recording.take().await?;
    let mut transaction = begin(&mut connection).await?;
    let Some(mut turn) = Turn::of(&mut transaction, &delivery_id).await? else {
        return Ok(Answer::stop(Stop::Unknown));
    };
    let endpoint = turn.endpoint(&mut transaction).await?;
    let mut events = store::ledger::events_on(&mut transaction, std::slice::from_ref(&turn.seen.event_id)).await?;
    let event = events.pop().ok_or_else(|| Error::Gone { delivery_id: delivery_id.clone() })?;
    let secrets = compose::secrets(&core.keyring, &endpoint);
    let schedule = next::schedule(&endpoint);
    let policy = ledger::Endpoint { state: endpoint.state, has_secret: !secrets.is_empty(), schedule: &schedule };
    let due_in = next::due_in(&turn.seen);
    let before = next::as_delivery(&turn.seen, &item.invocation_id);
    if endpoint.order == Order::LatestOnly && before.state == State::Pending && before.claim == item.claim {
        let version = turn.version();
        make_way(&mut transaction, &mut turn.others, version).await?;
    }
    let step = ledger::next_in_order(&turn.earlier(), before, item.claim, due_in, policy, rand::random());
    let step = turn.gives_way(&endpoint, before, step);
    let seen = turn.seen.clone();
    let asked = Asked { item, seen: &seen, endpoint: &endpoint, event: &event, secrets, before, step };
    let wanted: Vec<Wanted<'_>> = asked.wanted(core).into_iter().collect();
    let mut admitted = gates::admit(core, &wanted).await?;
    let Finished { mut answer, step, row } = asked
        .finish(core, &mut admitted, true)
        .map_err(|source| Error::Compose { event_id: event.event_id.clone(), source })?;
    if let Some(row) = row {
        write(&mut transaction, row).await?;
    }
    turn.answer(&mut transaction, &step, &mut answer).await?;
    commit(transaction).await?;
    connection.keep();
    if let Answer::Attempt(attempt) = &mut answer {
        admitted.settle(attempt);
    }
    Ok(answer)
}

async fn record_in_line(core: &Core, item: &Recorded) -> Result<Answer, Error> {
    let delivery_id = item.delivery_id.to_string();
    let mut connection = core.recording.take().await?;
    let mut transaction = begin(&mut connection).await?;
    let Some(mut turn) = Turn::of(&mut transaction, &delivery_id).await? else {
        return Ok(Answer::stop(Stop::Unknown));
    };
    let endpoint = turn.endpoint(&mut transaction).await?;
    // Whoever records has made the attempt, whatever invocation that is by now.
    let before = next::as_delivery(&turn.seen, "");
    let schedule = next::schedule(&endpoint);
    let step = ledger::record(before, item.claim, item.attempt, &item.outcome, &schedule, rand::random());
    let step = turn.gives_way(&endpoint, before, step);
    let mut written = None;
    if matches!(item.outcome, Outcome::Delivered { .. }) && step.next == Next::Stop(Stop::StaleClaim) {
        // It was resent since: the 2xx is kept already.
        let row = next::step_row(&turn.seen, &step, None, vec![record::logged(item)]);
        write(&mut transaction, StepRow { keeps_in_flight: true, ..row }).await?;
    } else if let Outcome::Delivered { .. } = item.outcome {
        written = Some(write(&mut transaction, record::delivered(item)).await?);
    } else if step.delivery != before {
        let row = next::step_row(&turn.seen, &step, None, vec![record::logged(item)]);
        written = Some(write(&mut transaction, row).await?);
    }
    let mut answer = next::answer_without_attempt(item.delivery_id, item.claim, step.next);
    turn.answer(&mut transaction, &step, &mut answer).await?;
    commit(transaction).await?;
    connection.keep();
    let circuits = match matches!(item.outcome, Outcome::Failed { .. }) && step.delivery != before {
        true => record::count_failures(core, &[endpoint.endpoint_id]).await,
        false => HashSet::new(),
    };
    let kept_out_at = written.and_then(|written| written.kept_out_at).filter(|at| !circuits.contains(at));
    let room = kept_out_at.map(|at| (at, record::makes_room(core, item))).into_iter().collect();
    Ok(answer.and(gates::let_in(core, &room).await.into_values().flatten().collect()))
}

/// A delivery in a line that is locked, and all who stand in it.
struct Turn {
    seen: Seen,
    line: Line,
    /// The unfinished ones without this one, lowest version first.
    others: Vec<Standing>,
}

/// One who stands in a line.
struct Standing {
    delivery_id: String,
    version: i64,
    delivery: Delivery,
    /// As it was read; none if it is made in this transaction.
    seen: Option<Seen>,
}

impl Standing {
    fn of(seen: &Seen, delivery: Delivery) -> Self {
        let version = seen.in_line.as_ref().map_or(0, |(_, version)| *version);
        Self { delivery_id: seen.delivery_id.clone(), version, delivery, seen: Some(seen.clone()) }
    }
}

fn earlier_than(line: &[Standing], version: i64) -> Vec<Delivery> {
    line.iter().filter(|one| one.version < version).map(|one| one.delivery).collect()
}

/// Where the latest only is wanted, those before `version` that wait give way. They leave the line. Answers the earliest
/// slot that one of them had.
async fn make_way(
    connection: &mut PgConnection,
    line: &mut Vec<Standing>,
    version: i64,
) -> Result<Option<(i64, i32)>, Error> {
    let gives_way = |one: &Standing| {
        let superseded = (one.version < version).then(|| ledger::supersede(one.delivery))?;
        let step = Step { delivery: superseded?, reason: None, closed: None, next: Next::Stop(Stop::Ended) };
        Some(next::step_row(one.seen.as_ref()?, &step, None, Vec::new()))
    };
    let rows: Vec<StepRow> = line.iter().filter_map(gives_way).collect();
    let given: HashSet<&str> = rows.iter().map(|row| row.delivery_id.as_str()).collect();
    let slot_of = |one: &Standing| one.seen.as_ref().filter(|_| given.contains(one.delivery_id.as_str()))?.slot;
    let slot = line.iter().filter_map(slot_of).min();
    line.retain(|one| !given.contains(one.delivery_id.as_str()));
    for row in rows {
        write(connection, row).await?;
    }
    Ok(slot)
}

async fn write(connection: &mut PgConnection, row: StepRow) -> Result<Written, Error> {
    let delivery_id = row.delivery_id.clone();
    store::ledger::write_steps_on(connection, vec![row]).await?.pop().ok_or(Error::Changed { delivery_id })
}

impl Turn {
    /// Locks the line of a delivery; none if there is no such delivery, or it stands in no line.
    async fn of(connection: &mut PgConnection, delivery_id: &str) -> Result<Option<Self>, Error> {
        let one = [delivery_id.to_owned()];
        let Some(before) = store::ledger::deliveries_on(connection, &one).await?.pop() else { return Ok(None) };
        let Some((object_id, _)) = before.in_line else { return Ok(None) };
        let line = Line { endpoint_id: before.endpoint_id, object_id };
        let locked = store::ledger::lock_lines(connection, &BTreeSet::from([line.clone()])).await?;
        let mut ids: BTreeSet<String> = locked.into_values().flatten().collect();
        ids.insert(delivery_id.to_owned());
        let ids: Vec<String> = ids.into_iter().collect();
        let seen = store::ledger::deliveries_on(connection, &ids).await?;
        let mut rows: HashMap<String, Seen> = seen.into_iter().map(|d| (d.delivery_id.clone(), d)).collect();
        let Some(seen) = rows.remove(delivery_id) else { return Ok(None) };
        let mut others: Vec<Standing> = rows
            .values()
            .filter(|other| other.state.holds_successors())
            .map(|other| Standing::of(other, next::as_delivery(other, "")))
            .collect();
        others.sort_by_key(|other| other.version);
        Ok(Some(Self { seen, line, others }))
    }

    fn version(&self) -> i64 {
        self.seen.in_line.as_ref().map_or(0, |(_, version)| *version)
    }

    fn earlier(&self) -> Vec<Delivery> {
        earlier_than(&self.others, self.version())
    }

    /// Where the latest only is wanted, the delivery gives way to a later one that is unfinished.
    fn gives_way(&self, endpoint: &Endpoint, before: Delivery, step: Step) -> Step {
        let has_later = self.others.iter().any(|other| other.version > self.version());
        match endpoint.order {
            Order::LatestOnly if has_later => ledger::give_way(before, step),
            Order::Any | Order::PerObject | Order::LatestOnly => step,
        }
    }

    async fn endpoint(&self, connection: &mut PgConnection) -> Result<Endpoint, Error> {
        let ids = std::slice::from_ref(&self.seen.endpoint_id);
        let found = store::ledger::endpoints_on(connection, &[], ids).await?.pop();
        found.ok_or_else(|| Error::Gone { delivery_id: self.seen.delivery_id.clone() })
    }

    /// Stores who stands in the line after the step. An answer that ends a delivery carries its successor: also one that
    /// is repeated, since the first may be lost.
    async fn answer(&mut self, connection: &mut PgConnection, step: &Step, answer: &mut Answer) -> Result<(), Error> {
        let released = self.settle(connection, step).await?;
        if let Answer::Stop { successors, .. } = answer {
            successors.extend(released);
        }
        Ok(())
    }

    async fn settle(&mut self, connection: &mut PgConnection, step: &Step) -> Result<Option<Later>, Error> {
        let version = self.version();
        let mut released = None;
        if step.delivery.state.holds_successors() {
            self.others.push(Standing::of(&self.seen, step.delivery));
            self.others.sort_by_key(|other| other.version);
        } else {
            let from = self.others.iter().filter(|other| other.version <= version).count();
            released = self.let_go(connection, from).await?;
        }
        self.keep(connection).await?;
        Ok(released)
    }

    /// Whoever is first in the line, from the index `from` on, may go.
    async fn let_go(&mut self, connection: &mut PgConnection, from: usize) -> Result<Option<Later>, Error> {
        let group: Vec<Delivery> = self.others.iter().map(|other| other.delivery).collect();
        let Some((index, freed)) = ledger::release(&group, from) else { return Ok(None) };
        let first = &self.others[index];
        let seen = first.seen.as_ref().ok_or_else(|| Error::Gone { delivery_id: first.delivery_id.clone() })?;
        if freed == first.delivery && seen.due_in_ms > 0 {
            // It waits at the gate of its endpoint, and whoever was told has a timer; if that is lost, it is overdue.
            return Ok(None);
        }
        if freed != first.delivery {
            let step = Step { delivery: freed, reason: None, closed: None, next: Next::Wait(Duration::ZERO) };
            write(connection, next::step_row(seen, &step, None, Vec::new())).await?;
        }
        Ok(later(&first.delivery_id, freed.claim))
    }

    /// Stores the line as it was, with this one if it stands in it.
    async fn keep_with_own(&mut self, connection: &mut PgConnection) -> Result<(), Error> {
        let delivery = next::as_delivery(&self.seen, "");
        if delivery.state.holds_successors() {
            self.others.push(Standing::of(&self.seen, delivery));
            self.others.sort_by_key(|other| other.version);
        }
        self.keep(connection).await
    }

    async fn keep(&self, connection: &mut PgConnection) -> Result<(), Error> {
        let ids = self.others.iter().map(|other| other.delivery_id.clone()).collect();
        store::ledger::keep_lines(connection, &BTreeMap::from([(self.line.clone(), ids)])).await?;
        Ok(())
    }
}

/// Everybody who stands in these lines, lowest version first.
async fn stand(
    connection: &mut PgConnection,
    locked: BTreeMap<Line, Vec<String>>,
) -> Result<BTreeMap<Line, Vec<Standing>>, Error> {
    let ids: Vec<String> = locked.values().flatten().cloned().collect();
    let seen = match ids.is_empty() {
        true => Vec::new(),
        false => store::ledger::deliveries_on(connection, &ids).await?,
    };
    let mut standing: BTreeMap<Line, Vec<Standing>> = locked.into_keys().map(|line| (line, Vec::new())).collect();
    for seen in seen.into_iter().filter(|seen| seen.state.holds_successors()) {
        let Some((object_id, _)) = &seen.in_line else { continue };
        let line = Line { endpoint_id: seen.endpoint_id.clone(), object_id: object_id.clone() };
        if let Some(row) = standing.get_mut(&line) {
            row.push(Standing::of(&seen, next::as_delivery(&seen, "")));
        }
    }
    Ok(standing)
}

async fn keep(connection: &mut PgConnection, standing: BTreeMap<Line, Vec<Standing>>) -> Result<(), Error> {
    let ids = |mut row: Vec<Standing>| {
        row.sort_by_key(|one| one.version);
        row.into_iter().map(|one| one.delivery_id).collect()
    };
    let lines = standing.into_iter().map(|(line, row)| (line, ids(row))).collect();
    store::ledger::keep_lines(connection, &lines).await?;
    Ok(())
}

/// The earlier events of the object that nobody has routed, lowest version first.
async fn unrouted_before(connection: &mut PgConnection, event: &Event) -> Result<Vec<Event>, Error> {
    let ids = store::ledger::unrouted_before(connection, event).await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut events = store::ledger::events_on(connection, &ids).await?;
    events.sort_by_key(|event| event.object_version);
    Ok(events)
}

fn later(delivery_id: &str, claim: u32) -> Option<Later> {
    let delivery_id = delivery_id
        .parse()
        .map_err(|error| tracing::error!(delivery.id = delivery_id, %error, "a line holds an id that is none"))
        .ok()?;
    Some(Later { delivery_id, claim, delay_ms: 0 })
}

fn or_failed(what: &'static str, done: Result<Answer, Error>) -> Answer {
    done.unwrap_or_else(|error| {
        tracing::warn!(error = %Chain(&error), "a delivery in line could not be {what}");
        Answer::Failed
    })
}
