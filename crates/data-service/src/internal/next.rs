//! `POST /internal/next`: may the next attempt of a delivery be made?

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::State;
use chassis::JsonBody;
use chassis::error_chain::Chain;
use domain::gate::Admission;
use domain::ids::AttemptId;
use domain::ledger::{self, Delivery, InFlight, Next, Step, Stop};
use domain::protocol::{Answer, Ask, Attempt, Later};
use domain::schedule::Schedule;
use domain::signature::Secret;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use store::kept::KeptConnections;
use store::ledger::{Endpoint, Event, Exchange, Guard, LoggedAttempt, Seen, StepRow};
use uuid::Uuid;

use super::gates::{self, Admitted, Timed, Wanted};
use super::spans::{Spans, trace_id};
use super::{answers_in_time, firsts, millis, order, spans, storable};
use crate::app::{App, Core};
use crate::compose;

/// One answer for each item, in order.
pub async fn post(State(app): State<App>, JsonBody(items): JsonBody<Vec<Ask>>) -> Json<Vec<Answer>> {
    let storable = |item: Ask| Ask { invocation_id: storable(item.invocation_id), ..item };
    let answers = answers_in_time(items.into_iter().map(|item| app.asks.call(storable(item)))).await;
    Json(answers.into_iter().map(|answer| answer.map_or(Answer::Failed, Timed::<Answer>::settled)).collect())
}

/// Answers a batch. A failure of the database fails what is left of it; each item is then asked for again.
pub async fn run(core: Arc<Core>, items: Vec<Ask>) -> Vec<Timed<Answer>> {
    let own = &*core;
    let portion = |items| async move { steps(own, items).await.map(Timed::now) }.boxed();
    let failed = || Timed::one(Answer::Failed);
    own.portions.asks.answers(&items, "attempts could not be begun", failed, portion).await
}

/// What a transition needs to know, as it was read.
pub struct Known {
    pub seen: HashMap<String, Seen>,
    pub endpoints: HashMap<String, Endpoint>,
}

/// Reads deliveries with their endpoints.
pub async fn read(connections: &KeptConnections, delivery_ids: &[String]) -> Result<Known, store::Error> {
    let seen = store::ledger::deliveries(connections, delivery_ids).await?;
    let endpoint_ids: Vec<String> = seen.iter().map(|d| d.endpoint_id.clone()).collect();
    let endpoints = store::ledger::endpoints_of(connections, &[], &endpoint_ids).await?;
    Ok(Known {
        seen: seen.into_iter().map(|d| (d.delivery_id.clone(), d)).collect(),
        endpoints: endpoints.into_iter().map(|e| (e.endpoint_id.clone(), e)).collect(),
    })
}

/// Takes the next step of each delivery. One that changes between the read and the write is answered `failed`, and
/// nothing is begun for it.
pub async fn steps(core: &Core, items: &[Ask]) -> Result<Vec<Answer>, store::Error> {
    let since = SystemTime::now();
    let ids: Vec<String> = items.iter().map(|item| item.delivery_id.to_string()).collect();
    let known = read(&core.fast, &ids).await?;
    let event_ids: Vec<String> = known.seen.values().map(|d| d.event_id.clone()).collect();
    let events: HashMap<String, Event> =
        store::ledger::events(&core.fast, &event_ids).await?.into_iter().map(|e| (e.event_id.clone(), e)).collect();

    let mut rows = Vec::new();
    let mut in_line = Vec::new();
    let mut asked = Vec::new();
    let mut answers = Vec::with_capacity(items.len());
    for ((item, id), first) in items.iter().zip(&ids).zip(firsts(items, |item| item.delivery_id)) {
        let Some(seen) = known.seen.get(id) else {
            answers.push(Answer::stop(Stop::Unknown));
            continue;
        };
        if first && seen.in_line.is_some() {
            in_line.push((answers.len(), item));
            answers.push(Answer::Failed);
            continue;
        }
        // An endpoint or event that is gone takes its deliveries with it only by hand: ask again and be told.
        if let (true, Some(endpoint), Some(event)) =
            (first, known.endpoints.get(&seen.endpoint_id), events.get(&seen.event_id))
        {
            let secrets = compose::secrets(&core.keyring, endpoint);
            let (before, step) = step(seen, item, endpoint, &secrets);
            asked.push((answers.len(), Asked { item, seen, endpoint, event, secrets, before, step }));
        }
        answers.push(Answer::Failed);
    }
    let wanted: Vec<Wanted<'_>> = asked.iter().filter_map(|(_, asked)| asked.wanted(core)).collect();
    let mut admitted = gates::admit(core, &wanted).await?;
    let mut may_be_forgotten = true;
    for (index, asked) in asked {
        // Composed before the attempt is begun: one that can't be made must not use up the schedule.
        match asked.finish(core, &mut admitted, false) {
            Ok(Finished { answer, step, row }) => {
                answers[index] = answer;
                may_be_forgotten &= step.may_be_forgotten() || row.is_none();
                rows.extend(row);
            }
            Err(error) => {
                let event = asked.event;
                tracing::error!(trace_id = trace_id(event), event.id = event.event_id, error = %Chain(&error), "a webhook could not be composed");
            }
        }
    }
    let connections = if may_be_forgotten { &core.fast } else { &core.recording };
    let mut lost: HashSet<String> = rows.iter().map(|row| row.delivery_id.clone()).collect();
    if !rows.is_empty() {
        for written in store::ledger::write_steps(connections, rows).await? {
            lost.remove(&written.delivery_id);
        }
    }
    for (id, answer) in ids.iter().zip(&mut answers) {
        if lost.contains(id) {
            *answer = Answer::Failed;
        }
        if let Answer::Attempt(attempt) = answer {
            admitted.settle(attempt);
        }
    }
    let asked = join_all(in_line.iter().map(|(_, item)| order::next(core, item))).await;
    for ((index, _), answer) in in_line.into_iter().zip(asked) {
        answers[index] = answer;
    }
    let mut spans = Spans::default();
    for answer in &answers {
        if let Answer::Attempt(attempt) = answer {
            spans::read(&mut spans, attempt, since);
        }
    }
    Ok(answers)
}

