//! The benchmark: what the real way costs and how fast it is, measured from outside and written down as it is.

mod goals;
pub mod neighbours;
mod peers;
mod phase;
pub mod profile;
mod report;
mod speed;
mod traced;
pub mod usage;

use std::time::Duration;

use chassis::Lifecycle;
use verifier::load::{Pace, Until};

use self::neighbours::Neighbours;
pub use self::phase::Phase;
use self::phase::Runner;
use self::profile::Profile;
pub use self::report::Report;
use self::traced::Traced;
use crate::Stack;
use crate::doors::Load;
use crate::page::machine::{self, Setting};
use crate::page::table;
use crate::procfs;
use crate::progress::Progress;

/// Nothing happens for so long while the idle processes are watched.
const IDLE_FOR: Duration = Duration::from_secs(10);
/// In the open loop, never more requests under way.
const MOST_UNDER_WAY: usize = 1_024;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Payments before anything is measured.
    pub warm_up: u64,
    /// Requests a second of the unloaded phase.
    pub unloaded_rate: f64,
    /// How long that is.
    pub unloaded_for: Duration,
    /// Payments of each phase at full load.
    pub payments: u64,
    /// Requests under way in these phases.
    pub concurrency: usize,
    /// How many merchants the second of them has.
    pub merchants: usize,
    /// Whether a third one is driven under perf.
    pub profile: bool,
    /// Rounds in which it is measured what traces cost; 0 leaves that out.
    pub traced_rounds: u16,
    /// Payments of each phase of these rounds.
    pub traced_payments: u64,
    /// Whether, and how, it is measured what a silent endpoint costs the others.
    pub neighbours: Option<neighbours::Options>,
}

/// Measures a stack that runs.
///
/// # Errors
/// If a service gives no answer in time, or perf can't be run. What is lost is no error: the report says it.
pub async fn measure(
    stack: &Stack,
    setting: Setting,
    options: Options,
    lifecycle: &Lifecycle,
    progress: &Progress,
) -> anyhow::Result<Report> {
    let runner = Runner::new(stack, lifecycle, progress).await?;
    let full = |payments, merchants| Load {
        merchants,
        changes: 0,
        until: Until::Payments(payments),
        pace: Pace::Closed { concurrency: options.concurrency },
    };
    runner.run("warm-up", full(options.warm_up, 1)).await?;
    let idle = runner.idle(IDLE_FOR).await?;
    let unloaded = Load {
        merchants: 1,
        changes: 0,
        until: Until::Elapsed(options.unloaded_for),
        pace: Pace::Open { rate: options.unloaded_rate, most: MOST_UNDER_WAY },
    };
    let unloaded = runner.run("unloaded", unloaded).await?;
    let one_merchant = runner.run("full load, 1 merchant", full(options.payments, 1)).await?;
    let many = format!("full load, {} merchants", options.merchants);
    let many_merchants = runner.run(&many, full(options.payments, options.merchants)).await?;
    let profile = match options.profile {
        true => Some(Profile::of(&runner, full(options.payments, 1), stack.folder()).await?),
        false => None,
    };
    let neighbours = match options.neighbours {
        Some(options) => Some(Neighbours::measure(&runner, options, lifecycle).await?),
        None => None,
    };
    // The last one, for everything is started anew.
    let traced = match options.traced_rounds {
        0 => None,
        rounds => {
            let loads = (full(options.warm_up, 1), full(options.traced_payments, 1));
            Some(Traced::measure(stack, rounds, loads, lifecycle, progress).await?)
        }
    };
    Ok(Report {
        setting,
        warm_up: options.warm_up,
        unloaded_rate: options.unloaded_rate,
        concurrency: options.concurrency,
        idle,
        unloaded,
        one_merchant,
        many_merchants,
        profile,
        traced,
        neighbours,
    })
}
