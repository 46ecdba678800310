//! What came of the demo: in words, or as one JSON object.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use verifier::audit::Audit;
use verifier::load::Summary;
use verifier::verdict::Verdict;

use crate::hops::Hops;
use crate::ledger;

/// The account of the demo, and the time per hop.
#[derive(Debug, Serialize)]
pub struct Report {
    /// From the command to the moment when everything was up, in seconds.
    pub up_after_s: f64,
    /// What arrived of what was acknowledged.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Requests that the API declined; there should be none.
    pub refused: u64,
    /// The time per hop.
    pub hops: Hops,
    /// What the ledger says.
    pub ledger: Audit,
    /// Whether the account and the ledger balance, and nothing is left to do.
    pub well: bool,
}

impl Report {
    pub(super) fn new(up_after: Duration, verdict: Verdict, ledger: Audit, hops: Hops, summary: &Summary) -> Self {
        let answered = summary.refused == 0 && summary.unknown == 0;
        let well = verdict.balanced && answered && ledger::is_finished(&ledger);
        Self { up_after_s: up_after.as_secs_f64(), verdict, refused: summary.refused, hops, ledger, well }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n\n{}", self.hops, self.verdict.to_string().trim_end())?;
        if self.refused > 0 {
            writeln!(f, "payments-api declined {} requests.", self.refused)?;
        }
        if ledger::is_finished(&self.ledger) {
            let Audit { committed, deliveries, delivered, .. } = &self.ledger;
            write!(f, "The ledger agrees: {committed} events committed, {delivered} of {deliveries} deliveries done.")
        } else {
            write!(f, "\nThe ledger does not:\n{}", self.ledger)
        }
    }
}
