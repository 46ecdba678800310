//! The verdict in words, readable without colour.

use std::fmt;

use super::{Verdict, Wrong};

/// So many of each list are shown; `--json` has them all.
const SHOWN: usize = 20;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, count: u64, meaning: &str| writeln!(f, "{name:<14} {count:>9}   {meaning}");
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        line("acknowledged", count(self.acknowledged), "changes that the API has promised")?;
        line("expected", count(self.expected), "each of them at each endpoint that wants it")?;
        line("delivered", count(self.delivered), "of the expected, those that arrived")?;
        line("lost", count(self.lost), "expected and not arrived")?;
        if self.superseded > 0 {
            line("superseded", count(self.superseded), "not expected: the latest only was wanted, and came")?;
        }
        line("repeated", count(self.repeated), "accepted more than once (allowed)")?;
        if let Some(unexplained) = self.unexplained {
            line("  unexplained", count(unexplained), "of these, by neither the attempt log nor a fault")?;
        }
        line("phantom", count(self.phantom), "arrived, and there is no such change")?;
        line("stale", count(self.stale), "showed an object older than the event")?;
        line("unsigned", self.unsigned, "requests whose signature was not accepted")?;
        line("out of order", count(self.out_of_order), "came after a later one, where order is wanted")?;
        line("late", count(self.late), "arrived later than asked for (allowed)")?;
        line("unacknowledged", count(self.unacknowledged), "arrived and true, but promised to nobody here")?;
        line("unknown", count(self.unknown), "requests that nobody answered")?;
        self.lists(f)?;
        f.write_str(match (self.balanced, self.expected) {
            (true, _) => "The account balances.",
            (false, 0) => "Nothing was expected, so nothing is shown.",
            (false, _) => "The account does not balance.",
        })
    }
}

impl Verdict {
    fn lists(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = &self.lists;
        list(f, "lost", &lists.lost, |l| {
            let (id, version, event, at) = (l.payment_id, l.version, &l.event_type, l.endpoint_id);
            format!("{id} version {version} ({event}) at {at}, acknowledged {}, {}", l.acknowledged_at, l.reference)
        })?;
        list(f, "phantom", &lists.phantom, |p| {
            let payment = p.payment_id.as_deref().unwrap_or("no payment");
            let version = p.event_version.map_or_else(|| "?".to_owned(), |version| version.to_string());
            format!("{} at {}: {payment} version {version}: {}", p.webhook_id, p.endpoint_id, p.reason)
        })?;
        list(f, "stale", &lists.stale, |s| {
            let shown = s.shown_version.map_or_else(|| "no version".to_owned(), |shown| format!("version {shown}"));
            let moment = |at: Option<_>| at.map_or_else(|| "no time".to_owned(), |at| format!("{at}"));
            let (observed, occurred) = (moment(s.observed_at), moment(s.occurred_at));
            let event = format!("its event is of version {} and {occurred}", s.event_version);
            format!("{} at {} showed {shown} observed {observed}; {event}", s.webhook_id, s.endpoint_id)
        })?;
        list(f, "unsigned", &lists.unsigned, |u| {
            let id = u.webhook_id.as_deref().unwrap_or("a request without webhook-id");
            format!("{id} at {}, received {}: {}", u.endpoint_id, u.received_at, u.reason)
        })?;
        list(f, "repeated", &lists.repeated, |r| {
            let cause = |n: usize| r.causes.get(n).map_or_else(String::new, |cause| format!(" ({cause})"));
            let times: Vec<_> = r.repeats.iter().enumerate().map(|(n, at)| format!("{at}{}", cause(n))).collect();
            format!("{} at {}, first {}, again {}", r.webhook_id, r.endpoint_id, r.first_at, times.join(", "))
        })?;
        list(f, "out of order", &lists.out_of_order, |o| {
            let (id, version, after, at) = (o.payment_id, o.version, o.after_version, o.arrived_at);
            format!("{} at {}: {id} version {version} came after version {after}, {at}", o.webhook_id, o.endpoint_id)
        })?;
        list(f, "late", &lists.late, |l| {
            let (id, version, after) = (l.payment_id, l.version, l.after_ms);
            format!(
                "{} at {}: {id} version {version}, {after} ms after its acknowledgement",
                l.webhook_id, l.endpoint_id
            )
        })?;
        list(f, "unacknowledged", &lists.unacknowledged, |u| {
            format!("{} at {}: {} version {}", u.webhook_id, u.endpoint_id, u.payment_id, u.version)
        })?;
        list(f, "unknown", &lists.unknown, |i| match (i.payment_id, i.status) {
            (Some(payment_id), Some(status)) => format!("{}: {payment_id} to {status}", i.key),
            _ => format!("{}: a payment of {}, {}", i.key, i.merchant_id, i.reference),
        })
    }
}

fn list<T>(f: &mut fmt::Formatter<'_>, name: &str, items: &[T], show: impl Fn(&T) -> String) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(f, "{name}:")?;
    first_ones(f, items, show)
}

/// The first ones, a line each, and how many more there are.
pub(crate) fn first_ones<T>(f: &mut fmt::Formatter<'_>, items: &[T], show: impl Fn(&T) -> String) -> fmt::Result {
    for item in items.iter().take(SHOWN) {
        writeln!(f, "  {}", show(item))?;
    }
    if items.len() > SHOWN {
        writeln!(f, "  and {} more; --json lists them all", items.len() - SHOWN)?;
    }
    Ok(())
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NamesNoChange => "its body names no payment, version or type",
            Self::NoSuchPayment => "there is no such payment",
            Self::NoSuchVersion => "the payment has not reached that version",
            Self::AnotherType => "the change brought another event type",
            Self::SecondEvent => "another webhook has told this endpoint of the same change",
            Self::AnotherMerchant => "the payment belongs to another merchant",
            Self::UnwantedType => "the endpoint does not want this type",
        })
    }
}
