//! Asks the portal what was delivered, and reads the files until all of it is there.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use chassis::backoff::Backoff;
use domain::ids::EventId;
use domain::time::Timestamp;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use tokio::time::Instant;

use super::{Judgement, Ledger, Options, judge};
use crate::AT_A_TIME;
use crate::portal::Portal;
use crate::spans::Spans;
use crate::traces::ledger::Event;

/// What is looked at, and for how long.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Files of spans.
    pub files: Vec<PathBuf>,
    /// Events that occurred then or later,
    pub from: Timestamp,
    /// and before.
    pub to: Timestamp,
    /// How long the files are read again until all is there.
    pub wait: Duration,
    /// For each question to the portal.
    pub within: Duration,
}

/// The events of a window that were delivered to at least one endpoint.
///
/// # Errors
/// If the portal gives no answer in time.
pub async fn gather(
    portal: &Portal,
    from: Timestamp,
    to: Timestamp,
    within: Duration,
    progress: &ProgressBar,
) -> anyhow::Result<Ledger> {
    let event_ids = portal.fanned_out(from, to, within).await?;
    progress.set_length(u64::try_from(event_ids.len())?);
    let events = events(portal, event_ids, within, progress).await?;
    Ok(Ledger { events: events.into_iter().filter(Event::is_delivered).collect() })
}

async fn events(
    portal: &Portal,
    event_ids: Vec<EventId>,
    within: Duration,
    progress: &ProgressBar,
) -> anyhow::Result<Vec<Event>> {
    let asked = stream::iter(event_ids).map(async |event_id| {
        let event = portal.event(event_id, within).await;
        progress.inc(1);
        event
    });
    asked.buffered(AT_A_TIME).try_collect().await
}

impl Watch {
    /// The judgement: the first that finds nothing wrong, or the last before the time is over.
    ///
    /// # Errors
    /// If the portal gives no answer in time, or a file can't be read.
    pub async fn judge(&self, portal: &Portal, options: Options, progress: &ProgressBar) -> anyhow::Result<Judgement> {
        let deadline = Instant::now() + self.wait;
        let mut ledger = gather(portal, self.from, self.to, self.within, progress).await?;
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            let judgement = judge(&Spans::read(&self.files)?, &ledger, options);
            // What is said can't be unsaid, and what is not there can't be waited for.
            let is_final = judgement.is_well || judgement.events == 0 || judgement.faulty.is_empty();
            if is_final || Instant::now() >= deadline {
                return Ok(judgement);
            }
            tokio::time::sleep_until(deadline.min(Instant::now() + backoff.next_wait())).await;
            // An attempt may have been under way.
            let faulty = judgement.faulty.iter().map(|faulty| faulty.event_id).collect();
            let again = events(portal, faulty, self.within, &ProgressBar::hidden()).await?;
            let mut again: HashMap<EventId, Event> = again.into_iter().map(|event| (event.event_id, event)).collect();
            for event in &mut ledger.events {
                if let Some(now) = again.remove(&event.event_id) {
                    *event = now;
                }
            }
        }
    }
}
