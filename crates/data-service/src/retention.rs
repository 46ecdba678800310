//! Drops the days that are older than they are kept for, and says which were kept, and why.

use std::collections::{HashMap, HashSet};

use chassis::error_chain::Chain;
use store::PgPool;
use store::retention::{Ages, Day, Fate, Why};

use crate::app::App;

/// One look; answers whether all was dropped that may be.
pub async fn drop_old_days(app: &App, ages: Ages) -> bool {
    match look(&app.core.rare, ages).await {
        Ok(is_whole) => is_whole,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "old days could not be dropped");
            false
        }
    }
}

async fn look(pool: &PgPool, ages: Ages) -> Result<bool, store::Error> {
    // First, so that nobody routes what is about to go.
    if store::retention::move_horizon(pool, ages.events).await? {
        tracing::info!(keep_events = ?ages.events, "the horizon was moved up");
    }
    let mut kept: HashMap<(String, Why), Vec<Day>> = HashMap::new();
    let mut busy = HashSet::new();
    for day in store::retention::old_days(pool, ages).await? {
        // Whoever uses the table now uses it for the next day, too, and payments wait behind each try.
        if busy.contains(&day.table) {
            continue;
        }
        match store::retention::drop_day(pool, &day, ages).await? {
            Some(Fate::Dropped) => tracing::info!(table = day.table, day = %day.day, "dropped a day"),
            Some(Fate::Kept(why)) => {
                if why == Why::Busy {
                    busy.insert(day.table.clone());
                }
                kept.entry((day.table.clone(), why)).or_default().push(day);
            }
            None => {}
        }
    }
    for ((table, why), days) in kept {
        let (Some(first), Some(last)) = (days.first(), days.last()) else { continue };
        let (days, oldest, newest, reason) = (days.len(), first.day, last.day, why.as_str());
        match why {
            Why::AboveHorizon | Why::Unrouted | Why::Unfinished => {
                tracing::warn!(table, days, %oldest, %newest, reason, "old days are kept");
            }
            Why::EventsKept | Why::DeliveriesKept | Why::Busy => {
                tracing::info!(table, days, %oldest, %newest, reason, "old days are kept");
            }
        }
    }
    Ok(busy.is_empty())
}