/// The step of a delivery, before it has been at the gate of its endpoint; and the delivery as it is.
fn step(seen: &Seen, item: &Ask, endpoint: &Endpoint, secrets: &[Secret]) -> (Delivery, Step) {
    let schedule = schedule(endpoint);
    let policy = ledger::Endpoint { state: endpoint.state, has_secret: !secrets.is_empty(), schedule: &schedule };
    let before = as_delivery(seen, &item.invocation_id);
    (before, ledger::next(before, item.claim, due_in(seen), policy, rand::random()))
}

/// How long until the delivery is due; zero when that has passed. Whoever stays at a gate may try it at any time.
pub fn due_in(seen: &Seen) -> Duration {
    let due_in_ms = if seen.at_gate { 0 } else { seen.due_in_ms };
    Duration::from_millis(u64::try_from(due_in_ms).unwrap_or(0))
}

/// A delivery that was asked for, and its step before the gate of its endpoint.
pub struct Asked<'a> {
    /// Who asks.
    pub item: &'a Ask,
    /// As it was read.
    pub seen: &'a Seen,
    /// Where to.
    pub endpoint: &'a Endpoint,
    /// Of what.
    pub event: &'a Event,
    /// What signs.
    pub secrets: Vec<Secret>,
    /// As it is.
    pub before: Delivery,
    /// As it is to be.
    pub step: Step,
}

/// What is to be done for a delivery that was asked for.
pub struct Finished {
    /// With the request, if an attempt begins.
    pub answer: Answer,
    /// The step, after the gate.
    pub step: Step,
    /// To be stored, if something has changed.
    pub row: Option<StepRow>,
}

impl Asked<'_> {
    /// The attempt that it would begin, if it would.
    pub fn wanted(&self, core: &Core) -> Option<Wanted<'_>> {
        let Self { item, seen, endpoint, step, .. } = self;
        let begins = matches!(step.next, Next::Attempt { .. });
        let lease_ms = lease_ms(core, endpoint);
        let delivery_id = seen.delivery_id.clone();
        begins.then_some(Wanted { delivery_id, endpoint, busy: &item.busy, lease_ms, slot: seen.slot })
    }

    /// `admitted` is asked if an attempt would begin.
    pub fn finish(&self, core: &Core, admitted: &mut Admitted, in_line: bool) -> Result<Finished, compose::Error> {
        let Self { item, seen, endpoint, event, secrets, before, step } = self;
        let (step, admission) = admitted.pass(*before, *step);
        let slot = gates::told(endpoint, admission);
        let (answer, begins) = match step.next {
            Next::Attempt { number } => {
                let attempt_id = AttemptId::from_uuid(Uuid::now_v7());
                let traceparent = spans::traceparent(core, event, attempt_id);
                let attempt = Attempt {
                    delivery_id: item.delivery_id,
                    claim: item.claim,
                    attempt: number,
                    attempt_id,
                    endpoint_id: endpoint.endpoint_id.parse().ok(),
                    slot,
                    timeout_ms: u64::from(endpoint.timeout_ms.unsigned_abs()),
                    in_line,
                    committed_at: Some(event.occurred_at.into()),
                    request: compose::request(&core.keyring, event, endpoint, secrets, traceparent)?,
                };
                let lease_ms = gates::lease_ms(lease_ms(core, endpoint), slot);
                (Answer::Attempt(Box::new(attempt)), Some((item.invocation_id.clone(), lease_ms)))
            }
            Next::Wait(_) | Next::Stay(_) | Next::Stop(_) => {
                (answer_without_attempt(item.delivery_id, item.claim, step.next), None)
            }
        };
        // A wait is answered as it is stored already, unless the gate has said so.
        let is_new = step.delivery != *before || step.closed.is_some() || admission != Admission::NOW;
        let row = is_new.then(|| {
            let ended = step.closed.into_iter().map(|number| closed(seen, number)).collect();
            StepRow { slot: gates::slot(endpoint, admission), ..step_row(seen, &step, begins, ended) }
        });
        Ok(Finished { answer, step, row })
    }
}

