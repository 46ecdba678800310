//! What traces cost: the same full load without spans and with all of them, in turns, and with all of them while nobody takes
//! them. A machine that grows warm, or busy with something else, does so for both; what the times alike differ by is its noise.

use chassis::Lifecycle;
use serde::Serialize;

use super::phase::{Phase, Runner};
use crate::Stack;
use crate::doors::Load;
use crate::progress::Progress;
use crate::spans::{COLLECTOR, SPANS, Tracing};

/// What was measured: without and with in turns, and in their middle with spans that nobody takes.
#[derive(Debug, Serialize)]
pub struct Traced {
    /// Without spans.
    pub without: [Phase; 4],
    /// Every trace is kept; the receiver of the spans runs on the same machine.
    pub traced: [Phase; 3],
    /// The same, and the receiver stands still.
    pub stuck: Phase,
    /// Bytes that the receiver wrote meanwhile.
    pub bytes: u64,
}

impl Traced {
    /// In the order in which they were measured.
    #[must_use]
    pub fn phases(&self) -> [&Phase; 8] {
        let ([a, c, d, f], [b, e, g]) = (&self.without, &self.traced);
        [a, b, c, &self.stuck, d, e, f, g]
    }

    /// The throughput with spans, as a share of that without; of each, the median, for a machine that is busy with something
    /// else for one of the times.
    #[must_use]
    pub fn share(&self) -> f64 {
        median(&self.traced) / median(&self.without)
    }

    /// Leaves the stack as it was, but started anew.
    pub(super) async fn measure(
        stack: &Stack,
        (warm_up, load): (Load, Load),
        lifecycle: &Lifecycle,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let drive = async |name: &str| {
            let runner = Runner::new(stack, lifecycle, progress).await?;
            runner.run(&format!("warm-up {name}"), warm_up).await?;
            runner.run(&format!("full load {name}"), load).await
        };
        let run = async |name: &str, tracing: Tracing| {
            stack.retrace(tracing).await?;
            drive(name).await
        };
        // Each has an account of its own, by its name.
        let without = async |n: u8| run(&format!("without spans, {n}"), Tracing::Off).await;
        let traced = async |n: u8| run(&format!("with spans, {n}"), Tracing::Here).await;
        let (a, b, c) = (without(1).await?, traced(1).await?, without(2).await?);
        // Among the others, not after them: the ledger and its cost grow.
        stack.retrace(Tracing::Here).await?;
        let stuck = {
            let _frozen = stack.freeze(COLLECTOR).await?;
            drive("with spans that nobody takes").await?
        };
        let (d, e, f, g) = (without(3).await?, traced(2).await?, without(4).await?, traced(3).await?);
        let (without, traced) = ([a, c, d, f], [b, e, g]);
        stack.retrace(Tracing::Off).await?;
        stack.stop(COLLECTOR).await?;
        let bytes = std::fs::metadata(stack.folder().logs().join(SPANS))?.len();
        Ok(Self { without, traced, stuck, bytes })
    }
}

/// Deliveries a second.
fn median(phases: &[Phase]) -> f64 {
    let mut all: Vec<f64> = phases.iter().map(|phase| phase.delivered_per_second).collect();
    all.sort_by(f64::total_cmp);
    f64::midpoint(all[(all.len() - 1) / 2], all[all.len() / 2])
}
