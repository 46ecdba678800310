//! What traces cost: the same full load without spans, with all of them, and with all of them while nobody takes them, in many
//! short turns. They are compared within each round, and of the rounds the median counts: of those in which the machine was
//! as fast for each, as far as a probe can tell.

use chassis::Lifecycle;
use serde::Serialize;

use super::phase::{Phase, Runner};
use crate::Stack;
use crate::doors::Load;
use crate::progress::Progress;
use crate::spans::{COLLECTOR, SPANS, Tracing};

/// Within a round, the machine's speed may differ by so much.
const EVEN: f64 = 1.1;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Traced {
    /// In the order in which they were measured.
    pub rounds: Vec<Round>,
    /// Bytes that the receiver wrote meanwhile.
    pub bytes: u64,
}

/// One turn of each.
#[derive(Debug, Serialize)]
pub struct Round {
    /// No spans.
    pub without: Phase,
    /// Every trace is kept; the receiver of the spans runs on the same machine.
    pub traced: Phase,
    /// The same, and the receiver stands still.
    pub stuck: Phase,
}

impl Round {
    /// All of them.
    #[must_use]
    pub const fn phases(&self) -> [&Phase; 3] {
        [&self.without, &self.traced, &self.stuck]
    }

    /// Whether the machine was as fast for each.
    #[must_use]
    pub fn is_even(&self) -> bool {
        let probes = self.phases().map(|phase| phase.probe_us);
        let (least, most) = (probes.into_iter().fold(f64::MAX, f64::min), probes.into_iter().fold(0.0, f64::max));
        most <= EVEN * least
    }
}

impl Traced {
    /// The throughput with spans, as a share of that without.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.share_of(|round| &round.traced)
    }

    /// The throughput with spans that nobody takes, as a share of that without any.
    #[must_use]
    pub fn share_stuck(&self) -> f64 {
        self.share_of(|round| &round.stuck)
    }

    fn share_of(&self, which: impl Fn(&Round) -> &Phase) -> f64 {
        self.median(|round| which(round).delivered_per_second / round.without.delivered_per_second)
    }

    /// The median of a number of each round that counts.
    #[must_use]
    pub fn median(&self, of: impl FnMut(&Round) -> f64) -> f64 {
        median(self.counted().map(of).collect())
    }

    /// Rounds in which the machine was as fast for each; all, if there are fewer than three.
    pub fn counted(&self) -> impl Iterator<Item = &Round> {
        let enough = self.rounds.iter().filter(|round| round.is_even()).count() >= 3;
        self.rounds.iter().filter(move |round| !enough || round.is_even())
    }

    /// Leaves the stack as it was, but started anew.
    pub(super) async fn measure(
        stack: &Stack,
        rounds: u16,
        (warm_up, load): (Load, Load),
        lifecycle: &Lifecycle,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        // Each has an account of its own, by its name.
        let drive = async |name: String| {
            let runner = Runner::new(stack, lifecycle, progress).await?;
            runner.run(&format!("warm-up {name}"), warm_up).await?;
            runner.run(&format!("full load {name}"), load).await
        };
        let without = async |n: u16| {
            stack.retrace(Tracing::Off).await?;
            drive(format!("without spans, {n}")).await
        };
        let traced = async |n: u16| {
            stack.retrace(Tracing::Here).await?;
            drive(format!("with spans, {n}")).await
        };
        let stuck = async |n: u16| {
            stack.retrace(Tracing::Here).await?;
            let _frozen = stack.freeze(COLLECTOR).await?;
            drive(format!("with spans that nobody takes, {n}")).await
        };
        let mut all = Vec::with_capacity(rounds.into());
        for n in 1..=rounds {
            // There and back, for the ledger and its cost grow.
            all.push(if n % 2 == 1 {
                let (without, traced, stuck) = (without(n).await?, traced(n).await?, stuck(n).await?);
                Round { without, traced, stuck }
            } else {
                let (stuck, traced, without) = (stuck(n).await?, traced(n).await?, without(n).await?);
                Round { without, traced, stuck }
            });
        }
        stack.retrace(Tracing::Off).await?;
        stack.stop(COLLECTOR).await?;
        let bytes = std::fs::metadata(stack.folder().logs().join(SPANS))?.len();
        Ok(Self { rounds: all, bytes })
    }
}

/// Of an even number, the middle of the two in the middle.
fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    f64::midpoint(all[(all.len() - 1) / 2], all[all.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        for (all, middle) in [(vec![7.0], 7.0), (vec![9.0, 1.0, 3.0], 3.0), (vec![4.0, 1.0, 2.0, 9.0], 3.0)] {
            assert!((median(all) - middle).abs() < 1e-9);
        }
    }
}
