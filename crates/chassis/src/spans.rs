//! Spans of this process, on their way to whoever collects them over OTLP.
//!
//! A span is made when it has ended, with the ids that its caller gives. It is handed over at once and sent later, many
//! together: a collector that is slow or down costs the work nothing, and what there is no room for is dropped and counted.
//!
//! With a spool, a span is in a file of the system's before [`end`] returns. So it outlives a process that is killed, and the
//! next one sends it. Whoever ends a span before the effect that it speaks of can be sure that the effect has its span.

mod flags;
mod sender;
mod spool;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use serde::{Deserialize, Serialize};

pub use flags::TraceFlags as Flags;
pub use sender::{Error, Sender, start};

/// What the service does in a span, as OpenTelemetry has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Something in between.
    Internal,
    /// It answers a request.
    Server,
    /// It makes a request.
    Client,
    /// It takes a message.
    Consumer,
}

/// By a name of its own, for serde takes what it sees to be borrowed for what it reads from.
type Word = &'static str;

/// The value of an attribute. What is sent is copied on its way; a text is shared then.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A truth.
    Flag(bool),
    /// A number.
    Number(i64),
    /// A text that is always the same; read from the spool, it is any text.
    #[serde(skip_deserializing)]
    Word(Word),
    /// A text.
    Text(Arc<str>),
}

/// A span that has ended. Its trace is one that is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Span {
    /// What was done.
    pub name: Cow<'static, str>,
    /// Of the trace.
    pub trace_id: u128,
    /// Its own.
    pub span_id: u64,
    /// Of the span that it is a part of, or follows.
    pub parent_id: Option<u64>,
    /// What the service did in it.
    pub kind: Kind,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// Never a body, a secret or a signature.
    pub attributes: Vec<(Cow<'static, str>, Value)>,
    /// Spans of other traces, as their trace and their own id.
    pub links: Vec<(u128, u64)>,
    /// What went wrong, if something did.
    pub error: Option<Cow<'static, str>>,
}

static SENDER: OnceLock<Sender> = OnceLock::new();

/// Whether spans of this process go anywhere: if not, making them is for nothing.
#[must_use]
pub fn are_kept() -> bool {
    SENDER.get().is_some()
}

/// Hands over spans that have ended. It costs less for many at once.
pub fn end(spans: Vec<Span>) {
    if let Some(sender) = SENDER.get().filter(|_| !spans.is_empty()) {
        sender.take(spans);
    }
}

impl Span {
    /// A span of the given times without attributes.
    #[must_use]
    pub fn new(name: &'static str, trace_id: u128, span_id: u64, (start, end): (SystemTime, SystemTime)) -> Self {
        Self {
            name: name.into(),
            trace_id,
            span_id,
            parent_id: None,
            kind: Kind::Internal,
            start,
            // Clocks may be set back; a span that ends before it begins helps nobody.
            end: end.max(start),
            attributes: Vec::with_capacity(8),
            links: Vec::new(),
            error: None,
        }
    }

    /// The same as a part of another.
    #[must_use]
    pub fn under(mut self, parent_id: impl Into<Option<u64>>) -> Self {
        self.parent_id = parent_id.into();
        self
    }

    /// The same, of another kind.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The same with an attribute.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((key.into(), value.into()));
        self
    }

    /// The same with an attribute, if there is a value.
    #[must_use]
    pub fn with_some(self, key: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// The same with links.
    #[must_use]
    pub fn linked(mut self, links: impl IntoIterator<Item = (u128, u64)>) -> Self {
        self.links.extend(links);
        self
    }

    /// The same, and something went wrong, if this says so.
    #[must_use]
    pub fn failed(mut self, error: Option<Cow<'static, str>>) -> Self {
        self.error = error;
        self
    }

    /// As the SDK's exporter takes it. Texts are shared.
    fn data(&self, scope: &InstrumentationScope) -> SpanData {
        let context = |trace_id, span_id, is_remote| {
            let (trace_id, span_id) =
                (TraceId::from_bytes(u128::to_be_bytes(trace_id)), SpanId::from_bytes(u64::to_be_bytes(span_id)));
            SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, is_remote, TraceState::default())
        };
        let mut links = SpanLinks::default();
        links.links = self.links.iter().map(|(trace, span)| Link::with_context(context(*trace, *span, true))).collect();
        SpanData {
            span_context: context(self.trace_id, self.span_id, false),
            parent_span_id: self.parent_id.map_or(SpanId::INVALID, |id| SpanId::from_bytes(id.to_be_bytes())),
            // Nobody is asked, and it makes no difference to anybody.
            parent_span_is_remote: false,
            span_kind: self.kind.into(),
            name: self.name.clone(),
            start_time: self.start,
            end_time: self.end,
            attributes: self.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value)).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: self.error.clone().map_or(Status::Unset, |description| Status::Error { description }),
            instrumentation_scope: scope.clone(),
        }
    }
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Internal => Self::Internal,
            Kind::Server => Self::Server,
            Kind::Client => Self::Client,
            Kind::Consumer => Self::Consumer,
        }
    }
}

impl From<&Value> for opentelemetry::Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::Flag(flag) => Self::Bool(*flag),
            Value::Number(number) => Self::I64(*number),
            Value::Word(word) => Self::String((*word).into()),
            Value::Text(text) => Self::String(text.clone().into()),
        }
    }
}

impl From<Word> for Value {
    fn from(word: Word) -> Self {
        Self::Word(word)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}
