//! Shows webhooks as they arrive: two bars and a line now and then on a terminal, else a line each second.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use verifier::account::Endpoint;
use verifier::simulator::{Arrival, Simulator};

use crate::doors::WITHIN;
use crate::progress::Progress;

/// How often the simulator is asked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A line for an arrival at most so often: faster could not be read.
const LINE_EVERY: Duration = Duration::from_millis(125);
/// Where nobody watches, a line at most so often.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(1);
const PAGE: usize = 1_000;

/// Follows what the endpoints of a load accept.
pub(super) struct Watch<'a> {
    cursors: Vec<Cursor<'a>>,
    simulator: Simulator,
    progress: &'a Progress,
    acknowledged: &'a ProgressBar,
    arrived: ProgressBar,
    last_line: Option<Instant>,
}

struct Cursor<'a> {
    endpoint: &'a Endpoint,
    number: usize,
    after: usize,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        endpoints: &'a [Endpoint],
        simulator: Simulator,
        progress: &'a Progress,
        acknowledged: &'a ProgressBar,
    ) -> Self {
        let cursor = |(n, endpoint)| Cursor { endpoint, number: n + 1, after: 0 };
        let cursors = endpoints.iter().enumerate().map(cursor).collect();
        let arrived = progress.bar("arrived");
        Self { cursors, simulator, progress, acknowledged, arrived, last_line: None }
    }

    /// Returns when everything acknowledged has arrived, or `deadline` after the moment in `done_at`.
    pub(super) async fn follow(&mut self, done_at: &Cell<Option<Instant>>, deadline: Duration) -> anyhow::Result<()> {
        loop {
            // Read before the look: what is acknowledged later is for the next one.
            let (done, acknowledged) = (done_at.get(), self.acknowledged.position());
            self.arrived.set_length(self.acknowledged.length().unwrap_or_default());
            self.look().await?;
            let all_there = self.arrived.position() >= acknowledged;
            if done.is_some_and(|at| all_there || at.elapsed() >= deadline) {
                self.say_counts();
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        for cursor in &mut self.cursors {
            let page = self.simulator.arrivals(cursor.endpoint.endpoint_id, cursor.after, PAGE, WITHIN).await?;
            cursor.after = page.next;
            self.arrived.inc(u64::try_from(page.arrivals.len())?);
            let every = if self.progress.is_watched() { LINE_EVERY } else { PLAIN_LINE_EVERY };
            let is_due = self.last_line.is_none_or(|last| last.elapsed() >= every);
            if let Some(arrival) = page.arrivals.last().filter(|_| is_due) {
                self.last_line = Some(Instant::now());
                let (arrived, line) = (self.arrived.position(), line(cursor.number, arrival));
                if self.progress.is_watched() {
                    self.progress.say(&line);
                } else {
                    self.progress.say(&format!("{arrived:>6} arrived, the last: {}", line.trim_start()));
                }
            }
        }
        Ok(())
    }

    fn say_counts(&self) {
        let (acknowledged, arrived) = (self.acknowledged.position(), self.arrived.position());
        self.progress.say(&format!("{acknowledged} changes acknowledged, {arrived} webhooks arrived"));
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.arrived.finish_and_clear();
    }
}

/// What arrived where, and how long after it happened.
fn line(merchant: usize, arrival: &Arrival) -> String {
    let event_type = arrival.event_type.as_deref().unwrap_or("?");
    let payment_id = arrival.payment_id.as_deref().unwrap_or("?");
    let micros = arrival.occurred_at.map(|at| arrival.first_at.unix_micros() - at.unix_micros());
    let after = micros.map_or_else(String::new, |micros| format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100));
    format!("  merchant {merchant}  {event_type:<24} {payment_id}  {after:>10}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_arrived_where_and_how_long_it_took() {
        let arrival: Arrival = serde_json::from_value(serde_json::json!({
            "webhook_id": "evt_1", "payment_id": "pay_1", "event_type": "payment.succeeded", "event_version": 3,
            "object_version": 3, "occurred_at": "2026-11-23T20:00:00.000000Z", "observed_at": null, "reference": null,
            "first_at": "2026-11-23T20:00:00.007250Z", "repeats": [], "attempts_seen": 1,
        }))
        .unwrap();
        assert_eq!(line(4, &arrival), "  merchant 4  payment.succeeded        pay_1      7.2 ms");
    }
}
