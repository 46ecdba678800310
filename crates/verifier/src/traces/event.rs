//! The trace of one event.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::AttemptId;
use domain::trace::{EventTrace, Hop, of_attempt};

use super::attributes;
use super::check::{Expected, Parent, ms};
use super::ledger::{Attempt, Delivery, Event};
use super::{Fault, Kind, Options};
use crate::spans::{Span, Spans};

/// The trace that the event should be in, if it should be in any, and all that is wrong with it.
pub(super) fn judge(spans: &Spans, event: &Event, options: Options, has_restate: bool) -> (Option<u128>, Vec<Fault>) {
    let event_id = event.event_id.to_string();
    let Some((trace, of_row)) = EventTrace::of(event.event_id, event.traceparent.as_deref(), options.ratio) else {
        let kept = spans.of_event(&event_id).next();
        let fault = kept.map(|span| Fault {
            kind: Kind::NotSampled,
            hop: span.hop().map(Hop::name),
            words: format!("no trace of it should be kept, and trace {:032x} is", span.trace_id),
        });
        return (None, fault.into_iter().collect());
    };
    let mut look = Look { spans, event, options, trace, has_restate, faults: Vec::new() };
    look.other_traces(&event_id);
    if spans.of_event(&event_id).any(|span| span.trace_id == trace.trace_id) {
        look.whole_way(of_row);
    } else {
        let words = format!("no span of trace {:032x} names it", trace.trace_id);
        look.faults.insert(0, Fault { kind: Kind::NoTrace, hop: None, words });
    }
    (Some(trace.trace_id), look.faults)
}

pub(super) struct Look<'a> {
    pub(super) spans: &'a Spans,
    event: &'a Event,
    pub(super) options: Options,
    trace: EventTrace,
    has_restate: bool,
    pub(super) faults: Vec<Fault>,
}

impl<'a> Look<'a> {
    fn other_traces(&mut self, event_id: &str) {
        let mut others: BTreeMap<u128, BTreeSet<&str>> = BTreeMap::new();
        for span in self.spans.of_event(event_id).filter(|span| span.trace_id != self.trace.trace_id) {
            others.entry(span.trace_id).or_default().insert(span.hop().map_or("another span", Hop::name));
        }
        for (trace_id, names) in others {
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            let words = format!("trace {trace_id:032x} has spans that name it, too: {names}");
            self.faults.push(Fault { kind: Kind::OtherTrace, hop: None, words });
        }
    }

    fn whole_way(&mut self, of_row: Option<u64>) {
        let request = self.request();
        if let Some(span_id) = of_row {
            self.request_and_commit(request, span_id);
        }
        let row = of_row.map_or(Parent::Nobody, |span_id| Parent::This(span_id, request));
        let [capture, stay] = [Hop::Capture, Hop::Stay].map(|hop| Parent::This(self.trace.once(hop), hop));
        let routes = self.once(Hop::Route);
        let is_swept = routes.iter().any(|span| span.text("event.source") == Some("sweep"));
        // What the sweep sends has not come through CDC. Without `event.route`, only what else is there says how it came.
        let comes_by_cdc = !self.once(Hop::Capture).is_empty() || !self.once(Hop::Stay).is_empty();
        let may_lack = is_swept || (routes.is_empty() && !comes_by_cdc);
        self.hop_of_event(Hop::Capture, row, may_lack);
        self.hop_of_event(Hop::Stay, capture, may_lack);
        self.hop_of_event(Hop::Route, if is_swept { row } else { stay }, false);
        let attempts = self.attempts();
        for (delivery, attempt) in &attempts {
            self.attempt(delivery, attempt);
        }
        self.beyond_the_ledger(&attempts);
    }

    /// Which request makes such an event.
    fn request(&self) -> Hop {
        if self.event.event_type == "payment.created" { Hop::Create } else { Hop::Change }
    }

