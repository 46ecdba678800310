//! From spans to the lines of the picture.

use std::collections::{BTreeMap, HashSet};

use domain::time::Timestamp;
use domain::trace::Hop;

use super::axis::Axis;
use super::members::{Members, members};
use super::words::shown;
use super::{Kind, Node, Section, Wanted, Waterfall};
use crate::spans::{Span, Spans};

/// Deeper, the tree begins anew: whoever writes such a file wants something else than a picture.
const DEEPEST: usize = 40;
/// As Restate calls the span in which it has read a record; then comes the handler's name.
const READ_FROM_KAFKA: &str = "ingress_kafka";
/// Time between spans is named if it is such a part of what is shown,
const NAMED_FROM: u64 = 50;
/// and not shorter than this.
const NAMED_FROM_NS: u64 = 50_000;

/// The picture of a trace; none if nothing of it is wanted.
pub(super) fn waterfall(spans: &Spans, trace_id: u128, wanted: Wanted) -> Option<Waterfall> {
    let groups = members(spans, trace_id, wanted);
    let ends = |span: &Span| [span.from_ns, span.to_ns.max(span.from_ns)];
    let moments: Vec<u64> = groups.iter().flat_map(|group| group.spans.values().flat_map(ends)).collect();
    if moments.is_empty() {
        return None;
    }
    let axis = Axis::of(moments);
    let sections = groups.iter().map(|group| Tree::of(spans, group, &axis).section()).collect();
    Some(Waterfall {
        trace_id: format!("{trace_id:032x}"),
        began_at: Timestamp::from_unix_micros(i64::try_from(axis.from_ns / 1_000).ok()?)?,
        duration_ns: axis.to_ns - axis.from_ns,
        breaks: axis.breaks,
        events: sections,
    })
}

/// The spans of one event, by what they hang on.
struct Tree<'a> {
    all: &'a Spans,
    group: &'a Members,
    axis: &'a Axis,
    children: BTreeMap<u64, Vec<&'a Span>>,
    done: HashSet<u64>,
    linked: HashSet<(u128, u64)>,
}

impl<'a> Tree<'a> {
    fn of(all: &'a Spans, group: &'a Members, axis: &'a Axis) -> Self {
        let mut children: BTreeMap<u64, Vec<&Span>> = BTreeMap::new();
        for span in group.spans.values() {
            if let Some(parent) = span.parent_id.filter(|id| group.spans.contains_key(id)) {
                children.entry(parent).or_default().push(span);
            }
        }
        children.values_mut().for_each(|spans| spans.sort_by_key(|span| (span.from_ns, span.to_ns)));
        Self { all, group, axis, children, done: HashSet::new(), linked: HashSet::new() }
    }

    fn section(mut self) -> Section {
        let group = self.group;
        let mut by_time: Vec<&Span> = group.spans.values().collect();
        by_time.sort_by_key(|span| (span.from_ns, span.to_ns));
        let hangs = |span: &Span| span.parent_id.is_some_and(|id| group.spans.contains_key(&id));
        let mut nodes: Vec<Node> = by_time.iter().filter(|span| !hangs(span)).map(|span| self.node(span, 0)).collect();
        // Circles, and what is too deep.
        while let Some(span) = by_time.iter().find(|span| !self.done.contains(&span.span_id)) {
            nodes.push(self.node(span, 0));
        }
        let said = |key: &str| group.spans.values().find_map(|span| span.text(key)).map(shown);
        Section {
            event_id: group.event_id.as_deref().map(shown),
            payment_id: said("payment.id"),
            merchant_id: said("merchant.id"),
            nodes,
        }
    }

