//! `POST /internal/record`: the results of attempts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use chassis::JsonBody;
use chassis::error_chain::Chain;
use domain::ledger::{self, Next, State as DeliveryState, Stop};
use domain::outcome::Outcome;
use domain::protocol::{self, Answer, Recorded};
use domain::schedule::Schedule;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use store::ledger::{Exchange, Guard, LoggedAttempt, Seen, StepRow};

use super::{answers_in_time, firsts, gates, next, order, storable};
use crate::app::{App, Core};

/// One answer for each item, in order.
pub async fn post(State(app): State<App>, JsonBody(items): JsonBody<Vec<Recorded>>) -> Json<Vec<Answer>> {
    let storable = |item: Recorded| Recorded { detail: item.detail.map(storable), ..item };
    let answers = answers_in_time(items.into_iter().map(|item| app.records.call(storable(item)))).await;
    Json(answers.into_iter().map(|answer| answer.unwrap_or(Answer::Failed)).collect())
}

/// Records a batch. A failure of the database fails what is left of it; each item is then sent again.
pub async fn run(core: Arc<Core>, items: Vec<Recorded>) -> Vec<Answer> {
    let portion = |items| record(&core, items).boxed();
    core.portions.records.answers(&items, "results could not be recorded", || Answer::Failed, portion).await
}

async fn record(core: &Core, items: &[Recorded]) -> Result<Vec<Answer>, store::Error> {
    let ids: Vec<String> = items.iter().map(|item| item.delivery_id.to_string()).collect();
    {
        let mut begun = core.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        for (item, id) in items.iter().zip(&ids) {
            begun.end(id, matches!(item.outcome, Outcome::Delivered { .. }), now);
        }
    }
    // A 2xx is kept from any claim and any state, so nothing needs to be read for it.
    let to_read: Vec<String> = items
        .iter()
        .zip(&ids)
        .filter(|(item, _)| match item.outcome {
            // What stands in line is read with its lock.
            _ if item.in_line => item.outcome.disables_endpoint(),
            Outcome::Delivered { disable } => disable,
            Outcome::Gone | Outcome::Aborted | Outcome::Failed { .. } => true,
        })
        .map(|(_, id)| id.clone())
        .collect();
    let known = match to_read.is_empty() {
        true => None,
        false => Some(next::read(&core.recording, &to_read).await?),
    };
    disable_endpoints(core, items, known.as_ref()).await?;

    let mut rows = Vec::new();
    let mut in_line = Vec::new();
    let mut answers = Vec::with_capacity(items.len());
    let is_first = firsts(items, |item| item.delivery_id);
    for ((item, id), first) in items.iter().zip(&ids).zip(&is_first) {
        let (row, answer) = match (&item.outcome, *first) {
            (_, false) => (None, Answer::Failed),
            _ if item.in_line => {
                in_line.push((answers.len(), item));
                (None, Answer::Failed)
            }
            (Outcome::Delivered { .. }, true) => (Some(delivered(item)), Answer::stop(Stop::Ended)),
            (_, true) => failed(item, id, known.as_ref()),
        };
        rows.extend(row);
        answers.push(answer);
    }
    let failed = failed_at(items, &rows, known.as_ref());
    let mut lost: HashMap<String, Guard> = rows.iter().map(|row| (row.delivery_id.clone(), row.guard)).collect();
    let mut kept_out = HashMap::new();
    if !rows.is_empty() {
        for written in store::ledger::write_steps(&core.recording, rows).await? {
            lost.remove(&written.delivery_id);
            kept_out.extend(written.kept_out_at.map(|endpoint_id| (written.delivery_id, endpoint_id)));
        }
    }
    let mut old_news = Vec::new();
    for (index, id) in ids.iter().enumerate().filter(|(index, _)| is_first[*index]) {
        match lost.get(id) {
            None => {}
            Some(Guard::Any { .. }) => old_news.push((index, &items[index])),
            Some(Guard::AsSeen { .. }) => answers[index] = Answer::Failed,
        }
    }
    let failed: Vec<String> = failed.into_iter().filter(|(id, _)| !lost.contains_key(id)).map(|(_, at)| at).collect();
    let circuits = count_failures(core, &failed).await;
    kept_out.retain(|_, endpoint_id| !circuits.contains(endpoint_id));
    if !kept_out.is_empty() {
        // A twin of an item tells of nobody: it is answered `failed`.
        let at = ids.iter().zip(&is_first).map(|(id, first)| kept_out.get(id).filter(|_| *first));
        let at: Vec<Option<&String>> = at.collect();
        let_in(core, items, &at, &mut answers).await;
    }
    for (index, answer) in log_old_news(core, &old_news).await? {
        answers[index] = answer;
    }
    let recorded = join_all(in_line.iter().map(|(_, item)| order::record(core, item))).await;
    for ((index, _), answer) in in_line.into_iter().zip(recorded) {
        answers[index] = answer;
    }
    Ok(answers)
}