/// The answer to a step that begins no attempt.
pub fn answer_without_attempt(delivery_id: domain::ids::DeliveryId, claim: u32, next: Next) -> Answer {
    match next {
        Next::Wait(wait) => {
            Answer::Later(Later { delivery_id, claim, delay_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) })
        }
        Next::Stay(_) => Answer::stop(Stop::Ended),
        Next::Stop(why) => Answer::stop(why),
        Next::Attempt { .. } => Answer::Failed,
    }
}

/// The schedule of an endpoint; one that can't be read is replaced by the default and told.
pub fn schedule(endpoint: &Endpoint) -> Schedule {
    endpoint.schedule_ms.clone().map_or_else(Schedule::default, |waits| {
        Schedule::try_from(waits).unwrap_or_else(|error| {
            tracing::error!(endpoint.id = endpoint.endpoint_id, %error, "an endpoint's schedule can't be used");
            Schedule::default()
        })
    })
}

/// How long an attempt may be under way before it is taken for dead.
pub fn lease_ms(core: &Core, endpoint: &Endpoint) -> i64 {
    i64::from(endpoint.timeout_ms) + millis(core.patience.lease_margin)
}

/// The delivery as the transitions see it, asked by this invocation.
pub fn as_delivery(seen: &Seen, invocation_id: &str) -> Delivery {
    Delivery {
        state: seen.state,
        claim: seen.claim.unsigned_abs(),
        attempts: seen.attempts.unsigned_abs(),
        unknowns: seen.unknowns.unsigned_abs(),
        in_doubt: seen.in_doubt,
        in_flight: seen.in_flight.as_ref().map(|(owner, left_ms)| InFlight {
            own: owner == invocation_id,
            lease_left: Duration::from_millis(u64::try_from(*left_ms).unwrap_or(0)),
        }),
        schedule_from: seen.schedule_from.unsigned_abs(),
        accepted: seen.accepted,
    }
}

/// The row to be written for a step, guarded by what was seen.
pub fn step_row(seen: &Seen, step: &Step, begins: Option<(String, i64)>, ended: Vec<LoggedAttempt>) -> StepRow {
    let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    StepRow {
        delivery_id: seen.delivery_id.clone(),
        guard: Guard::AsSeen {
            state: seen.state,
            claim: seen.claim,
            attempts: seen.attempts,
            in_flight: seen.in_flight.is_some(),
        },
        state: step.delivery.state,
        reason: step.reason.map(ledger::Reason::as_str),
        claim: count(step.delivery.claim),
        attempts: count(step.delivery.attempts),
        unknowns: Some(count(step.delivery.unknowns)),
        due_in_ms: match step.next {
            Next::Wait(wait) | Next::Stay(wait) => Some(millis(wait)),
            Next::Attempt { .. } => Some(0),
            Next::Stop(_) => None,
        },
        slot: None,
        at_gate: matches!(step.next, Next::Stay(_)),
        begins,
        keeps_in_flight: false,
        ended,
    }
}

/// The attempt that a step closes because nobody knows what became of it.
pub fn closed(seen: &Seen, number: u32) -> LoggedAttempt {
    LoggedAttempt {
        attempt_id: AttemptId::from_uuid(Uuid::now_v7()).to_string(),
        claim: seen.claim,
        number: i32::try_from(number).unwrap_or(i32::MAX),
        began_at: seen.begun_at.unwrap_or_else(time::OffsetDateTime::now_utc),
        duration_ms: None,
        outcome: "unknown".to_owned(),
        status: None,
        detail: Some("begun, and no result came; whoever made it has died or was cut off".to_owned()),
        exchange: Exchange::default(),
    }
}
