//! When the process that delivers is killed: one rule for both sides, and a condition, never a time.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use anyhow::bail;
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::time::Instant;
use verifier::load::Ready;
use verifier::simulator::Simulator;

use crate::doors::WITHIN;

/// How often it is looked whether the moment is there.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Far longer than a load takes to get there.
const DUE_WITHIN: Duration = Duration::from_secs(120);

/// When to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// So many payments are acknowledged, some webhooks have arrived, and some have not.
    Acknowledged(u64),
    /// So many webhooks have arrived.
    Arrived(u64),
}

/// How far the load was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progressed {
    /// Payments acknowledged.
    pub acknowledged: u64,
    /// Webhooks arrived.
    pub arrived: u64,
}

impl Rule {
    fn is_due(self, now: Progressed) -> bool {
        match self {
            Self::Acknowledged(least) => now.acknowledged >= least && now.arrived > 0 && now.arrived < now.acknowledged,
            Self::Arrived(least) => now.arrived >= least,
        }
    }

    /// Resolves when the moment is there; `acknowledged` is counted up by the load.
    pub(super) async fn due(
        self,
        ready: &Ready,
        simulator: &Simulator,
        acknowledged: &ProgressBar,
    ) -> anyhow::Result<Progressed> {
        let endpoints: HashSet<_> = ready.endpoints.iter().map(|endpoint| endpoint.endpoint_id).collect();
        let deadline = Instant::now() + DUE_WITHIN;
        loop {
            // In this order: if fewer have arrived by then than were acknowledged before, one of these has not.
            let acknowledged = acknowledged.position();
            let now = Progressed { acknowledged, arrived: simulator.arrived(&endpoints, WITHIN).await? };
            if self.is_due(now) {
                return Ok(now);
            }
            if Instant::now() >= deadline {
                bail!(
                    "there was no moment for the kill within {} s ({self}): {acknowledged} payments were acknowledged and {} \
                     webhooks had arrived",
                    DUE_WITHIN.as_secs(),
                    now.arrived
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acknowledged(least) => {
                write!(f, "as soon as {least} payments are acknowledged, some webhooks have arrived and some have not")
            }
            Self::Arrived(least) => write!(f, "as soon as {least} webhooks have arrived"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_is_in_the_middle_and_the_same_for_whoever_is_killed() {
        let due = |rule: Rule, acknowledged, arrived| rule.is_due(Progressed { acknowledged, arrived });
        assert!(due(Rule::Acknowledged(50), 50, 1) && due(Rule::Acknowledged(50), 60, 59));
        assert!(!due(Rule::Acknowledged(50), 49, 1), "too early");
        assert!(!due(Rule::Acknowledged(50), 50, 0), "nothing has arrived");
        assert!(!due(Rule::Acknowledged(50), 50, 50), "nothing is left to arrive");
        assert!(due(Rule::Arrived(1_500), 0, 1_500) && !due(Rule::Arrived(1_500), 9_000, 1_499));
    }
}
