//! Which spans of a trace are shown with which event.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use domain::ids::{AttemptId, EventId};
use domain::trace::{EventTrace, Hop, of_attempt};

use super::Wanted;
use crate::spans::{Span, Spans, Value};

/// The spans of one event.
pub(super) struct Members {
    pub(super) event_id: Option<String>,
    /// Each id once.
    pub(super) spans: BTreeMap<u64, Span>,
    /// Those that others hang on, and that are not there.
    pub(super) missing: HashSet<u64>,
}

/// Groups a trace's spans, leaving out events that are not wanted.
pub(super) fn members(spans: &Spans, trace_id: u128, wanted: Wanted) -> Vec<Members> {
    let by_id: HashMap<u64, &Span> = spans.of_trace(trace_id).map(|span| (span.span_id, span)).collect();
    let event_ids: BTreeSet<&str> = spans.of_trace(trace_id).filter_map(|span| span.text("event.id")).collect();
    let mut commits: HashMap<u64, Vec<&Span>> = HashMap::new();
    for span in spans.of_trace(trace_id).filter(|span| span.hop() == Some(Hop::Commit)) {
        commits.entry(span.parent_id.unwrap_or_default()).or_default().push(span);
    }
    let is_wanted = |event_id: &str| match wanted {
        Wanted::Trace(_) => true,
        Wanted::Event(id) => id.to_string() == event_id,
        // Not each of the event's spans names the payment.
        Wanted::Payment(id) => {
            let id = id.to_string();
            spans.of_event(event_id).any(|span| span.trace_id == trace_id && span.text("payment.id") == Some(&id))
        }
    };
    let mut shown: HashSet<u64> = HashSet::new();
    let mut groups = Vec::new();
    for event_id in event_ids {
        let naming = spans.of_event(event_id).filter(|span| span.trace_id == trace_id);
        let mut group = of_event(&by_id, &commits, naming, event_id);
        shown.extend(group.spans.keys());
        if is_wanted(event_id) {
            group.add_missing(trace_id);
            groups.push(group);
        }
    }
    // By what is theirs alone: the request may be that of several.
    let is_own = |span: &&Span| span.attributes.contains_key("event.id");
    groups.sort_by_key(|group| group.spans.values().filter(is_own).map(|span| span.from_ns).min());
    let rest: BTreeMap<u64, Span> =
        by_id.into_iter().filter(|(id, _)| !shown.contains(id)).map(|(id, span)| (id, span.clone())).collect();
    let of_payment = |id: &str| rest.values().any(|span| span.text("payment.id") == Some(id));
    let is_wanted = match wanted {
        Wanted::Trace(_) => true,
        Wanted::Event(_) => false,
        // The request, if its event is in no trace: another's repetition, or one that is not captured yet.
        Wanted::Payment(id) => of_payment(&id.to_string()),
    };
    if is_wanted && !rest.is_empty() {
        groups.push(Members { event_id: None, spans: rest, missing: HashSet::new() });
    }
    groups
}

/// What names the event, what that hangs on, and the transactions of the requests among those.
fn of_event<'a>(
    by_id: &HashMap<u64, &'a Span>,
    commits: &HashMap<u64, Vec<&Span>>,
    of_event: impl Iterator<Item = &'a Span>,
    event_id: &str,
) -> Members {
    let mut members: BTreeMap<u64, Span> = BTreeMap::new();
    for span in of_event {
        let mut next = Some(span);
        // One that is in already has brought those that it hangs on. So a circle ends, too.
        while let Some(span) = next.filter(|span| !members.contains_key(&span.span_id)) {
            members.insert(span.span_id, span.clone());
            next = span.parent_id.and_then(|id| by_id.get(&id)).copied();
        }
    }
    let of_requests: Vec<&Span> = members.keys().filter_map(|id| commits.get(id)).flatten().copied().collect();
    members.extend(of_requests.into_iter().map(|commit| (commit.span_id, commit.clone())));
    Members { event_id: Some(event_id.to_owned()), spans: members, missing: HashSet::new() }
}

impl Members {
    /// Puts the attempts and POSTs in whose spans died with their process, and what they have done did not.
    fn add_missing(&mut self, trace_id: u128) {
        let event_id = self.event_id.as_deref().and_then(|id| id.parse::<EventId>().ok());
        let Some(trace) = event_id.map(|event_id| EventTrace { trace_id, event_id }) else { return };
        let attempts: BTreeMap<String, Span> =
            self.spans.values().filter_map(|span| Some((span.text("attempt.id")?.to_owned(), span.clone()))).collect();
        for (attempt_id, known) in attempts {
            let Ok(attempt_id) = attempt_id.parse::<AttemptId>() else { continue };
            let [attempt, post] = [Hop::Attempt, Hop::Post].map(|hop| of_attempt(attempt_id, hop));
            // The POST first: the attempt takes its time from what hangs on it.
            self.add_if_missing(post, attempt, Hop::Post, &known);
            self.add_if_missing(attempt, trace.once(Hop::Route), Hop::Attempt, &known);
        }
    }

    fn add_if_missing(&mut self, span_id: u64, parent_id: u64, hop: Hop, known: &Span) {
        let on_it = || self.spans.values().filter(|span| span.parent_id == Some(span_id));
        let time = on_it().map(|span| span.from_ns).min().zip(on_it().map(|span| span.to_ns).max());
        let Some((from_ns, to_ns)) = time.filter(|_| !self.spans.contains_key(&span_id)) else { return };
        let keep = ["event.id", "endpoint.id", "delivery.id", "attempt.id", "delivery.attempt"];
        let attributes: BTreeMap<String, Value> = known
            .attributes
            .iter()
            .filter(|(key, _)| keep.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        self.missing.insert(span_id);
        self.spans.insert(
            span_id,
            Span {
                span_id,
                parent_id: Some(parent_id),
                name: hop.name().to_owned(),
                service: String::new(),
                from_ns,
                to_ns,
                attributes,
                events: Vec::new(),
                links: Vec::new(),
                is_error: false,
                message: String::new(),
                ..known.clone()
            },
        );
    }
}
