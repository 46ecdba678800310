//! Why a webhook came more than once, and what was late although nothing was disturbed.
//!
//! A repeat is explained by the attempt log, which shows an earlier attempt whose result nobody knew: the strong reason.
//! Otherwise by a fault that overlaps one of the two arrivals, since the log itself may have lost its last moments then.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use domain::ids::EndpointId;
use domain::time::Timestamp;
use serde::Serialize;

use super::{Late, Repeated, Verdict};
use crate::portal::Portal;
use crate::why::{Attempt, Why};

/// So long before a fault an arrival may be whose result the fault has lost: PostgreSQL has written what it has committed
/// asynchronously within 0.6 s (three times `wal_writer_delay`), and a slow receiver counts from when it received.
const BEFORE: Duration = Duration::from_secs(1);
/// So long after a fault an arrival may be that it has caused: what a frozen or cut-off sender still held is sent at once,
/// and on a busy machine at once is a second or two.
const AFTER: Duration = Duration::from_secs(2);

/// Outcomes that say nothing of whether the receiver has accepted.
const IN_DOUBT: [&str; 4] = ["unknown", "timeout", "broken", "protocol"];

/// A time in which something was disturbed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Window {
    /// What, in words.
    pub what: String,
    /// From when.
    pub from: Timestamp,
    /// Until everything of it could be used again.
    pub to: Timestamp,
    /// Whether it can make somebody send a webhook again. What only feeds the way can't: a second record of an event ends
    /// at the ledger.
    pub repeats: bool,
}

/// The reason for one repeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// The attempt log has an earlier attempt whose result nobody knew.
    Attempt {
        /// Its number.
        number: i64,
        /// What the log says of it.
        outcome: String,
    },
    /// The log shows no such attempt, and a fault overlaps one of the two arrivals.
    Fault {
        /// Which.
        what: String,
    },
    /// Neither.
    Unexplained,
}

/// What is known of the time.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The faults.
    pub windows: Vec<Window>,
    /// The log of each delivery that was accepted more than once.
    pub attempts: HashMap<(EndpointId, String), Vec<Attempt>>,
}

impl Evidence {
    /// The faults, and what the ledger says of the repeated ones.
    ///
    /// # Errors
    /// If the portal gives no answer in time.
    pub async fn gather(
        verdict: &Verdict,
        windows: Vec<Window>,
        portal: &Portal,
        within: Duration,
    ) -> anyhow::Result<Self> {
        let mut attempts: HashMap<(EndpointId, String), Vec<Attempt>> = HashMap::new();
        let events: BTreeSet<&str> =
            verdict.lists.repeated.iter().map(|repeated| repeated.webhook_id.as_str()).collect();
        for event_id in events {
            let why: Why = portal.why(event_id, within).await?;
            for delivery in why.events.into_iter().flat_map(|event| event.deliveries) {
                if let Ok(endpoint_id) = delivery.endpoint_id.parse() {
                    attempts.entry((endpoint_id, event_id.to_owned())).or_default().extend(delivery.log);
                }
            }
        }
        Ok(Self { windows, attempts })
    }
}

impl Verdict {
    /// Says of each repeat why it came, and leaves of the late ones those that are late even without the time in which
    /// something was disturbed.
    #[must_use]
    pub fn explained(mut self, evidence: &Evidence, late_after: Duration) -> Self {
        for repeated in &mut self.lists.repeated {
            repeated.causes = causes(repeated, evidence);
        }
        let unexplained = self.lists.repeated.iter().filter(|repeated| repeated.causes.contains(&Cause::Unexplained));
        self.unexplained = Some(unexplained.count());
        self.lists.late.retain(|late| undisturbed(late, &evidence.windows) > late_after);
        self.late = self.lists.late.len();
        self
    }
}

/// One for each repeat, in their order. Each needs an attempt in doubt of its own, begun by the arrival before: the attempt
/// that made the repeat is no reason for it.
fn causes(repeated: &Repeated, evidence: &Evidence) -> Vec<Cause> {
    let log = evidence.attempts.get(&(repeated.endpoint_id, repeated.webhook_id.clone()));
    let mut in_doubt: Vec<(&Attempt, &str)> = log
        .into_iter()
        .flatten()
        .filter_map(|attempt| Some((attempt, attempt.outcome.as_deref().filter(|outcome| IN_DOUBT.contains(outcome))?)))
        .collect();
    in_doubt.sort_by_key(|(attempt, _)| attempt.begun_at);
    let mut in_doubt = in_doubt.into_iter().peekable();
    let mut before = repeated.first_at;
    let mut causes = Vec::new();
    for at in &repeated.repeats {
        let attempt = in_doubt.next_if(|(attempt, _)| attempt.begun_at <= before);
        let fault =
            || evidence.windows.iter().find(|window| window.repeats && (window.covers(before) || window.covers(*at)));
        causes.push(match attempt {
            Some((attempt, outcome)) => Cause::Attempt { number: attempt.number, outcome: outcome.to_owned() },
            None => fault().map_or(Cause::Unexplained, |window| Cause::Fault { what: window.what.clone() }),
        });
        before = *at;
    }
    causes
}

impl Window {
    fn covers(&self, at: Timestamp) -> bool {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let (from, to) = (self.from.unix_micros() - micros(BEFORE), self.to.unix_micros() + micros(AFTER));
        (from..=to).contains(&at.unix_micros())
    }
}

/// How long it took from the promise to the arrival, without the time in which something was disturbed.
fn undisturbed(late: &Late, windows: &[Window]) -> Duration {
    let micros = |ms: u128| i64::try_from(ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let from = late.acknowledged_at.unix_micros();
    let to = from.saturating_add(micros(late.after_ms));
    let clip = |window: &Window| (window.from.unix_micros().max(from), window.to.unix_micros().min(to));
    let mut spans: Vec<(i64, i64)> = windows.iter().map(clip).filter(|(begin, end)| begin < end).collect();
    spans.sort_unstable();
    let (mut disturbed, mut seen) = (0, from);
    for (begin, end) in spans {
        disturbed += (end - begin.max(seen)).max(0);
        seen = seen.max(end);
    }
    Duration::from_micros(u64::try_from(to - from - disturbed).unwrap_or_default())
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt { number, outcome } => write!(f, "attempt {number} ended as {outcome}"),
            Self::Fault { what } => write!(f, "{what}"),
            Self::Unexplained => f.write_str("unexplained"),
        }
    }
}

#[cfg(test)]
mod tests;