/// An endpoint that wants nothing more is disabled first: a crash in between parks the delivery at its next attempt.
async fn disable_endpoints(core: &Core, items: &[Recorded], known: Option<&next::Known>) -> Result<(), store::Error> {
    let Some(known) = known else { return Ok(()) };
    let gone: Vec<String> = items
        .iter()
        .filter(|item| item.outcome.disables_endpoint())
        .filter_map(|item| known.seen.get(&item.delivery_id.to_string()))
        .map(|seen| seen.endpoint_id.clone())
        .collect();
    if !gone.is_empty() && store::payload::disable_endpoints(&core.rare, &gone, Outcome::DISABLED).await? > 0 {
        tracing::warn!(endpoints = ?gone, "endpoints were disabled, as their receiver asked");
    }
    Ok(())
}

/// Of each result that is to be stored and is a failure, the delivery and its endpoint.
fn failed_at(items: &[Recorded], rows: &[StepRow], known: Option<&next::Known>) -> Vec<(String, String)> {
    let stored: HashSet<&str> = rows.iter().map(|row| row.delivery_id.as_str()).collect();
    let failed = items.iter().filter(|item| !item.in_line && matches!(item.outcome, Outcome::Failed { .. }));
    let at = |item: &Recorded| {
        let id = item.delivery_id.to_string();
        let seen = known?.seen.get(&id).filter(|_| stored.contains(id.as_str()))?;
        Some((id, seen.endpoint_id.clone()))
    };
    failed.filter_map(at).collect()
}

/// The results are stored: what the gates don't hear of, only opens a circuit later. Answers the endpoints whose circuit is
/// open.
pub async fn count_failures(core: &Core, endpoint_ids: &[String]) -> HashSet<String> {
    gates::failed(core, endpoint_ids).await.unwrap_or_else(|error| {
        tracing::warn!(error = %Chain(&error), endpoints = endpoint_ids.len(), "failures of endpoints could not be counted");
        HashSet::new()
    })
}

/// Each attempt that has ended at an endpoint at whose gate others stay makes room for them: `at` is that endpoint of each
/// item. The answers tell of those who are let in.
async fn let_in(core: &Core, items: &[Recorded], at: &[Option<&String>], answers: &mut [Answer]) {
    let mut room: BTreeMap<String, u32> = BTreeMap::new();
    let mut tells: HashMap<&String, usize> = HashMap::new();
    for (index, (item, at)) in items.iter().zip(at).enumerate() {
        let Some(endpoint_id) = at else { continue };
        *room.entry((*endpoint_id).clone()).or_default() += makes_room(core, item);
        tells.insert(endpoint_id, index);
    }
    for (endpoint_id, let_in) in gates::let_in(core, &room).await {
        if let Some(answer) = tells.get(&endpoint_id).and_then(|index| answers.get_mut(*index)) {
            *answer = std::mem::replace(answer, Answer::Failed).and(let_in);
        }
    }
}

/// How many may go in after an attempt that has ended so, if the circuit is not open.
pub fn makes_room(core: &Core, item: &Recorded) -> u32 {
    match item.outcome {
        Outcome::Delivered { .. } => core.limits.lets_in(true, item.in_flight),
        Outcome::Failed { .. } | Outcome::Aborted => core.limits.lets_in(false, item.in_flight),
        // The endpoint takes nothing any more.
        Outcome::Gone => 0,
    }
}

