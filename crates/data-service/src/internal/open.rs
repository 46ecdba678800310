//! `POST /internal/open`: routes events that nobody has routed, and begins their first attempts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use chassis::JsonBody;
use chassis::error_chain::Chain;
use domain::ledger::SHORTEST_WAIT;
use domain::protocol::{Answer, Ask, Later, Open, Opened};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use store::ledger::{Endpoint, Event, Route, Routed};

use super::first_time::{Before, Draft, Drawn, drafts, draw, is_in_line, wants};
use super::gates::{self, Timed, Wanted};
use super::order::OpenedInLine;
use super::spans::{Spans, trace_id};
use super::{answers_in_time, firsts, next, order, spans, storable};
use crate::app::{App, Core};

/// One answer for each item, in order.
pub async fn post(State(app): State<App>, JsonBody(items): JsonBody<Vec<Open>>) -> Json<Vec<Opened>> {
    let storable = |item: Open| Open { invocation_id: storable(item.invocation_id), ..item };
    let answers = answers_in_time(items.into_iter().map(|item| app.opens.call(storable(item)))).await;
    Json(answers.into_iter().map(|answer| answer.map_or(Opened::Failed, Timed::<Opened>::settled)).collect())
}

/// Opens a batch. A failure of the database fails what is left of it; each item is then asked for again.
pub async fn run(core: Arc<Core>, items: Vec<Open>) -> Vec<Timed<Opened>> {
    let own = &*core;
    let portion = |items| async move { open(own, items).await.map(Timed::now) }.boxed();
    let failed = || Timed::one(Opened::Failed);
    own.portions.opens.answers(&items, "events could not be opened", failed, portion).await
}

/// What is known of an item.
enum Stage {
    Answered(Opened),
    /// If nobody has routed the event, `route` does, and this is the answer.
    Routes(Opened),
    /// Only what was routed before is answered.
    BeforeHorizon,
}