    fn request_and_commit(&mut self, hop: Hop, span_id: u64) {
        let found = self.spans.with_id(self.trace.trace_id, span_id).collect();
        self.check(
            Expected {
                hop,
                of: String::new(),
                service: "payments-api",
                span_id: Some(span_id),
                parent: Parent::Anybody,
                may_lack: false,
                wants: attributes::of_request(self.event),
            },
            found,
        );
        let commits = || self.named(Hop::Commit);
        let mut found: Vec<_> = commits().filter(|commit| commit.parent_id == Some(span_id)).collect();
        if found.is_empty() {
            // One that hangs on no request may be the one that is looked for.
            let is_requests = |span: &Span| matches!(span.hop(), Some(Hop::Create | Hop::Change));
            found = commits().filter(|commit| !self.parent_of(commit).is_some_and(is_requests)).collect();
        }
        self.check(
            Expected {
                hop: Hop::Commit,
                of: String::new(),
                service: "payments-api",
                span_id: None,
                parent: Parent::This(span_id, hop),
                may_lack: false,
                wants: attributes::of_commit(),
            },
            found,
        );
    }

    fn hop_of_event(&mut self, hop: Hop, parent: Parent, may_lack: bool) {
        let found = self.once(hop);
        let expected = Expected {
            hop,
            of: String::new(),
            service: "data-service",
            span_id: Some(self.trace.once(hop)),
            parent,
            may_lack,
            wants: attributes::of_event(self.event, hop),
        };
        self.check(expected, found);
    }

