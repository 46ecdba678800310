//! How long each hop of the way took, by joining the account, the arrivals and the portal's hops.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use domain::ids::PaymentId;
use domain::time::Timestamp;
use serde::Serialize;

use crate::account::Account;
use crate::now;
use crate::portal::{Hop, Portal};
use crate::simulator::Arrival;

/// The distribution of a list of durations, in milliseconds; none of an empty list, or where it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// How many durations.
    pub count: usize,
    /// Half of them took no longer.
    pub p50_ms: Option<f64>,
    /// 95 of a hundred took no longer.
    pub p95_ms: Option<f64>,
    /// 99 of a hundred took no longer.
    pub p99_ms: Option<f64>,
    /// 999 of a thousand took no longer.
    pub p99_9_ms: Option<f64>,
    /// None took longer.
    pub max_ms: Option<f64>,
}

/// Durations in microseconds, one for each arrival whose both ends are known (for each event, where both ends
/// lie before the arrival). They may be negative by the little that two clocks differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durations {
    /// From the moment that the request was due to the arrival.
    pub api_to_arrival: Vec<i64>,
    /// From the commit to the arrival.
    pub commit_to_arrival: Vec<i64>,
    /// From the commit to its capture from the WAL.
    pub commit_to_captured: Vec<i64>,
    /// From there to the durable handler.
    pub captured_to_handler: Vec<i64>,
    /// From there to the arrival.
    pub handler_to_arrival: Vec<i64>,
}

/// The spread of each hop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// From the moment that the request was due to the arrival.
    pub api_to_arrival: Spread,
    /// From the commit to the arrival.
    pub commit_to_arrival: Spread,
    /// From the commit to its capture from the WAL.
    pub commit_to_captured: Spread,
    /// From there to the durable handler.
    pub captured_to_handler: Spread,
    /// From there to the arrival.
    pub handler_to_arrival: Spread,
}

