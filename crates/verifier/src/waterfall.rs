//! The way of an event as a picture: which hop took how long, and what it waited for between them.
//!
//! Where nothing happens for long, such as until a retry, the time axis is broken, so that the rest is not squashed.

mod axis;
mod build;
mod find;
mod members;
mod svg;
mod text;
mod words;

use domain::time::Timestamp;
use serde::Serialize;

pub use find::{NotAnId, Unknown, Wanted};

/// All traces that were asked for, in the order of their beginnings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Waterfalls {
    /// At least one.
    pub traces: Vec<Waterfall>,
}

/// One trace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Waterfall {
    /// As 32 hex digits.
    pub trace_id: String,
    /// When its first span began.
    pub began_at: Timestamp,
    /// From there until its last span ended.
    pub duration_ns: u64,
    /// Where the axis is broken.
    pub breaks: Vec<Break>,
    /// Its events, in the order of their beginnings; then what belongs to none.
    pub events: Vec<Section>,
}

/// A time in which no span begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Break {
    /// From so long after the trace's beginning.
    pub after_ns: u64,
    /// For so long.
    pub duration_ns: u64,
}

/// The spans of one event. Those of a request that made several are with each of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    /// The event; none for spans of no event.
    pub event_id: Option<String>,
    /// Its payment, if a span names it.
    pub payment_id: Option<String>,
    /// Its merchant, if a span names it.
    pub merchant_id: Option<String>,
    /// The first ones of its spans.
    pub nodes: Vec<Node>,
}

/// A line of the picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Of the span, with the attempt's number; or what was waited for; or where a delivery goes.
    pub name: String,
    /// What is to be known of it: an outcome, a status, a place.
    pub says: Option<String>,
    /// Whose span it is.
    pub service: Option<String>,
    /// As 16 hex digits.
    pub span_id: Option<String>,
    /// From so long after the trace's beginning.
    pub after_ns: u64,
    /// For so long.
    pub duration_ns: u64,
    /// Whether it failed.
    pub is_error: bool,
    /// What is part of it, in the order of time.
    pub children: Vec<Node>,
}

/// What a line of the picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A span.
    Span,
    /// A span that must have been, since others hang on it, and that is not there: its process died, or has not sent it yet.
    Missing,
    /// A span of Restate's, from a trace of its own.
    Linked,
    /// Time between spans.
    Wait,
    /// All attempts at one endpoint.
    Delivery,
}

#[cfg(test)]
mod tests;
