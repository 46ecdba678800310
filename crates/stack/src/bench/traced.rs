//! What traces cost: the same full load without spans, with all of them, with all of them while nobody takes them, and without
//! again. What the two times without differ by is the machine's noise.

use chassis::Lifecycle;
use serde::Serialize;

use super::phase::{Phase, Runner};
use crate::Stack;
use crate::doors::Load;
use crate::progress::Progress;
use crate::spans::{COLLECTOR, SPANS, Tracing};

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Traced {
    /// Without spans.
    pub before: Phase,
    /// Every trace is kept; the receiver of the spans runs on the same machine.
    pub traced: Phase,
    /// The same, and the receiver stands still.
    pub stuck: Phase,
    /// Without spans, again.
    pub after: Phase,
    /// Bytes that the receiver wrote meanwhile.
    pub bytes: u64,
}

impl Traced {
    /// In the order in which they were measured.
    #[must_use]
    pub fn phases(&self) -> [&Phase; 4] {
        [&self.before, &self.traced, &self.stuck, &self.after]
    }

    /// The throughput of a phase, as a share of the mean without spans.
    #[must_use]
    pub fn share(&self, phase: &Phase) -> f64 {
        2.0 * phase.delivered_per_second / (self.before.delivered_per_second + self.after.delivered_per_second)
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
        let before = run("without spans", Tracing::Off).await?;
        let traced = run("with spans", Tracing::Here).await?;
        let stuck = {
            let _frozen = stack.freeze(COLLECTOR).await?;
            drive("with spans that nobody takes").await?
        };
        let after = run("without spans again", Tracing::Off).await?;
        stack.stop(COLLECTOR).await?;
        let bytes = std::fs::metadata(stack.folder().logs().join(SPANS))?.len();
        Ok(Self { before, traced, stuck, after, bytes })
    }
}