/// A 2xx that was not written is of before a resend, and changes nothing any more; but it may be of an attempt that is not
/// on the log. Or there is no such delivery. Each comes with its place among the answers.
async fn log_old_news(core: &Core, items: &[(usize, &Recorded)]) -> Result<Vec<(usize, Answer)>, store::Error> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = items.iter().map(|(_, item)| item.delivery_id.to_string()).collect();
    let seen: HashMap<String, Seen> = store::ledger::deliveries(&core.recording, &ids)
        .await?
        .into_iter()
        .map(|seen| (seen.delivery_id.clone(), seen))
        .collect();
    let row = |item: &Recorded, seen: &Seen| {
        let before = next::as_delivery(seen, "");
        let schedule = Schedule::default();
        let step = ledger::record(before, item.claim, item.attempt, &item.outcome, &schedule, 0.0);
        let row = next::step_row(seen, &step, None, vec![logged(item)]);
        (step.next == Next::Stop(Stop::StaleClaim)).then_some(StepRow { keeps_in_flight: true, ..row })
    };
    let rows: Vec<StepRow> = items.iter().zip(&ids).filter_map(|((_, item), id)| row(item, seen.get(id)?)).collect();
    let written: HashSet<String> = match rows.is_empty() {
        true => HashSet::new(),
        false => store::ledger::write_steps(&core.recording, rows).await?.into_iter().map(|w| w.delivery_id).collect(),
    };
    let answer = |id: &String| match (seen.contains_key(id), written.contains(id)) {
        (false, _) => Answer::stop(Stop::Unknown),
        (true, true) => Answer::stop(Stop::StaleClaim),
        // It has changed since: the 2xx is sent again.
        (true, false) => Answer::Failed,
    };
    Ok(items.iter().zip(&ids).map(|((index, _), id)| (*index, answer(id))).collect())
}

/// The row of a 2xx.
pub fn delivered(item: &Recorded) -> StepRow {
    StepRow {
        delivery_id: item.delivery_id.to_string(),
        guard: Guard::Any { claim: i32::try_from(item.claim).unwrap_or(i32::MAX) },
        state: DeliveryState::Delivered,
        reason: None,
        claim: 0,
        attempts: 0,
        unknowns: None,
        due_in_ms: None,
        slot: None,
        at_gate: false,
        begins: None,
        keeps_in_flight: false,
        ended: vec![logged(item)],
    }
}

fn failed(item: &Recorded, id: &str, known: Option<&next::Known>) -> (Option<StepRow>, Answer) {
    let Some(known) = known else { return (None, Answer::Failed) };
    let Some(seen) = known.seen.get(id) else { return (None, Answer::stop(Stop::Unknown)) };
    let Some(endpoint) = known.endpoints.get(&seen.endpoint_id) else { return (None, Answer::Failed) };
    let schedule = next::schedule(endpoint);
    // Whoever records has made the attempt, whatever invocation that is by now.
    let before = next::as_delivery(seen, "");
    let step = ledger::record(before, item.claim, item.attempt, &item.outcome, &schedule, rand::random());
    let answer = next::answer_without_attempt(item.delivery_id, item.claim, step.next);
    let changed = step.delivery != before;
    (changed.then(|| next::step_row(seen, &step, None, vec![logged(item)])), answer)
}

/// The attempt as it goes into the log.
pub fn logged(item: &Recorded) -> LoggedAttempt {
    let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    LoggedAttempt {
        attempt_id: item.attempt_id.to_string(),
        claim: count(item.claim),
        number: count(item.attempt),
        began_at: item.began_at.into_inner(),
        duration_ms: i64::try_from(item.duration_ms).ok(),
        outcome: item.outcome.as_str().to_owned(),
        status: item.status.and_then(|status| i16::try_from(status).ok()),
        detail: item.detail.clone(),
        exchange: exchange(&item.exchange),
    }
}

fn exchange(seen: &protocol::Exchange) -> Exchange {
    let ms = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    Exchange {
        address: seen.address.map(|address| address.to_string()),
        connect_ms: seen.connect_ms.map(ms),
        first_byte_ms: seen.first_byte_ms.map(ms),
        response_headers: seen.response_headers.clone().map(storable),
        response_body: (!seen.response_body.is_empty()).then(|| seen.response_body.clone()),
    }
}
