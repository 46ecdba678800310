//! `POST /internal/overdue`: one process at a time hears what nobody seems to own any more.

use std::collections::{BTreeSet, HashSet};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use chassis::error_chain::Chain;
use chassis::{JsonBody, Problem};
use domain::ids::EventId;
use domain::ledger::{self, Delivery, Next, Step};
use domain::protocol::{Later, Overdue, OverdueQuery};

use super::{millis, next, order, storable};
use crate::app::{App, Core};
use crate::compose;

/// The lease of whoever reconciles: longer than its pause between two looks.
pub const LEASE_MS: i64 = 15_000;

/// What stands in line is moved one by one, and for so long: whoever asked gives up after 10 s, and what was moved would be
/// nobody's. The rest is found by the next look, at once.
const LOOK_PATIENCE: Duration = Duration::from_secs(4);

/// What is overdue, for the holder of the lease; nothing for anybody else.
pub async fn post(State(app): State<App>, JsonBody(query): JsonBody<OverdueQuery>) -> Result<Json<Overdue>, Problem> {
    look(&app.core, &storable(query.holder)).await.map(Json).map_err(|error| {
        tracing::warn!(error = %Chain(&error), "overdue work could not be looked for");
        Problem::unavailable()
    })
}

async fn look(core: &Core, holder: &str) -> Result<Overdue, store::Error> {
    let (pool, patience) = (&core.rare, &core.patience);
    if !store::ledger::take_lease(pool, "reconciler", holder, LEASE_MS).await? {
        return Ok(Overdue::default());
    }
    let limit = patience.sweep_limit;
    let full = |found: usize| i64::try_from(found).is_ok_and(|found| found >= limit);
    let events = unrouted(core).await?;
    let overdue = store::ledger::overdue(pool, millis(patience.overdue), limit).await?;
    let resumable = resumable(core).await?;
    let more = full(events.len()) || full(overdue.len()) || full(resumable.len());
    let held = store::ledger::long_held(pool, millis(patience.overdue), limit).await?;
    let mut more = more || full(held.len());
    let until = Instant::now() + LOOK_PATIENCE;
    let mut deliveries = Vec::new();
    for held in held.iter().filter(|held| held.may_go) {
        if Instant::now() >= until {
            more = true;
            break;
        }
        deliveries.extend(in_line(order::release(core, &held.delivery_id).await));
    }
    more |= !resume(core, &resumable, until, &mut deliveries).await?;
    // The last: a claim that is raised, and whose answer is lost, is found again after twice the time only.
    deliveries.extend(raise_claims(core, &overdue, ledger::take_over).await?);
    if !events.is_empty() || !deliveries.is_empty() {
        tracing::info!(events = events.len(), deliveries = deliveries.len(), more, "overdue work is sent anew");
    }
    Ok(Overdue { leads: true, events, deliveries, more })
}

/// Events that nobody has routed, oldest first, without those that were handed out lately.
async fn unrouted(core: &Core) -> Result<Vec<EventId>, store::Error> {
    let (pool, patience) = (&core.rare, &core.patience);
    let began = Instant::now();
    let (on_the_way, room) = {
        let mut handed_out = core.handed_out.lock().unwrap_or_else(PoisonError::into_inner);
        if handed_out.is_resting(began) {
            return Ok(Vec::new());
        }
        (handed_out.recent(patience.overtaken, began), handed_out.room(patience.sweep_limit))
    };
    let sweep = store::ledger::read_sweep(pool).await?;
    let (overtaken, any) = (millis(patience.overtaken), millis(patience.unrouted));
    // What is on the way is found again, and left out here.
    let limit = room.saturating_add(i64::try_from(on_the_way.len()).unwrap_or(i64::MAX));
    let mut found = store::ledger::unrouted(pool, &sweep, overtaken, any, limit).await?;
    found.extend(store::ledger::recovered_events(pool, limit).await?);
    found.retain(|id| !on_the_way.contains(id));
    found.truncate(usize::try_from(room).unwrap_or(usize::MAX));
    store::ledger::resolve_recovered(pool).await?;
    // Events that young are not looked for anyway, so the margin costs nothing.
    store::ledger::advance_sweep(pool, &sweep, overtaken).await?;
    {
        let mut handed_out = core.handed_out.lock().unwrap_or_else(PoisonError::into_inner);
        handed_out.add(&found, Instant::now());
        handed_out.rest_after(began.elapsed(), Instant::now());
    }
    let parsed = found.iter().filter_map(|id| {
        id.parse().map_err(|error| tracing::error!(event.id = id, %error, "domain_events has an id that is none")).ok()
    });
    Ok(parsed.collect::<BTreeSet<EventId>>().into_iter().collect())
}

