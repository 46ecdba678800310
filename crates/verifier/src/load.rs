//! Load: makes merchants and endpoints, then payments and status changes, and keeps the account of it.

mod drive;
mod plan;
mod set_up;
mod shape;
mod ticks;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use domain::event::EventFilter;
use serde::Serialize;
use url::Url;

pub use set_up::{Ready, set_up};
pub use shape::Shape;

use crate::latency::Spread;
pub use domain::ledger::Order;

/// What a load is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The account file; added to if it exists.
    pub account: PathBuf,
    /// payments-api.
    pub api_url: Url,
    /// Where its token is, unless it is open.
    pub token_file: Option<PathBuf>,
    /// The portal.
    pub portal_url: Url,
    /// Where the operator token is.
    pub operator_token_file: PathBuf,
    /// The merchant simulator.
    pub simulator_url: Url,
    /// How many merchants to make.
    pub merchants: usize,
    /// How many endpoints each of them gets.
    pub endpoints_per_merchant: usize,
    /// What each endpoint wants.
    pub event_types: Vec<EventFilter>,
    /// Legal status changes after each creation.
    pub changes: usize,
    /// When to stop starting payments.
    pub until: Until,
    /// How fast.
    pub pace: Pace,
    /// Payments of the same seed have the same amounts and changes.
    pub seed: u64,
    /// How long one request may stay unanswered, all its tries together.
    pub answer_within: Duration,
    /// How long one try may take.
    pub one_try: Duration,
}

/// When a load starts no more payments. Those begun are finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After so many payments.
    Payments(u64),
    /// After so long.
    Elapsed(Duration),
    /// When its lifecycle is asked to stop.
    Stopped,
}

/// How fast requests go out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many requests a second, whether answers come or not. Latency counts from the moment a request is due.
    Open {
        /// Requests a second.
        rate: f64,
        /// Never more than so many under way.
        most: usize,
    },
    /// So many at a time, each as soon as the one before is answered.
    Closed {
        /// Requests under way.
        concurrency: usize,
    },
}

/// What came of a load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Part of every reference and key.
    pub run: String,
    /// Payments begun.
    pub payments: u64,
    /// Requests whose answer says done.
    pub acknowledged: u64,
    /// Requests whose answer says not done.
    pub refused: u64,
    /// What the first refusal said.
    pub first_refusal: Option<String>,
    /// Requests that nobody answered in time.
    pub unknown: u64,
    /// What the last of those tries said.
    pub last_silence: Option<String>,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Acknowledged requests a second.
    pub per_second: f64,
    /// From the moment a request was due to its answer.
    pub api_latency: Spread,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, payments, acknowledged, seconds, per_second, .. } = self;
        writeln!(
            f,
            "load {run}: {payments} payments, {acknowledged} changes acknowledged in {seconds:.1} s ({per_second:.0}/s)"
        )?;
        if let Some(refusal) = &self.first_refusal {
            writeln!(f, "{} refused; the first: {refusal}", self.refused)?;
        }
        if let Some(silence) = &self.last_silence {
            writeln!(f, "{} unanswered; the last: {silence}", self.unknown)?;
        }
        write!(f, "from due to acknowledged: {}", self.api_latency)
    }
}
