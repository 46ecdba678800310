//! Holds what was found for one hop against what it must be.

use domain::trace::Hop;

use super::attributes::{Wants, wrong};
use super::event::Look;
use super::{Fault, Kind};
use crate::spans::Span;

/// What one hop's span must be.
pub(super) struct Expected {
    pub(super) hop: Hop,
    /// Whose it is, after its name: ` of attempt 2 at ep_…`.
    pub(super) of: String,
    pub(super) service: &'static str,
    /// None where it is drawn by chance.
    pub(super) span_id: Option<u64>,
    pub(super) parent: Parent,
    /// Whether it may be missing.
    pub(super) may_lack: bool,
    pub(super) wants: Wants,
}

/// What a span must hang on.
#[derive(Clone, Copy)]
pub(super) enum Parent {
    /// Whoever called, or nothing.
    Anybody,
    /// Nothing.
    Nobody,
    /// This one.
    This(u64, Hop),
}

impl<'a> Look<'a> {
    pub(super) fn parent_of(&self, span: &Span) -> Option<&'a Span> {
        self.spans.with_id(span.trace_id, span.parent_id?).next()
    }

    /// Whether a moment is later than another one, the clocks' difference apart.
    pub(super) fn is_later(&self, ns: u64, than_ns: u64) -> bool {
        u128::from(ns) > u128::from(than_ns) + self.options.skew.as_nanos()
    }

    /// Holds what was found for a hop against what it must be; answers the span that counts.
    pub(super) fn check(&mut self, expected: Expected, found: Vec<&'a Span>) -> Option<&'a Span> {
        let Expected { hop, of, service, span_id, parent, may_lack, wants } = expected;
        let subject = format!("{}{of}", hop.name());
        let mut fault = |kind, words: String| self.faults.push(Fault::of(kind, hop, words));
        let by_id = found.iter().find(|span| span_id.is_none_or(|id| span.span_id == id)).copied();
        let Some(span) = by_id.or(found.first().copied()) else {
            if !may_lack {
                fault(Kind::Missing, format!("{subject} is missing"));
            }
            return None;
        };
        if found.len() > 1 {
            fault(Kind::Twice, format!("{subject} is there {} times", found.len()));
        }
        if span.name != hop.name() {
            fault(Kind::Missing, format!("{subject} is missing: its id {:016x} is another span's", span.span_id));
            return None;
        }
        if let Some(span_id) = span_id.filter(|id| *id != span.span_id) {
            fault(Kind::Id, format!("{subject} has the id {:016x}, which should be {span_id:016x}", span.span_id));
        }
        if span.service != service {
            fault(Kind::Service, format!("{subject} is not a span of {service}"));
        }
        let on = |parent: Option<u64>| parent.map_or_else(|| "nothing".to_owned(), |id| format!("{id:016x}"));
        match parent {
            Parent::This(id, hop) if span.parent_id != Some(id) => {
                let words = format!("{subject} hangs on {}, not on {} {id:016x}", on(span.parent_id), hop.name());
                fault(Kind::Parent, words);
            }
            Parent::Nobody if span.parent_id.is_some() => {
                fault(Kind::Parent, format!("{subject} hangs on {}, and should be the first", on(span.parent_id)));
            }
            Parent::Anybody | Parent::Nobody | Parent::This(..) => {}
        }
        for (key, want) in wants {
            if let Some(words) = wrong(span, key, &want) {
                fault(Kind::Attribute, format!("{subject} {words}"));
            }
        }
        // What is made from the timestamps of two machines may be off by the clocks' difference.
        let by_two_clocks = matches!(hop, Hop::Capture | Hop::Stay);
        let is_off = if by_two_clocks { self.is_later(span.from_ns, span.to_ns) } else { span.to_ns < span.from_ns };
        if is_off {
            let words = format!("{subject} ends {} before it begins", ms(span.from_ns - span.to_ns));
            self.faults.push(Fault::of(Kind::Time, hop, words));
        }
        if let Some(parent) = self.parent_of(span).filter(|parent| self.is_later(parent.from_ns, span.from_ns)) {
            let early = ms(parent.from_ns - span.from_ns);
            let of_parent = parent.hop().map_or("parent", Hop::name);
            let words = format!("{subject} begins {early} before its {of_parent}");
            self.faults.push(Fault::of(Kind::Time, hop, words));
        }
        Some(span)
    }
}

/// Milliseconds with three digits.
pub(super) fn ms(ns: u64) -> String {
    format!("{}.{:03} ms", ns / 1_000_000, ns / 1_000 % 1_000)
}
