//! The judgement in words, readable without colour.

use std::fmt;

use super::{Fault, Faulty, Judgement, Kind, Leak};
use crate::verdict::first_ones;

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, count: u64, meaning: &str| writeln!(f, "{name:<17} {count:>9}   {meaning}");
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        line("events", count(self.events), "delivered, whose traces were looked at")?;
        if self.not_sampled > 0 {
            line("  not sampled", count(self.not_sampled), "delivered besides, and no trace is kept of them")?;
        }
        line("attempts", count(self.attempts), "of these events, on the ledger")?;
        line("  unknown", count(self.unknown_attempts), "of these, whose spans may have died with their process")?;
        line("spans", count(self.spans), "in the files")?;
        line("  of Restate", count(self.restate_spans), "of these")?;
        line("lines cut off", self.lines_cut_off, "at the ends of files (allowed)")?;
        line("faulty events", count(self.faulty.len()), "whose trace is not as it should be")?;
        line("leaks", count(self.leaks.len()), "places where something secret is said")?;
        if !self.faulty.is_empty() {
            writeln!(f, "faults:")?;
        }
        for ((kind, hop), count) in self.by_kind() {
            writeln!(f, "  {count:>6}   {}: {kind}", hop.unwrap_or("the trace"))?;
        }
        first_ones(f, &self.faulty, Faulty::to_string)?;
        if !self.leaks.is_empty() {
            writeln!(f, "leaks:")?;
            first_ones(f, &self.leaks, Leak::to_string)?;
        }
        f.write_str(match (self.is_well, self.events) {
            (true, _) => "Every hop of every delivered event is there.",
            (false, 0) => "Nothing was delivered of which a trace is kept, so there is nothing to check.",
            (false, _) => "The traces are not as they should be.",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTrace => "is not there",
            Self::OtherTrace => "is not the only one",
            Self::NotSampled => "should not be kept",
            Self::Missing => "is missing",
            Self::Twice => "is there more than once",
            Self::Id => "has another id",
            Self::Service => "is another service's",
            Self::Parent => "hangs on another span",
            Self::Time => "has times that can't be",
            Self::Attribute => "lacks an attribute, or has another",
            Self::Link => "is not linked to Restate's",
            Self::NotOnLedger => "has an attempt that is not on the ledger",
        })
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.event_id)?;
        match &self.trace_id {
            Some(trace_id) => write!(f, " in trace {trace_id}:")?,
            None => write!(f, ":")?,
        }
        self.faults.iter().try_for_each(|fault| write!(f, "\n    {fault}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, place, what, .. } = self;
        match (&self.trace_id, &self.span_id) {
            (Some(trace_id), Some(span_id)) => {
                let name = self.name.as_deref().unwrap_or("a span");
                write!(f, "{name} of {service} (span {span_id} of trace {trace_id}): its {place} holds {what}")
            }
            _ => write!(f, "{service}: the {place} holds {what}"),
        }
    }
}
