//! The portal's account of a window, checked again: the sums must balance and the difference be empty.

use std::fmt;

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The answer of `GET /audit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The window's beginning.
    pub from: Timestamp,
    /// The window's end.
    pub to: Timestamp,
    /// Events that were committed in the window.
    pub committed: u64,
    /// Of these, no row in the ledger yet.
    pub unrouted: u64,
    /// Of these, wanted by no endpoint.
    pub filtered: u64,
    /// Of these, with deliveries.
    pub fanned_out: u64,
    /// Their deliveries.
    pub deliveries: u64,
    /// Of these, by state.
    pub delivered: u64,
    /// Due at a time.
    pub pending: u64,
    /// Behind an earlier one of its object.
    pub held: u64,
    /// Put aside, with the reason.
    pub parked: u64,
    /// Out of attempts.
    pub exhausted: u64,
    /// Overtaken by a newer event.
    pub superseded: u64,
    /// Records of the topic that name no event; counted apart.
    pub parked_records: u64,
    /// What does not fit, by id; at most a thousand.
    pub difference: Vec<Difference>,
}

/// One thing that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Of the event or delivery.
    pub id: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Audit {
    /// Sums that do not balance, as sentences.
    #[must_use]
    pub fn wrong_sums(&self) -> Vec<String> {
        let events = self.unrouted + self.filtered + self.fanned_out;
        let states = [self.delivered, self.pending, self.held, self.parked, self.exhausted, self.superseded];
        let deliveries: u64 = states.into_iter().sum();
        let sums = [
            ("committed events", self.committed, "unrouted, filtered and fanned out", events),
            ("deliveries", self.deliveries, "their states", deliveries),
        ];
        let wrong = sums.into_iter().filter(|(_, whole, _, sum)| whole != sum);
        wrong.map(|(name, whole, parts, sum)| format!("{whole} {name}, but the sum of {parts} is {sum}")).collect()
    }

    /// Whether both sums are right and nothing is listed.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.difference.is_empty() && self.wrong_sums().is_empty()
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "events that happened from {} to {}", self.from, self.to)?;
        let mut line = |name: &str, count: u64| writeln!(f, "{name:<16} {count:>9}");
        line("committed", self.committed)?;
        line("  unrouted", self.unrouted)?;
        line("  filtered", self.filtered)?;
        line("  fanned out", self.fanned_out)?;
        line("deliveries", self.deliveries)?;
        line("  delivered", self.delivered)?;
        line("  pending", self.pending)?;
        line("  held", self.held)?;
        line("  parked", self.parked)?;
        line("  exhausted", self.exhausted)?;
        line("  superseded", self.superseded)?;
        line("parked records", self.parked_records)?;
        for wrong in self.wrong_sums() {
            writeln!(f, "{wrong}")?;
        }
        for difference in &self.difference {
            writeln!(f, "{}: {}", difference.id, difference.problem)?;
        }
        f.write_str(if self.balances() { "The account balances." } else { "The account does not balance." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit() -> Audit {
        serde_json::from_value(serde_json::json!({
            "from": "2026-11-23T20:00:00.000000Z", "to": "2026-11-23T21:00:00.000000Z",
            "committed": 10, "unrouted": 1, "filtered": 2, "fanned_out": 7,
            "deliveries": 9, "delivered": 4, "pending": 1, "held": 1, "parked": 1, "exhausted": 1, "superseded": 1,
            "parked_records": 3, "difference": [],
        }))
        .unwrap()
    }

    #[test]
    fn right_sums_and_no_difference_balance() {
        assert!(audit().balances(), "{:?}", audit().wrong_sums());
    }

    #[test]
    fn each_wrong_sum_is_said_and_does_not_balance() {
        let event_missing = Audit { committed: 11, ..audit() };
        assert_eq!(
            event_missing.wrong_sums(),
            ["11 committed events, but the sum of unrouted, filtered and fanned out is 10"]
        );
        let delivery_missing = Audit { deliveries: 10, ..audit() };
        assert_eq!(delivery_missing.wrong_sums(), ["10 deliveries, but the sum of their states is 9"]);
        assert!(!event_missing.balances() && !delivery_missing.balances());
    }

    #[test]
    fn a_difference_does_not_balance_and_is_printed_by_id() {
        let difference = Difference { id: "evt_1".to_owned(), problem: "routed without deliveries".to_owned() };
        let audit = Audit { difference: vec![difference], ..audit() };
        assert!(!audit.balances());
        insta::assert_snapshot!("audit", audit.to_string());
    }
}