    fn node(&mut self, span: &Span, depth: usize) -> Node {
        self.done.insert(span.span_id);
        let mut node = self.line(span);
        node.children.extend(self.links_of(span));
        if span.hop() == Some(Hop::Stay) {
            node.children.extend(self.parts_of_stay(span));
            // Its parts say it already.
            node.says = node.says.filter(|_| node.children.is_empty());
        }
        let on_it = self.children.get(&span.span_id).cloned().unwrap_or_default();
        let on_it: Vec<&Span> =
            on_it.into_iter().filter(|child| depth < DEEPEST && !self.done.contains(&child.span_id)).collect();
        if span.hop() == Some(Hop::Route) {
            node.children.extend(self.deliveries(span, on_it, depth + 1));
            return node;
        }
        let is_attempt = span.hop() == Some(Hop::Attempt) && node.kind == Kind::Span;
        let (mut at_ns, mut last) = (span.from_ns, None);
        for child in on_it {
            if is_attempt {
                node.children.extend(self.wait(at_ns, child.from_ns, within_attempt(last, child.hop())));
            }
            node.children.push(self.node(child, depth + 1));
            (at_ns, last) = (child.to_ns.max(at_ns), child.hop());
        }
        if is_attempt && last.is_some() {
            node.children.extend(self.wait(at_ns, span.to_ns, within_attempt(last, None)));
        }
        node
    }

    /// The attempts by their endpoints, with what was waited for between them; then what else hangs on the routing.
    fn deliveries(&mut self, route: &Span, on_it: Vec<&Span>, depth: usize) -> Vec<Node> {
        let mut by_endpoint: Vec<(String, Vec<&Span>)> = Vec::new();
        let mut others = Vec::new();
        for span in on_it {
            let endpoint_id = span.text("endpoint.id").filter(|_| span.hop() == Some(Hop::Attempt));
            let Some(endpoint_id) = endpoint_id.map(shown) else {
                others.push(span);
                continue;
            };
            match by_endpoint.iter_mut().find(|(known, _)| *known == endpoint_id) {
                Some((_, attempts)) => attempts.push(span),
                None => by_endpoint.push((endpoint_id, vec![span])),
            }
        }
        let mut nodes: Vec<Node> = by_endpoint
            .into_iter()
            .map(|(endpoint_id, attempts)| self.delivery(route, &endpoint_id, attempts, depth))
            .collect();
        nodes.extend(others.into_iter().map(|span| self.node(span, depth)));
        nodes
    }

    fn delivery(&mut self, route: &Span, endpoint_id: &str, attempts: Vec<&Span>, depth: usize) -> Node {
        let from_ns = attempts.iter().map(|span| span.from_ns).min().unwrap_or(route.to_ns);
        let to_ns = attempts.iter().map(|span| span.to_ns).max().unwrap_or(from_ns);
        let outcome = attempts.iter().rev().find_map(|span| span.text("delivery.outcome"));
        let outcome = outcome.map_or_else(|| "no outcome is known".to_owned(), shown);
        let says = match attempts.len() {
            1 => outcome,
            n => format!("{outcome} after {n} attempts"),
        };
        let mut children = Vec::new();
        let (mut at_ns, mut waits_for) = (route.to_ns, "until the first attempt");
        for attempt in attempts {
            let wait = self.wait(at_ns, attempt.from_ns, waits_for);
            children.extend(wait);
            children.push(self.node(attempt, depth + 1));
            at_ns = attempt.to_ns.max(at_ns);
            waits_for = match attempt.text("delivery.outcome") {
                Some("delivered") => "until it was sent again",
                _ => "waiting for a retry",
            };
        }
        Node {
            kind: Kind::Delivery,
            name: format!("to {endpoint_id}"),
            says: Some(says),
            service: None,
            span_id: None,
            after_ns: from_ns - self.axis.from_ns,
            duration_ns: to_ns.saturating_sub(from_ns),
            is_error: false,
            children,
        }
    }

    /// Restate's spans that this one is linked to, each where it is linked to first.
    fn links_of(&mut self, span: &Span) -> Vec<Node> {
        let mut nodes = Vec::new();
        for link in &span.links {
            let mut found = self.all.with_id(link.0, link.1).filter(|linked| linked.is_restates());
            if let Some(linked) = found.next().filter(|_| self.linked.insert(*link)) {
                nodes.push(Node { kind: Kind::Linked, ..self.line(linked) });
            }
        }
        nodes
    }