impl Spread {
    /// The spread of durations in microseconds, exactly: by nearest rank in the sorted list.
    #[must_use]
    pub fn of(mut micros: Vec<i64>) -> Self {
        micros.sort_unstable();
        let rank = |thousandths: usize| {
            let index = (micros.len() * thousandths).div_ceil(1_000).checked_sub(1)?;
            micros.get(index).map(|micros| to_ms(*micros))
        };
        Self {
            count: micros.len(),
            p50_ms: rank(500),
            p95_ms: rank(950),
            p99_ms: rank(990),
            p99_9_ms: rank(999),
            max_ms: rank(1_000),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.p50_ms, self.p95_ms, self.p99_ms, self.max_ms) {
            (Some(p50), Some(p95), Some(p99), Some(max)) => {
                write!(
                    f,
                    "p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms, max {max:.1} ms ({} measured)",
                    self.count
                )
            }
            _ => f.write_str("nothing measured"),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration of a test is far below 2^52 microseconds")]
fn to_ms(micros: i64) -> f64 {
    micros as f64 / 1_000.0
}

impl Durations {
    /// Joins acknowledgements, arrivals and hops by payment and version.
    #[must_use]
    pub fn join<'a>(account: &Account, arrivals: impl IntoIterator<Item = &'a Arrival>, hops: &[Hop]) -> Self {
        let due: HashMap<_, _> =
            account.acknowledged.iter().map(|ack| ((ack.payment_id, ack.version), ack.scheduled_at)).collect();
        let by_change: HashMap<_, _> = hops.iter().map(|hop| ((hop.payment_id, hop.object_version), hop)).collect();
        let mut all = Self::default();
        for hop in hops.iter().filter(|hop| due.contains_key(&(hop.payment_id, hop.object_version))) {
            all.commit_to_captured.extend(between(hop.committed_at, hop.captured_at));
            all.captured_to_handler.extend(between(hop.captured_at, hop.handled_at));
        }
        for arrival in arrivals {
            let Some(change) = change_of(arrival) else { continue };
            let Some(due) = due.get(&change) else { continue };
            let first_at = Some(arrival.first_at);
            all.api_to_arrival.extend(between(Some(*due), first_at));
            if let Some(hop) = by_change.get(&change) {
                all.commit_to_arrival.extend(between(hop.committed_at, first_at));
                all.handler_to_arrival.extend(between(hop.handled_at, first_at));
            }
        }
        all
    }

    /// The spread of each list.
    #[must_use]
    pub fn spread(self) -> Latency {
        Latency {
            api_to_arrival: Spread::of(self.api_to_arrival),
            commit_to_arrival: Spread::of(self.commit_to_arrival),
            commit_to_captured: Spread::of(self.commit_to_captured),
            captured_to_handler: Spread::of(self.captured_to_handler),
            handler_to_arrival: Spread::of(self.handler_to_arrival),
        }
    }
}

/// The hops of everything that the account acknowledges.
///
/// # Errors
/// If the account acknowledges nothing, or the portal gives no answer in time.
pub async fn hops_of(account: &Account, portal: &Portal, within: Duration) -> anyhow::Result<Vec<Hop>> {
    let first = account.acknowledged.iter().map(|ack| ack.requested_at).min();
    let first = first.context("the account acknowledges nothing")?;
    // Events carry the database's clock: a minute is more than it may differ from ours.
    let from = Timestamp::from_unix_micros(first.unix_micros() - 60_000_000).unwrap_or(first);
    portal.hops(from, now().after(Duration::from_secs(60)), within).await
}

/// The change that an arrival speaks of, if it names one.
pub(crate) fn change_of(arrival: &Arrival) -> Option<(PaymentId, i64)> {
    Some((arrival.payment_id.as_deref()?.parse().ok()?, arrival.event_version?))
}

fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<i64> {
    Some(to?.unix_micros() - from?.unix_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_ranks_of_the_sorted_list() {
        let spread = Spread::of((1..=200).rev().map(|ms| ms * 1_000).collect());
        assert_eq!(spread.count, 200);
        let shown = [spread.p50_ms, spread.p95_ms, spread.p99_ms, spread.p99_9_ms, spread.max_ms];
        assert_eq!(shown, [100.0, 190.0, 198.0, 200.0, 200.0].map(Some));
    }

    #[test]
    fn one_duration_is_every_percentile_and_none_is_none() {
        let one = Spread::of(vec![1_500]);
        assert_eq!([one.p50_ms, one.p99_ms, one.max_ms], [Some(1.5); 3]);
        let none = Spread::of(Vec::new());
        assert_eq!((none.count, none.p50_ms, none.max_ms), (0, None, None));
    }

    #[test]
    fn each_hop_is_measured_where_both_its_ends_are_known() {
        let at = |ms: i64| Timestamp::from_unix_micros(1_795_000_000_000_000 + ms * 1_000).unwrap();
        let payment: PaymentId = "pay_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse().unwrap();
        let ack = |version: i64| {
            serde_json::from_value(serde_json::json!({
                "kind": "acknowledged", "key": format!("k-{version}"), "reference": "r", "event_type": "payment.created",
                "merchant_id": "mer_019a0b1c2d3e7f00a1b2c3d4e5f60718", "payment_id": payment, "version": version,
                "scheduled_at": at(0), "requested_at": at(1), "acknowledged_at": at(4), "tries": 1,
            }))
            .unwrap()
        };
        let account = Account::from_lines([ack(1), ack(2)]);
        let arrival = |version: i64, first_at: Timestamp| -> Arrival {
            serde_json::from_value(serde_json::json!({
                "webhook_id": "evt_1", "payment_id": payment, "event_type": "payment.created", "event_version": version,
                "object_version": 1, "observed_at": null, "reference": null, "first_at": first_at, "repeats": [],
                "attempts_seen": 1,
            }))
            .unwrap()
        };
        let hop = |version, captured_at| Hop {
            event_id: "evt_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse().unwrap(),
            payment_id: payment,
            object_version: version,
            committed_at: Some(at(3)),
            captured_at,
            handled_at: Some(at(7)),
            routed_at: None,
        };
        // Version 1 reaches two endpoints, version 2 was not seen by capture, version 3 is somebody else's.
        let arrivals = [arrival(1, at(10)), arrival(1, at(12)), arrival(2, at(20)), arrival(3, at(90))];
        let hops = [hop(1, Some(at(5))), hop(2, None), hop(3, Some(at(5)))];
        let all = Durations::join(&account, &arrivals, &hops);
        assert_eq!(all.api_to_arrival, [10_000, 12_000, 20_000]);
        assert_eq!(all.commit_to_arrival, [7_000, 9_000, 17_000]);
        assert_eq!(all.commit_to_captured, [2_000]);
        assert_eq!(all.captured_to_handler, [2_000]);
        assert_eq!(all.handler_to_arrival, [3_000, 5_000, 13_000]);
    }
}