/// Parked deliveries whose endpoint is enabled and has a secret that can be opened: others would be parked again.
async fn resumable(core: &Core) -> Result<Vec<String>, store::Error> {
    let parked_at = store::ledger::endpoints_with_parked(&core.rare).await?;
    if parked_at.is_empty() {
        return Ok(Vec::new());
    }
    let endpoints = store::ledger::endpoints_of(&core.recording, &[], &parked_at).await?;
    let usable = endpoints.into_iter().filter(|endpoint| compose::has_secret(&core.keyring, endpoint));
    let usable: Vec<String> = usable.map(|endpoint| endpoint.endpoint_id).collect();
    store::ledger::parked_at(&core.rare, &usable, core.patience.sweep_limit).await
}

/// Resumes parked deliveries; those in line take their place again. Answers whether all were done in time.
async fn resume(
    core: &Core,
    ids: &[String],
    until: Instant,
    deliveries: &mut Vec<Later>,
) -> Result<bool, store::Error> {
    if ids.is_empty() {
        return Ok(true);
    }
    let seen = store::ledger::deliveries(&core.recording, ids).await?;
    let (waiting, alone): (Vec<_>, Vec<_>) = seen.into_iter().partition(|seen| seen.in_line.is_some());
    let alone: Vec<String> = alone.into_iter().map(|seen| seen.delivery_id).collect();
    deliveries.extend(raise_claims(core, &alone, ledger::resume).await?);
    for seen in waiting {
        if Instant::now() >= until {
            return Ok(false);
        }
        deliveries.extend(in_line(order::resume(core, &seen.delivery_id).await));
    }
    Ok(true)
}

/// One that can't be moved now is looked at again.
fn in_line(moved: Result<Option<Later>, order::Error>) -> Option<Later> {
    moved.unwrap_or_else(|error| {
        tracing::warn!(error = %Chain(&error), "a delivery in line could not be moved");
        None
    })
}

/// Makes a new claim on each delivery for which `transition` has one. One that changed meanwhile is left alone.
async fn raise_claims(
    core: &Core,
    ids: &[String],
    transition: fn(Delivery) -> Option<Delivery>,
) -> Result<Vec<Later>, store::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let seen = store::ledger::deliveries(&core.recording, ids).await?;
    let rows: Vec<_> = seen
        .iter()
        // It may have been declined since it was found.
        .filter(|seen| !seen.declined)
        .filter_map(|seen| {
            let delivery = transition(next::as_delivery(seen, ""))?;
            let step = Step { delivery, reason: None, closed: None, next: Next::Wait(Duration::ZERO) };
            let mut row = next::step_row(seen, &step, None, Vec::new());
            row.keeps_in_flight = delivery.in_flight.is_some();
            Some(row)
        })
        .collect();
    let claims: Vec<(String, i32)> = rows.iter().map(|row| (row.delivery_id.clone(), row.claim)).collect();
    let written = store::ledger::write_steps(&core.recording, rows).await?;
    let written: HashSet<String> = written.into_iter().map(|written| written.delivery_id).collect();
    let later = claims.into_iter().filter(|(id, _)| written.contains(id)).filter_map(|(id, claim)| {
        Some(Later { delivery_id: id.parse().ok()?, claim: claim.unsigned_abs(), delay_ms: 0 })
    });
    Ok(later.collect())
}
