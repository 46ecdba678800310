//! One round: the same load, moods and kill on both sides, one after the other, each with merchants of its own.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use verifier::load::{Pace, Until};

use super::Options;
use super::kill::Rule;
use super::run::{Plan, Run};
use super::side::Arena;
use crate::doors::Load;

/// Each with one endpoint.
pub(super) const MERCHANTS: usize = 5;
/// Never more requests under way.
const MOST_UNDER_WAY: usize = 256;

/// What both sides of a round showed.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// From 1.
    pub number: u32,
    /// From memory.
    pub old: Run,
    /// Through the pipeline.
    pub new: Run,
}

impl Round {
    pub(super) async fn play(number: u32, old: &Arena<'_>, new: &Arena<'_>, options: Options) -> anyhow::Result<Self> {
        let name = format!("round {number}");
        let play = async |arena: &Arena<'_>| {
            let load = Load {
                merchants: MERCHANTS,
                changes: 0,
                until: Until::Payments(options.payments),
                pace: Pace::Open { rate: options.rate, most: MOST_UNDER_WAY },
            };
            let kill = Self::rule(options);
            let plan = Plan { name: &name, load, moods: &moods(), kill, restart_after: Duration::ZERO };
            Run::play(arena, plan).await.map(|(run, _, _)| run)
        };
        Ok(Self { number, old: play(old).await?, new: play(new).await? })
    }

    /// When either side is killed.
    pub(super) fn rule(options: Options) -> Rule {
        Rule::Acknowledged(options.payments.div_ceil(2))
    }
}

/// Three merchants are well, one is slow, and one is out of order until the kill: as merchants are.
fn moods() -> [Value; MERCHANTS] {
    let well = || json!({"mood": "well"});
    [well(), json!({"mood": "slow", "delay_ms": 300}), well(), json!({"mood": "failing", "rate": 1.0}), well()]
}

/// [`moods`], for those who read.
pub(super) const MOODS: &str =
    "three of them answer at once,\none after 300 ms, and one fails until the kill and is well from then on";