    /// Until Restate had read the record it was in Kafka, then in Restate: the span of the first attempt, to which ours is
    /// linked, hangs on the one of the reading.
    fn parts_of_stay(&self, stay: &Span) -> Vec<Node> {
        let attempts = self.group.spans.values().filter(|span| span.hop() == Some(Hop::Attempt));
        let linked = attempts.flat_map(|attempt| &attempt.links);
        let read_ns =
            linked.filter_map(|link| self.read_from_kafka(*link)).filter(|ns| (stay.from_ns..=stay.to_ns).contains(ns));
        let Some(read_ns) = read_ns.min() else { return Vec::new() };
        let parts = [(stay.from_ns, read_ns, "in Kafka"), (read_ns, stay.to_ns, "in Restate")];
        parts.into_iter().filter_map(|(from_ns, to_ns, name)| self.wait(from_ns, to_ns, name)).collect()
    }

    /// When Restate had read the record from which this span of its own comes, if it comes from one.
    fn read_from_kafka(&self, (trace_id, span_id): (u128, u64)) -> Option<u64> {
        let of_restate = |span_id| self.all.with_id(trace_id, span_id).find(|span| span.is_restates());
        let mut span = of_restate(span_id)?;
        for _ in 0..DEEPEST {
            if span.name.starts_with(READ_FROM_KAFKA) {
                return Some(span.from_ns);
            }
            span = of_restate(span.parent_id?)?;
        }
        None
    }

    /// Time between spans, if it is worth a line.
    fn wait(&self, from_ns: u64, to_ns: u64, name: &str) -> Option<Node> {
        let duration_ns = to_ns.checked_sub(from_ns)?;
        let is_long = duration_ns >= NAMED_FROM_NS && duration_ns >= self.axis.shown_ns() / NAMED_FROM;
        is_long.then(|| Node {
            kind: Kind::Wait,
            name: name.to_owned(),
            says: None,
            service: None,
            span_id: None,
            after_ns: from_ns.saturating_sub(self.axis.from_ns),
            duration_ns,
            is_error: false,
            children: Vec::new(),
        })
    }

    /// The span alone.
    fn line(&self, span: &Span) -> Node {
        let is_missing = self.group.missing.contains(&span.span_id);
        let number = span.int("delivery.attempt").filter(|_| span.hop() == Some(Hop::Attempt));
        let name = number.map_or_else(|| shown(&span.name), |number| format!("{} {number}", span.name));
        let no_span = || "its span is missing".to_owned();
        Node {
            kind: if is_missing { Kind::Missing } else { Kind::Span },
            name,
            says: if is_missing { Some(no_span()) } else { self.says(span) },
            service: (!is_missing).then(|| shown(&span.service)),
            span_id: Some(format!("{:016x}", span.span_id)),
            after_ns: span.from_ns.saturating_sub(self.axis.from_ns),
            duration_ns: span.nanos(),
            is_error: span.is_error,
            children: Vec::new(),
        }
    }

    fn says(&self, span: &Span) -> Option<String> {
        let status = |span: &Span| span.int("http.response.status_code").map(|status| status.to_string());
        let said = match span.hop()? {
            Hop::Create | Hop::Change | Hop::Receive => status(span),
            Hop::Commit | Hop::Read => None,
            Hop::Capture => Some("in the WAL".to_owned()),
            Hop::Stay => Some("in Kafka".to_owned()),
            Hop::Route => span.text("event.source").map(|source| match source {
                "cdc" => "from CDC".to_owned(),
                other => format!("from the {other}"),
            }),
            Hop::Attempt => {
                let on_it = self.children.get(&span.span_id).into_iter().flatten();
                let post = on_it.filter(|child| child.hop() == Some(Hop::Post)).find_map(|post| status(post));
                span.text("delivery.outcome").map(|outcome| match post {
                    Some(status) => format!("{outcome} {status}"),
                    None => outcome.to_owned(),
                })
            }
            Hop::Post => status(span).or_else(|| span.text("error.type").map(str::to_owned)),
        };
        said.map(|said| shown(&said))
    }
}

/// What an attempt waits for between two of its parts.
fn within_attempt(before: Option<Hop>, after: Option<Hop>) -> &'static str {
    match (before, after) {
        (None, Some(Hop::Read)) => "waiting at data-service",
        (Some(Hop::Read), Some(Hop::Post)) => "on the way to the POST",
        (Some(Hop::Post), None) => "recording the result",
        _ => "between the hops",
    }
}
