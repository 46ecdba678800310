//! The traces of what was delivered, held against the ledger: each hop is there, once, in its place, and says nothing secret.

mod attributes;
mod check;
mod event;
mod gather;
mod judge;
pub mod ledger;
mod secrets;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::ids::EventId;
use domain::trace::{Hop, SampleRatio};
use serde::Serialize;

pub use gather::{Watch, gather};
pub use judge::judge;
pub use ledger::Ledger;
pub use secrets::Leak;

/// What is expected of the spans.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// So much earlier than its parent a span may begin: the clocks of two machines.
    pub skew: Duration,
    /// Whether the merchants' handlers are traced, too.
    pub receiver_is_ours: bool,
    /// The share that is kept of the traces that no request has begun, as the services are told.
    pub ratio: SampleRatio,
}

/// The one format used everywhere. A fault has a word for programs, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// Something was delivered, all its hops are as they should be, and nothing secret is said.
    pub is_well: bool,
    /// Delivered events whose trace was looked at.
    pub events: usize,
    /// Delivered events of which no trace is kept.
    pub not_sampled: usize,
    /// Attempts of these events that the ledger has.
    pub attempts: usize,
    /// Of these, those whose result nobody knows: whoever made them died, and their spans may be missing.
    pub unknown_attempts: usize,
    /// All spans of the files.
    pub spans: usize,
    /// Of these, Restate's own.
    pub restate_spans: usize,
    /// Last lines of files that could not be read, since whoever wrote them was killed. No fault by themselves.
    pub lines_cut_off: u64,
    /// The events with faults, in the order of the ledger.
    pub faulty: Vec<Faulty>,
    /// Where something secret is said.
    pub leaks: Vec<Leak>,
}

/// An event whose trace is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Faulty {
    /// The event.
    pub event_id: EventId,
    /// The trace that it should be in, as 32 hex digits; none if none should be kept.
    pub trace_id: Option<String>,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong with a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Of which kind.
    pub kind: Kind,
    /// The name of the span that it is about, if it is about one.
    pub hop: Option<&'static str>,
    /// What, where.
    pub words: String,
}

/// What can be wrong with a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No span of the trace names the event.
    NoTrace,
    /// Another trace has spans that name the event.
    OtherTrace,
    /// It should not be kept, and there are spans.
    NotSampled,
    /// A hop has no span.
    Missing,
    /// A hop has more than one span.
    Twice,
    /// A span's id does not follow from the event's or the attempt's.
    Id,
    /// A span is another service's.
    Service,
    /// A span hangs on another one than it should.
    Parent,
    /// A span begins before its parent, or ends before it begins, or after what it lies in.
    Time,
    /// An attribute is missing, or says something else than the ledger.
    Attribute,
    /// An attempt is not linked to Restate's.
    Link,
    /// There are spans of an attempt, and the ledger has no such attempt.
    NotOnLedger,
}

impl Default for Options {
    fn default() -> Self {
        Self { skew: Duration::from_millis(5), receiver_is_ours: true, ratio: SampleRatio::ALL }
    }
}

impl Judgement {
    /// The names of all spans that are missing somewhere.
    #[must_use]
    pub fn missing(&self) -> BTreeSet<&'static str> {
        let faults = self.faulty.iter().flat_map(|faulty| &faulty.faults);
        faults.filter(|fault| fault.kind == Kind::Missing).filter_map(|fault| fault.hop).collect()
    }

    /// How often each kind of fault is there, by the hop: one cause makes many faults of one kind.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<(Kind, Option<&'static str>), usize> {
        let mut counts = BTreeMap::new();
        for fault in self.faulty.iter().flat_map(|faulty| &faulty.faults) {
            *counts.entry((fault.kind, fault.hop)).or_default() += 1;
        }
        counts
    }
}

impl Fault {
    fn of(kind: Kind, hop: Hop, words: String) -> Self {
        Self { kind, hop: Some(hop.name()), words }
    }
}

#[cfg(test)]
mod tests;
