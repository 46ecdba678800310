//! Spans as the witness sees them: read from the files that an OpenTelemetry collector, or `stack`, has written.
//!
//! What they mean is not known here; [`crate::traces`] judges them, and [`crate::waterfall`] draws them.

#[cfg(test)]
pub(crate) mod example;
mod otlp;
mod read;

use std::collections::{BTreeMap, HashMap};

use domain::trace::Hop;

pub use read::Error;

/// Restate's spans are in traces of their own, and ours link to them.
pub const RESTATE: &str = "Restate";

/// Something that took some time.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Of the trace.
    pub trace_id: u128,
    /// Of the span, within its trace.
    pub span_id: u64,
    /// The span that it is a part of; none for the first of a trace.
    pub parent_id: Option<u64>,
    /// What was done.
    pub name: String,
    /// Who did it: `service.name` of the resource.
    pub service: String,
    /// From when, in nanoseconds since 1970.
    pub from_ns: u64,
    /// Until when, in nanoseconds since 1970.
    pub to_ns: u64,
    /// What is known of it.
    pub attributes: BTreeMap<String, Value>,
    /// What happened meanwhile: a name, and what is known of it.
    pub events: Vec<(String, BTreeMap<String, Value>)>,
    /// Spans of other traces that it belongs to: their traces' ids and their own.
    pub links: Vec<(u128, u64)>,
    /// Whether it failed.
    pub is_error: bool,
    /// What is said of its status, if anything.
    pub message: String,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// Yes or no.
    Bool(bool),
    /// Several.
    List(Vec<Value>),
    /// Several with names.
    Map(Vec<(String, Value)>),
    /// Nothing, or what can't be shown.
    Other,
}

/// All spans of some files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spans {
    all: Vec<Span>,
    /// What is said of the services, once each. It is no part of a span: a span that another process sends again is the same.
    resources: Vec<(String, BTreeMap<String, Value>)>,
    /// Last lines that have no end and can't be read: whoever wrote them was killed.
    pub lines_cut_off: u64,
    by_id: HashMap<(u128, u64), Vec<usize>>,
    by_trace: HashMap<u128, Vec<usize>>,
    by_event: HashMap<String, Vec<usize>>,
}

impl Span {
    /// The text of an attribute; none if there is no such attribute, or it is no text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.attributes.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The whole number of an attribute; none if there is no such attribute, or it is no whole number.
    #[must_use]
    pub fn int(&self, key: &str) -> Option<i64> {
        match self.attributes.get(key) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// Which hop of an event's way it is, if it is one.
    #[must_use]
    pub fn hop(&self) -> Option<Hop> {
        Hop::from_name(&self.name)
    }

    /// How long it took; nothing if it ends before it begins.
    #[must_use]
    pub fn nanos(&self) -> u64 {
        self.to_ns.saturating_sub(self.from_ns)
    }

    /// Whether it is one of Restate's own.
    #[must_use]
    pub fn is_restates(&self) -> bool {
        self.service == RESTATE
    }
}

impl Spans {
    /// Takes a span in. One that is there already with the same content was sent twice, and is one.
    pub fn add(&mut self, span: Span) {
        let same_id = self.by_id.entry((span.trace_id, span.span_id)).or_default();
        if same_id.iter().any(|n| self.all.get(*n) == Some(&span)) {
            return;
        }
        let n = self.all.len();
        same_id.push(n);
        self.by_trace.entry(span.trace_id).or_default().push(n);
        if let Some(event_id) = span.text("event.id") {
            self.by_event.entry(event_id.to_owned()).or_default().push(n);
        }
        self.all.push(span);
    }

    /// Takes in what is said of a service.
    fn add_resource(&mut self, service: String, attributes: BTreeMap<String, Value>) {
        let resource = (service, attributes);
        if !self.resources.contains(&resource) {
            self.resources.push(resource);
        }
    }

    /// What is said of the services: the name, and the attributes.
    pub fn resources(&self) -> impl Iterator<Item = &(String, BTreeMap<String, Value>)> {
        self.resources.iter()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Span> {
        self.all.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Those with these ids: more than one if they say different things.
    pub fn with_id(&self, trace_id: u128, span_id: u64) -> impl Iterator<Item = &Span> {
        self.those(self.by_id.get(&(trace_id, span_id)))
    }

    /// Those of a trace.
    pub fn of_trace(&self, trace_id: u128) -> impl Iterator<Item = &Span> {
        self.those(self.by_trace.get(&trace_id))
    }

    /// Those that name this event in `event.id`, whichever trace they are in.
    pub fn of_event(&self, event_id: &str) -> impl Iterator<Item = &Span> {
        self.those(self.by_event.get(event_id))
    }

    fn those<'a>(&'a self, places: Option<&'a Vec<usize>>) -> impl Iterator<Item = &'a Span> {
        places.into_iter().flatten().filter_map(|n| self.all.get(*n))
    }
}

impl FromIterator<Span> for Spans {
    /// Such as a part of others: what nobody has instrumented is left out.
    fn from_iter<I: IntoIterator<Item = Span>>(all: I) -> Self {
        let mut spans = Self::default();
        all.into_iter().for_each(|span| spans.add(span));
        spans
    }
}

#[cfg(test)]
mod tests;
