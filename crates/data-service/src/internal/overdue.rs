//! `POST /internal/overdue`: one process at a time hears what nobody seems to own any more.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use chassis::error_chain::Chain;
use chassis::{JsonBody, Problem};
use domain::ids::EventId;
use domain::ledger::{self, Delivery, Next, Step};
use domain::protocol::{Later, Overdue, OverdueQuery};

use super::{millis, next};
use crate::app::{App, Core};

/// The lease of whoever reconciles: longer than its pause between two looks.
const LEASE_MS: i64 = 15_000;

/// What is overdue, for the holder of the lease; nothing for anybody else.
pub async fn post(State(app): State<App>, JsonBody(query): JsonBody<OverdueQuery>) -> Result<Json<Overdue>, Problem> {
    look(&app.core, &query.holder).await.map(Json).map_err(|error| {
        tracing::warn!(error = %Chain(&error), "overdue work could not be looked for");
        Problem::unavailable()
    })
}

async fn look(core: &Core, holder: &str) -> Result<Overdue, store::Error> {
    let (pool, patience) = (&core.durable, &core.patience);
    if !store::ledger::take_lease(pool, "reconciler", holder, LEASE_MS).await? {
        return Ok(Overdue::default());
    }
    let limit = patience.sweep_limit;
    let sweep = store::ledger::read_sweep(pool).await?;
    let (overtaken, unrouted) = (millis(patience.overtaken), millis(patience.unrouted));
    let mut events = store::ledger::unrouted(pool, &sweep, overtaken, unrouted, limit).await?;
    events.extend(store::ledger::recovered_events(pool, limit).await?);
    store::ledger::resolve_recovered(pool).await?;
    store::ledger::advance_sweep(pool, &sweep).await?;

    let overdue = store::ledger::overdue(pool, millis(patience.overdue), limit).await?;
    let resumable = store::ledger::resumable(pool, limit).await?;
    let full = |found: usize| i64::try_from(found).is_ok_and(|found| found >= limit);
    let more = full(events.len()) || full(overdue.len()) || full(resumable.len());
    let mut deliveries = raise_claims(core, &overdue, ledger::take_over).await?;
    deliveries.extend(raise_claims(core, &resumable, ledger::resume).await?);

    let distinct: HashSet<EventId> = events.iter().filter_map(|id| id.parse().ok()).collect();
    if !distinct.is_empty() || !deliveries.is_empty() {
        tracing::info!(events = distinct.len(), deliveries = deliveries.len(), more, "overdue work is sent anew");
    }
    Ok(Overdue { leads: true, events: distinct.into_iter().collect(), deliveries, more })
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
    let seen = store::ledger::deliveries(&core.durable, ids).await?;
    let rows: Vec<_> = seen
        .iter()
        .filter_map(|seen| {
            let delivery = transition(next::as_delivery(seen, ""))?;
            let step = Step { delivery, reason: None, closed: None, next: Next::Wait(std::time::Duration::ZERO) };
            let mut row = next::step_row(seen, &step, None, Vec::new());
            row.keeps_in_flight = delivery.in_flight.is_some();
            Some(row)
        })
        .collect();
    let written = store::ledger::write_steps(&core.durable, &rows).await?;
    let later = rows.iter().filter(|row| written.contains(&row.delivery_id)).filter_map(|row| {
        Some(Later { delivery_id: row.delivery_id.parse().ok()?, claim: row.claim.unsigned_abs(), delay_ms: 0 })
    });
    Ok(later.collect())
}
