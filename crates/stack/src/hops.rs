//! The time that each hop of the way takes: what the portal, the simulator and cdc-relay know, in one table.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use verifier::account::Account;
use verifier::door::Door;
use verifier::latency::{Durations, Spread, hops_of};
use verifier::simulator::Arrival;

use crate::doors::{Doors, WITHIN};

/// The spread of each hop, and of the whole way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hops {
    /// From the commit to its capture from the WAL. This and the next are cdc-relay's word for its last records, as
    /// many as the account has, at most ten thousand.
    pub commit_to_captured: Spread,
    /// From there to Kafka's acknowledgement.
    pub captured_to_kafka: Spread,
    /// From the capture, through Kafka and Restate, to the durable handler. The record's own time is the capture,
    /// which Kafka keeps to the millisecond: half a millisecond more than it was, on average.
    pub captured_to_handler: Spread,
    /// From there, with the ledger and the fresh payload, to the arrival.
    pub handler_to_arrival: Spread,
    /// From the commit to the arrival.
    pub commit_to_arrival: Spread,
    /// From the moment that the API was to be asked to the arrival.
    pub api_to_arrival: Spread,
}

/// What cdc-relay says of itself, as far as it is read here.
#[derive(Debug, Deserialize)]
struct RelayStatus {
    capture_seconds: Option<RelayPercentiles>,
    produce_seconds: Option<RelayPercentiles>,
}

#[derive(Debug, Deserialize)]
struct RelayPercentiles {
    p50: f64,
    p95: f64,
    p99: f64,
    values: usize,
}

impl Hops {
    /// Asks the portal and cdc-relay, and joins what they say with what arrived.
    ///
    /// # Errors
    /// If one of them gives no answer in time, or the account acknowledges nothing.
    pub async fn of<'a>(
        doors: &Doors,
        account: &Account,
        arrivals: impl IntoIterator<Item = &'a Arrival>,
    ) -> anyhow::Result<Self> {
        let relay = Door::new("cdc-relay", &doors.relay, None, Duration::from_secs(5))?;
        let status: RelayStatus = relay.get(&format!("status?last={}", account.acknowledged.len()), WITHIN).await?;
        let hops = hops_of(account, &doors.portal()?, WITHIN).await?;
        let latency = Durations::join(account, arrivals, &hops).spread();
        Ok(Self {
            commit_to_captured: spread(status.capture_seconds),
            captured_to_kafka: spread(status.produce_seconds),
            captured_to_handler: latency.captured_to_handler,
            handler_to_arrival: latency.handler_to_arrival,
            commit_to_arrival: latency.commit_to_arrival,
            api_to_arrival: latency.api_to_arrival,
        })
    }

    /// Each hop with its name, in the order of the way; then the whole.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, Spread); 6] {
        [
            ("commit → captured", self.commit_to_captured),
            ("captured → in Kafka", self.captured_to_kafka),
            ("captured → handler", self.captured_to_handler),
            ("handler → arrival", self.handler_to_arrival),
            ("commit → arrival", self.commit_to_arrival),
            ("API call → arrival", self.api_to_arrival),
        ]
    }
}

fn spread(relay: Option<RelayPercentiles>) -> Spread {
    let Some(RelayPercentiles { p50, p95, p99, values }) = relay else { return Spread::of(Vec::new()) };
    let [p50_ms, p95_ms, p99_ms] = [p50, p95, p99].map(|seconds| Some(seconds * 1_000.0));
    Spread { count: values, p50_ms, p95_ms, p99_ms, p99_9_ms: None, max_ms: None }
}

impl fmt::Display for Hops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<20} {:>10} {:>10} {:>10} {:>9}", "time per hop, in ms", "p50", "p95", "p99", "measured")?;
        for (name, spread) in self.rows() {
            let [p50, p95, p99] = [spread.p50_ms, spread.p95_ms, spread.p99_ms].map(ms);
            write!(f, "\n{name:<20} {p50:>10} {p95:>10} {p99:>10} {:>9}", spread.count)?;
        }
        Ok(())
    }
}

/// Milliseconds to the tenth; a dash where nothing is known.
#[must_use]
pub fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_row_for_each_hop_and_a_dash_for_what_nobody_measured() {
        let spread = |ms: i64| Spread::of(vec![ms * 1_000]);
        let hops = Hops {
            commit_to_captured: spread(1),
            captured_to_kafka: Spread::of(Vec::new()),
            captured_to_handler: spread(3),
            handler_to_arrival: spread(4),
            commit_to_arrival: spread(8),
            api_to_arrival: spread(12),
        };
        let table = hops.to_string();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 7);
        assert_eq!(lines[1], "commit → captured           1.0        1.0        1.0         1");
        assert_eq!(lines[2], "captured → in Kafka           –          –          –         0");
        assert_eq!(lines[6], "API call → arrival         12.0       12.0       12.0         1");
    }
}
