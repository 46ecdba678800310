//! Which traces are meant by an id.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use domain::ids::{EventId, PaymentId};

use super::Waterfalls;
use crate::spans::{Span, Spans};

/// What somebody wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All traces of a payment: of its creation, and of each change.
    Payment(PaymentId),
    /// The trace of an event.
    Event(EventId),
    /// One trace.
    Trace(u128),
}

/// The text is no id that a trace is found by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no id that a trace is found by: write a payment's (pay_…), an event's (evt_…) or a trace's (32 hex digits)"
)]
pub struct NotAnId {
    text: String,
}

/// No span has the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no span names {wanted}: give the files of the time in which it happened; if that was a moment ago, ask again in some \
     seconds; if its trace was not sampled, none is kept"
)]
pub struct Unknown {
    wanted: Wanted,
}

impl FromStr for Wanted {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let is_trace = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let trace = || is_trace.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Self::Trace);
        let payment = || text.parse().ok().map(Self::Payment);
        let event = text.parse().ok().map(Self::Event);
        let wanted = event.or_else(payment).or_else(trace);
        wanted.ok_or_else(|| NotAnId { text: text.chars().take(80).collect() })
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payment(id) => id.fmt(f),
            Self::Event(id) => id.fmt(f),
            Self::Trace(id) => write!(f, "trace {id:032x}"),
        }
    }
}

impl Waterfalls {
    /// The traces that are meant, each with the events that are meant.
    ///
    /// # Errors
    /// If no span has the id.
    pub fn find(spans: &Spans, wanted: Wanted) -> Result<Self, Unknown> {
        let mut traces: BTreeMap<u128, u64> = BTreeMap::new();
        let mut add = |span: &Span| {
            let from_ns = traces.entry(span.trace_id).or_insert(span.from_ns);
            *from_ns = span.from_ns.min(*from_ns);
        };
        match wanted {
            Wanted::Payment(id) => {
                let id = id.to_string();
                spans.iter().filter(|span| span.text("payment.id") == Some(&id)).for_each(&mut add);
            }
            Wanted::Event(id) => spans.of_event(&id.to_string()).for_each(&mut add),
            Wanted::Trace(id) => spans.of_trace(id).for_each(&mut add),
        }
        let mut traces: Vec<_> = traces.into_iter().collect();
        traces.sort_by_key(|(_, from_ns)| *from_ns);
        let traces: Vec<_> =
            traces.into_iter().filter_map(|(trace_id, _)| super::build::waterfall(spans, trace_id, wanted)).collect();
        if traces.is_empty() { Err(Unknown { wanted }) } else { Ok(Self { traces }) }
    }
}