    /// The spans of a hop that the event makes once: those with its id, and those that name the event.
    fn once(&self, hop: Hop) -> Vec<&'a Span> {
        let (span_id, event_id) = (self.trace.once(hop), self.event.event_id.to_string());
        self.named(hop).filter(|span| span.span_id == span_id || span.text("event.id") == Some(&event_id)).collect()
    }

    /// The attempts on the ledger, with the ids that their spans have.
    ///
    /// Who begins an attempt makes its id, and the ledger gets it with the result. One that nobody has recorded is closed
    /// under another id: there the endpoint and the number say which spans are its own.
    fn attempts(&self) -> Vec<(&'a Delivery, Attempt)> {
        let event_id = self.event.event_id.to_string();
        let mut known: BTreeSet<AttemptId> = self.event.attempts().map(|(_, attempt)| attempt.attempt_id).collect();
        let mut attempts = Vec::new();
        for (delivery, attempt) in self.event.attempts() {
            let mut attempt = attempt.clone();
            if attempt.is_unknown() {
                let endpoint_id = delivery.endpoint_id.to_string();
                let of_event = self.spans.of_event(&event_id).filter(|span| span.trace_id == self.trace.trace_id);
                let mut ids = of_event
                    .filter(|span| span.text("endpoint.id") == Some(&endpoint_id))
                    .filter(|span| span.int("delivery.attempt") == Some(attempt.number))
                    .filter_map(|span| span.text("attempt.id")?.parse().ok());
                if let Some(attempt_id) = ids.find(|id| !known.contains(id)) {
                    known.insert(attempt_id);
                    attempt.attempt_id = attempt_id;
                }
            }
            attempts.push((delivery, attempt));
        }
        attempts
    }

    fn attempt(&mut self, delivery: &Delivery, attempt: &Attempt) {
        let route = Parent::This(self.trace.once(Hop::Route), Hop::Route);
        let [on_attempt, on_post] =
            [Hop::Attempt, Hop::Post].map(|hop| Parent::This(of_attempt(attempt.attempt_id, hop), hop));
        let receiver_is_ours = self.options.receiver_is_ours;
        let mut check = |hop: Hop, service, parent| {
            let attempt_id = attempt.attempt_id.to_string();
            let span_id = of_attempt(attempt.attempt_id, hop);
            // What a receiver is told is the POST's span alone.
            let receives = |span: &&Span| span.parent_id == Some(of_attempt(attempt.attempt_id, Hop::Post));
            let is_it = |span: &&Span| span.span_id == span_id || span.text("attempt.id") == Some(&attempt_id);
            let found: Vec<_> = match hop {
                Hop::Receive => self.named(hop).filter(receives).collect(),
                _ => self.named(hop).filter(is_it).collect(),
            };
            let expected = Expected {
                hop,
                of: format!(" of attempt {} at {}", attempt.number, delivery.endpoint_id),
                service,
                span_id: (hop != Hop::Receive).then_some(span_id),
                parent,
                may_lack: attempt.is_unknown() || (hop == Hop::Receive && attempt.status.is_none()),
                wants: attributes::of_attempt(self.event, delivery, attempt, hop),
            };
            self.check(expected, found)
        };
        let whole = check(Hop::Attempt, "webhook-consumer", route);
        check(Hop::Read, "data-service", on_attempt);
        let post = check(Hop::Post, "webhook-consumer", on_attempt);
        if receiver_is_ours {
            check(Hop::Receive, "merchant-simulator", on_post);
        }
        let of = format!(" of attempt {} at {}", attempt.number, delivery.endpoint_id);
        if let Some((post, whole)) = post.zip(whole).filter(|(post, whole)| self.is_later(post.to_ns, whole.to_ns)) {
            let words = format!("webhook.post{of} ends {} after its delivery.attempt", ms(post.to_ns - whole.to_ns));
            self.faults.push(Fault::of(Kind::Time, Hop::Post, words));
        }
        if let Some(whole) = whole.filter(|_| self.has_restate) {
            let restates =
                |(trace_id, span_id): &(u128, u64)| self.spans.with_id(*trace_id, *span_id).any(Span::is_restates);
            if !whole.links.iter().any(restates) {
                let words = format!("delivery.attempt{of} is linked to no span of Restate's");
                self.faults.push(Fault::of(Kind::Link, Hop::Attempt, words));
            }
        }
    }

    /// Spans that name the event and belong to no attempt on the ledger.
    fn beyond_the_ledger(&mut self, attempts: &[(&Delivery, Attempt)]) {
        let event_id = self.event.event_id.to_string();
        let ids = || attempts.iter().map(|(_, attempt)| attempt.attempt_id);
        let known: BTreeSet<String> = ids().map(|attempt_id| attempt_id.to_string()).collect();
        let posts: BTreeSet<u64> = ids().map(|attempt_id| of_attempt(attempt_id, Hop::Post)).collect();
        let mut strange: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for span in self.spans.of_event(&event_id).filter(|span| span.trace_id == self.trace.trace_id) {
            if let Some(attempt_id) = span.text("attempt.id").filter(|id| !known.contains(*id))
                && !self.is_under_way(span)
            {
                strange.entry(attempt_id).or_default().insert(span.hop().map_or("another span", Hop::name));
            }
            let hangs_on_another = |parent: u64| {
                let post = self.spans.with_id(span.trace_id, parent).find(|parent| parent.hop() == Some(Hop::Post));
                // If the POST is there and names an attempt, that is told of already, or is under way.
                !posts.contains(&parent) && !post.is_some_and(|post| post.attributes.contains_key("attempt.id"))
            };
            let is_receive = self.options.receiver_is_ours && span.hop() == Some(Hop::Receive);
            if is_receive && span.parent_id.is_none_or(hangs_on_another) && !self.has_attempt_under_way() {
                let words = format!("webhook.receive {:016x} hangs on no webhook.post of its attempts", span.span_id);
                self.faults.push(Fault::of(Kind::Parent, Hop::Receive, words));
            }
        }
        for (attempt_id, names) in strange {
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            // Whatever stands there is shown only if it is an id.
            let attempt_id = attempt_id.parse::<AttemptId>().map_or("no id".to_owned(), |id| id.to_string());
            let words = format!("the ledger has no attempt {attempt_id}, and there are its spans: {names}");
            self.faults.push(Fault { kind: Kind::NotOnLedger, hop: None, words });
        }
    }

    fn has_attempt_under_way(&self) -> bool {
        self.event.deliveries.iter().any(|delivery| delivery.under_way.is_some())
    }

    /// Whether a span belongs to an attempt that has not ended yet.
    fn is_under_way(&self, span: &Span) -> bool {
        self.event.deliveries.iter().any(|delivery| {
            delivery.under_way.is_some()
                && delivery.under_way == span.int("delivery.attempt")
                && span.text("endpoint.id") == Some(&delivery.endpoint_id.to_string())
        })
    }

    fn named(&self, hop: Hop) -> impl Iterator<Item = &'a Span> + use<'a> {
        self.spans.of_trace(self.trace.trace_id).filter(move |span| span.name == hop.name())
    }
}
