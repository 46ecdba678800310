//! The crash test: the old way and the new one under the same load, the process that delivers killed with -9 in the
//! middle and started again, and the account of every acknowledged payment on both sides.

pub mod full_load;
mod kill;
mod peers;
mod report;
mod round;
mod run;
mod side;

use std::time::Duration;

use chassis::Lifecycle;

pub use self::full_load::FullLoad;
pub use self::kill::{Progressed, Rule};
pub use self::report::Report;
pub use self::round::Round;
pub use self::run::Run;
use self::side::Arena;
pub use self::side::Side;
use crate::Stack;
use crate::page::machine::Setting;
use crate::progress::Progress;

/// What is tested.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Payments on each side of a round.
    pub payments: u64,
    /// How many rounds, each with merchants of its own.
    pub rounds: u32,
    /// Payments a second.
    pub rate: f64,
    /// How long to wait for what has not arrived, once everything is acknowledged.
    pub deadline: Duration,
    /// Whether, and how, both sides are killed at full load besides.
    pub full_load: Option<full_load::Options>,
}

/// Tests a stack that runs.
///
/// # Errors
/// If a service gives no answer in time, or there is no moment for the kill. What is lost is no error: the report says
/// it.
pub async fn test(
    stack: &Stack,
    setting: Setting,
    options: Options,
    lifecycle: &Lifecycle,
    progress: &Progress,
) -> anyhow::Result<Report> {
    stack.start_baseline().await?;
    let arena = |side| Arena::new(stack, side, options.deadline, lifecycle, progress);
    let (old, new) = (arena(Side::Old)?, arena(Side::New)?);
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        rounds.push(Round::play(number, &old, &new, options).await?);
    }
    let full_load = match options.full_load {
        Some(options) => Some(FullLoad::play(&old, &new, options).await?),
        None => None,
    };
    Ok(Report { setting, options, rounds, full_load })
}