async fn open(core: &Core, items: &[Open]) -> Result<Vec<Opened>, store::Error> {
    let since = SystemTime::now();
    let ids: Vec<String> = items.iter().map(|item| item.event_id.to_string()).collect();
    let events: HashMap<String, Event> =
        store::ledger::events(&core.fast, &ids).await?.into_iter().map(|e| (e.event_id.clone(), e)).collect();
    let endpoints = endpoints_of(core, &events).await?;
    // Below the horizon, events are dropped: what is not there is not unknown.
    let horizon = match ids.iter().all(|id| events.contains_key(id)) {
        true => None,
        false => Some(store::ledger::read_horizon(&core.fast).await?),
    };

    let mut drawn = Vec::new();
    let mut in_line = Vec::new();
    let mut stages = Vec::with_capacity(items.len());
    for ((item, id), first) in items.iter().zip(&ids).zip(firsts(items, |item| item.event_id)) {
        stages.push(match events.get(id) {
            _ if !first => Stage::Answered(Opened::Failed),
            None if horizon.as_ref().is_some_and(|horizon| id < horizon) => Stage::BeforeHorizon,
            None => Stage::Answered(Opened::UnknownEvent),
            Some(event) if event.before_horizon => Stage::BeforeHorizon,
            Some(event) => {
                let endpoints = endpoints.get(&event.merchant_id).map(Vec::as_slice).unwrap_or_default();
                if endpoints.iter().any(|endpoint| is_in_line(endpoint, event) && wants(endpoint, event)) {
                    in_line.push((stages.len(), item, event, endpoints));
                } else {
                    let drafts = drafts(core, item, event, endpoints, |_| Before::Earlier(Vec::new()));
                    drawn.push((stages.len(), item, event, drafts));
                }
                Stage::Answered(Opened::Failed)
            }
        });
    }
    // A duplicate must reserve nothing, and lock no line: far behind, most in line were routed along with a later one.
    let at_a_gate = drawn.iter().filter(|(_, _, _, drafts)| drafts.iter().any(Draft::is_at_a_gate));
    let at_a_gate = at_a_gate.map(|(_, _, event, _)| event.event_id.clone());
    let asked: Vec<String> = at_a_gate.chain(in_line.iter().map(|(_, _, event, _)| event.event_id.clone())).collect();
    if !asked.is_empty() {
        let routed = store::ledger::routed(&core.fast, &asked).await?;
        let routed: HashSet<String> = routed.into_iter().map(|routed| routed.event_id).collect();
        let mut is_new = |index: usize, event: &Event| {
            let is_new = !routed.contains(&event.event_id);
            if !is_new {
                stages[index] = Stage::Routes(Opened::Failed);
            }
            is_new
        };
        drawn.retain(|(index, _, event, _)| is_new(*index, event));
        in_line.retain(|(index, _, event, _)| is_new(*index, event));
    }
    let wanted: Vec<Wanted<'_>> =
        drawn.iter().flat_map(|(_, item, _, drafts)| drafts.iter().filter_map(|draft| draft.wanted(item))).collect();
    let mut admitted = gates::admit(core, &wanted).await?;
    let mut routes = Vec::with_capacity(drawn.len());
    for (index, item, event, drafts) in drawn {
        match draw(core, item, event, drafts, &mut admitted) {
            Ok(Drawn { route, attempts, later }) => {
                routes.push(route);
                stages[index] = Stage::Routes(Opened::Deliveries { attempts, later });
            }
            Err(error) => {
                tracing::error!(trace_id = trace_id(event), event.id = event.event_id, error = %Chain(&error), "a webhook could not be composed");
            }
        }
    }
    let fan_out: HashMap<String, usize> =
        routes.iter().map(|route| (route.event_id.clone(), route.deliveries.len())).collect();
    let mut won = win(core, routes).await?;
    let mut spans = Spans::default();
    for (item, id) in items.iter().zip(&ids).filter(|(_, id)| won.contains(*id)) {
        if let (Some(event), Some(deliveries)) = (events.get(id), fan_out.get(id)) {
            spans::routed(&mut spans, core, item, event, *deliveries);
        }
    }
    for stage in &mut stages {
        if let Stage::Routes(Opened::Deliveries { attempts, .. }) = stage {
            attempts.iter_mut().for_each(|attempt| admitted.settle(attempt));
        }
    }
    let opened = join_all(in_line.iter().map(|(_, item, event, at)| order::open(core, item, event, at))).await;
    for ((index, _, event, _), opened) in in_line.into_iter().zip(opened) {
        match opened {
            Ok(OpenedInLine { won: is_won, attempts, later }) => {
                won.extend(is_won.then(|| event.event_id.clone()));
                stages[index] = Stage::Routes(Opened::Deliveries { attempts, later });
            }
            Err(error) => {
                tracing::warn!(trace_id = trace_id(event), event.id = event.event_id, error = %Chain(&error), "an event in line could not be opened");
            }
        }
    }
    let in_order = |id: &String| {
        let event = events.get(id)?;
        endpoints.get(&event.merchant_id)?.iter().any(|endpoint| endpoint.order.is_in_line()).then_some(event)
    };
    for (_, stage) in ids.iter().zip(&stages).filter(|(id, _)| won.contains(*id)) {
        if let Stage::Routes(Opened::Deliveries { attempts, .. }) = stage {
            attempts.iter().for_each(|attempt| spans::read(&mut spans, attempt, since));
        }
    }
    drop(spans);
    answer(core, items, ids.into_iter().zip(stages), &won, in_order).await
}

/// The endpoints of the merchants whose events are to be routed.
async fn endpoints_of(
    core: &Core,
    events: &HashMap<String, Event>,
) -> Result<HashMap<String, Vec<Endpoint>>, store::Error> {
    let merchants: HashSet<&String> =
        events.values().filter(|event| !event.before_horizon).map(|event| &event.merchant_id).collect();
    let mut endpoints: HashMap<String, Vec<Endpoint>> = HashMap::new();
    if !merchants.is_empty() {
        let merchants: Vec<String> = merchants.into_iter().cloned().collect();
        for endpoint in store::ledger::endpoints_of(&core.fast, &merchants, &[]).await? {
            endpoints.entry(endpoint.merchant_id.clone()).or_default().push(endpoint);
        }
    }
    Ok(endpoints)
}

