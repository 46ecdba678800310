//! The judgement of all traces.

use super::event;
use super::secrets::leaks;
use super::{Faulty, Judgement, Ledger, Options};
use crate::spans::{Span, Spans};

/// Holds the spans against the ledger.
#[must_use]
pub fn judge(spans: &Spans, ledger: &Ledger, options: Options) -> Judgement {
    let restate_spans = spans.iter().filter(|span| Span::is_restates(span)).count();
    let mut judgement = Judgement {
        is_well: false,
        events: 0,
        not_sampled: 0,
        attempts: 0,
        unknown_attempts: 0,
        spans: spans.len(),
        restate_spans,
        lines_cut_off: spans.lines_cut_off,
        faulty: Vec::new(),
        leaks: leaks(spans),
    };
    for on_ledger in &ledger.events {
        let (trace_id, faults) = event::judge(spans, on_ledger, options, restate_spans > 0);
        if trace_id.is_some() {
            judgement.events += 1;
            judgement.attempts += on_ledger.attempts().count();
            judgement.unknown_attempts += on_ledger.attempts().filter(|(_, attempt)| attempt.is_unknown()).count();
        } else {
            judgement.not_sampled += 1;
        }
        if !faults.is_empty() {
            let trace_id = trace_id.map(|trace_id| format!("{trace_id:032x}"));
            judgement.faulty.push(Faulty { event_id: on_ledger.event_id, trace_id, faults });
        }
    }
    judgement.is_well = judgement.events > 0 && judgement.faulty.is_empty() && judgement.leaks.is_empty();
    judgement
}
