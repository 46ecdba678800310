//! What attempts come to, as metrics.

use std::time::Duration;

use chassis::metrics::{Counter, Histogram, KeyValue, LATENCIES, meter};
use domain::outcome::Outcome;
use domain::protocol::{Attempt, Recorded};
use domain::time::Timestamp;

/// Counts the attempts of this process.
#[derive(Debug, Clone)]
pub struct Counts {
    attempts: Counter<u64>,
    duration: Histogram<f64>,
    commit_to_arrival: Histogram<f64>,
}

impl Counts {
    /// Of a process that has started its metrics.
    pub fn new() -> Self {
        let meter = meter();
        let seconds = |name, what| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(what);
            histogram.with_boundaries(LATENCIES.to_vec()).build()
        };
        let counts = Self {
            attempts: meter
                .u64_counter("everhook.delivery.attempts")
                .with_unit("{attempt}")
                .with_description("attempts that have ended, by outcome")
                .build(),
            duration: seconds("everhook.delivery.attempt.duration", "from the beginning of an attempt to its end"),
            commit_to_arrival: seconds(
                "everhook.delivery.commit_to_arrival",
                "from the commit until the receiver has accepted it, by whether the first attempt was enough",
            ),
        };
        // What is missing from the first scrape is missing from every rate.
        counts.attempts.add(0, &[KeyValue::new("outcome", Outcome::Delivered { disable: false }.as_str())]);
        counts
    }

    /// An attempt has ended so, just now.
    pub fn posted(&self, attempt: &Attempt, result: &Recorded) {
        self.attempts.add(1, &[KeyValue::new("outcome", result.outcome.as_str())]);
        self.duration.record(Duration::from_millis(result.duration_ms).as_secs_f64(), &[]);
        if let (Outcome::Delivered { .. }, Some(committed_at)) = (&result.outcome, attempt.committed_at) {
            let since = Timestamp::from(time::OffsetDateTime::now_utc()).since(committed_at);
            let which = if attempt.attempt == 1 { "first" } else { "later" };
            self.commit_to_arrival.record(since.as_secs_f64(), &[KeyValue::new("attempt", which)]);
        }
    }
}