/// Which of these events were routed by this call.
async fn win(core: &Core, routes: Vec<Route>) -> Result<HashSet<String>, store::Error> {
    match routes.is_empty() {
        true => Ok(HashSet::new()),
        false => Ok(store::ledger::route(&core.fast, routes).await?.into_iter().collect()),
    }
}

/// Whoever did not route the event is answered by what is on the ledger.
/// `in_order` gives an event whose merchant has an endpoint that wants order.
async fn answer<'a>(
    core: &Core,
    items: &[Open],
    stages: impl Iterator<Item = (String, Stage)>,
    won: &HashSet<String>,
    in_order: impl Fn(&String) -> Option<&'a Event>,
) -> Result<Vec<Opened>, store::Error> {
    let mut answers = Vec::with_capacity(items.len());
    let mut open = Vec::new();
    for (id, stage) in stages {
        answers.push(match stage {
            Stage::Answered(answer) => answer,
            Stage::Routes(answer) if won.contains(&id) => answer,
            Stage::Routes(_) => {
                open.push((answers.len(), id));
                Opened::Failed
            }
            Stage::BeforeHorizon => {
                open.push((answers.len(), id));
                Opened::BeforeHorizon
            }
        });
    }
    if open.is_empty() {
        return Ok(answers);
    }
    let ids: Vec<String> = open.iter().map(|(_, id)| id.clone()).collect();
    let routed: HashMap<String, Routed> =
        store::ledger::routed(&core.fast, &ids).await?.into_iter().map(|r| (r.event_id.clone(), r)).collect();
    let mut asks = Vec::new();
    for (index, id) in open {
        if let Some(routed) = routed.get(&id) {
            // Somebody else's: a duplicate ends here.
            answers[index] = Opened::Deliveries { attempts: Vec::new(), later: Vec::new() };
            if routed.invocation_id == items[index].invocation_id {
                if let Some(event) = in_order(&id) {
                    let along = order::routed_along(core, event, &routed.invocation_id).await?;
                    asks.extend(along.iter().flat_map(own_asks).map(|ask| (index, ask)));
                }
                asks.extend(own_asks(routed).into_iter().map(|ask| (index, ask)));
            }
        }
    }
    again(core, asks, &mut answers).await;
    Ok(answers)
}

/// The same invocation asks again: it died in between, and gets its own deliveries under its own claim.
fn own_asks(routed: &Routed) -> Vec<Ask> {
    let ask = |id: &String| match id.parse() {
        Ok(delivery_id) => {
            Some(Ask { delivery_id, claim: 1, invocation_id: routed.invocation_id.clone(), busy: Vec::new() })
        }
        Err(error) => {
            tracing::error!(event.id = routed.event_id, %error, "routed_events names a delivery whose id is none");
            None
        }
    };
    routed.delivery_ids.iter().filter_map(ask).collect()
}

/// Advances the deliveries of all who ask again together, each for the answer at its index.
async fn again(core: &Core, asks: Vec<(usize, Ask)>, answers: &mut [Opened]) {
    if asks.is_empty() {
        return;
    }
    let (indexes, asks): (Vec<usize>, Vec<Ask>) = asks.into_iter().unzip();
    let steps = match next::steps(core, &asks).await {
        Ok(steps) => steps,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), deliveries = asks.len(), "attempts could not be begun again");
            indexes.into_iter().for_each(|index| answers[index] = Opened::Failed);
            return;
        }
    };
    for ((index, ask), step) in indexes.into_iter().zip(asks).zip(steps) {
        let Opened::Deliveries { attempts, later } = &mut answers[index] else { continue };
        match step {
            Answer::Attempt(attempt) => attempts.push(*attempt),
            Answer::Later(back) => later.push(back),
            Answer::Stop { successors, .. } => later.extend(successors),
            // Its siblings are begun: were the whole event asked for again, they would be taken for dead.
            Answer::Failed => later.push(Later {
                delivery_id: ask.delivery_id,
                claim: ask.claim,
                delay_ms: u64::try_from(SHORTEST_WAIT.as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }
}
