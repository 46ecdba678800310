//! The trace of an event: which spans it has, and what their ids are.
//!
//! Trace context is data. The event's row holds the `traceparent` of the request that made it, and the ids of all further
//! spans follow from the ids of the event and of its attempts. So nobody hands a context on, a retry a week later is in
//! the same trace, and a span that is sent twice is still the same span.

use std::fmt;
use std::str::FromStr;

use crate::ids::{AttemptId, EventId};

/// A hop of an event's way. Each is a span with its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hop {
    /// The request that made a payment.
    Create,
    /// The request that changed a payment's status.
    Change,
    /// The SQL statements of either, up to the commit.
    Commit,
    /// From the commit until CDC has read it from PostgreSQL's log.
    Capture,
    /// From there through Kafka and Restate's subscription until the handler begins.
    Stay,
    /// The ledger decides which endpoints the event goes to.
    Route,
    /// An attempt of one delivery, from the question whether it may begin.
    Attempt,
    /// The object is read and the webhook signed, for one attempt.
    Read,
    /// The POST.
    Post,
    /// The merchant's handler.
    Receive,
}

impl Hop {
    /// All of them, in the order of the way.
    pub const ALL: [Self; 10] = [
        Self::Create,
        Self::Change,
        Self::Commit,
        Self::Capture,
        Self::Stay,
        Self::Route,
        Self::Attempt,
        Self::Read,
        Self::Post,
        Self::Receive,
    ];

    /// The span's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "payments.create",
            Self::Change => "payments.change",
            Self::Commit => "payments.commit",
            Self::Capture => "cdc.capture",
            Self::Stay => "kafka.stay",
            Self::Route => "event.route",
            Self::Attempt => "delivery.attempt",
            Self::Read => "payload.read",
            Self::Post => "webhook.post",
            Self::Receive => "webhook.receive",
        }
    }

    /// The hop of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hop| hop.name() == name)
    }
}

/// What is known of a span by those that come after it, as the header `traceparent` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    /// Never zero.
    pub trace_id: u128,
    /// Never zero.
    pub span_id: u64,
    /// Whether the spans of this trace are kept.
    pub is_sampled: bool,
}

/// The text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent as W3C Trace Context has it")]
pub struct NotATraceparent;

impl FromStr for Traceparent {
    type Err = NotATraceparent;

    /// Of a later version only what version 00 has is read, as the specification wants it.
    fn from_str(text: &str) -> Result<Self, NotATraceparent> {
        let mut parts = text.splitn(5, '-');
        let mut part = || parts.next().ok_or(NotATraceparent);
        let (version, trace, span, flags) = (part()?, part()?, part()?, part()?);
        let known = match version {
            "00" => parts.next().is_none(),
            _ => version != "ff",
        };
        let [version, flags] = [(version, 2), (flags, 2)].map(|(text, digits)| hex(text, digits));
        let (trace_id, span_id) = (hex(trace, 32), hex(span, 16).and_then(|id| u64::try_from(id).ok()));
        match (known, version, trace_id, span_id, flags) {
            (true, Some(_), Some(trace_id @ 1..), Some(span_id @ 1..), Some(flags)) => {
                Ok(Self { trace_id, span_id, is_sampled: flags & 1 == 1 })
            }
            _ => Err(NotATraceparent),
        }
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id, is_sampled } = self;
        write!(f, "00-{}-{span_id:016x}-{:02x}", TraceId(*trace_id), u8::from(*is_sampled))
    }
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Which share of traces is kept, from 0 to 1. Who decides alike for a trace decides alike everywhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio(f64);

/// The number is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a share of traces is a number from 0 to 1")]
pub struct NotARatio;

impl SampleRatio {
    /// All traces are kept.
    pub const ALL: Self = Self(1.0);

    /// Whether a trace is kept that nobody has decided on.
    #[must_use]
    pub fn keeps(self, trace_id: u128) -> bool {
        /// As many as an f64 tells apart.
        const BITS: u32 = 53;
        const MASK: u128 = (1 << BITS) - 1;
        let place = u64::try_from(trace_id & MASK).unwrap_or(u64::MAX);
        #[expect(clippy::cast_precision_loss, reason = "both have 53 bits at most")]
        let (place, all) = (place as f64, (1_u64 << BITS) as f64);
        place < self.0 * all
    }
}

impl FromStr for SampleRatio {
    type Err = NotARatio;

    fn from_str(text: &str) -> Result<Self, NotARatio> {
        let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.map(Self).ok_or(NotARatio)
    }
}

impl fmt::Display for SampleRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A trace's id as logs have it: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub u128);

impl TraceId {
    /// Of the trace that an event whose row has this `traceparent` is in, kept or not. A change that another program than
    /// ours has made has no `traceparent`: its trace has the event's number.
    #[must_use]
    pub fn of(event_id: EventId, traceparent: Option<&str>) -> Self {
        let parent = traceparent.and_then(|text| text.parse::<Traceparent>().ok());
        parent.map_or_else(|| Self::own(event_id), |parent| Self(parent.trace_id))
    }

    fn own(event_id: EventId) -> Self {
        Self(event_id.uuid().as_u128())
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The trace that an event is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTrace {
    /// Of the trace.
    pub trace_id: u128,
    /// The event.
    pub event_id: EventId,
}

impl EventTrace {
    /// The trace of an event whose row has this `traceparent`, and the span that it names; none if it is not kept.
    ///
    /// A change that another program than ours has made has no `traceparent`: its trace has the event's number, and `ratio`
    /// decides whether it is kept.
    #[must_use]
    pub fn of(event_id: EventId, traceparent: Option<&str>, ratio: SampleRatio) -> Option<(Self, Option<u64>)> {
        match traceparent.and_then(|text| text.parse::<Traceparent>().ok()) {
            Some(parent) => {
                parent.is_sampled.then_some((Self { trace_id: parent.trace_id, event_id }, Some(parent.span_id)))
            }
            None => {
                let TraceId(trace_id) = TraceId::own(event_id);
                ratio.keeps(trace_id).then_some((Self { trace_id, event_id }, None))
            }
        }
    }

    /// The span of a hop that the event makes once: `cdc.capture`, `kafka.stay`, `event.route`.
    #[must_use]
    pub fn once(&self, hop: Hop) -> u64 {
        span_id(self.event_id.uuid().as_u128(), hop)
    }

    /// What the receiver of an attempt is told.
    #[must_use]
    pub fn of_post(&self, attempt_id: AttemptId) -> Traceparent {
        Traceparent { trace_id: self.trace_id, span_id: of_attempt(attempt_id, Hop::Post), is_sampled: true }
    }
}

/// The span of a hop that each attempt makes: `delivery.attempt`, `payload.read`, `webhook.post`.
#[must_use]
pub fn of_attempt(attempt_id: AttemptId, hop: Hop) -> u64 {
    span_id(attempt_id.uuid().as_u128(), hop)
}

/// The lower half of a UUID is random, with two bits that are set or not; turned so far, it is the hop's own.
fn span_id(uuid: u128, hop: Hop) -> u64 {
    let low = u64::try_from(uuid & u128::from(u64::MAX)).unwrap_or(u64::MAX);
    let turned = low.rotate_left(7 * (hop as u32 + 1));
    // An id that was made by hand may have nothing there.
    if turned == 0 { hop as u64 + 1 } else { turned }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

    fn event(n: u128) -> EventId {
        EventId::from_uuid(Uuid::from_u128(n))
    }

    #[test]
    fn a_traceparent_is_read_as_the_specification_wants_it() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read: Traceparent = valid.parse().unwrap();
        assert_eq!(read, Traceparent { trace_id: TRACE, span_id: 0xf0_67aa_0ba9_02b7, is_sampled: true });
        assert_eq!(read.to_string(), valid);
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02-what-comes-later";
        assert!(!later.parse::<Traceparent>().unwrap().is_sampled);
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(wrong.parse::<Traceparent>().is_err(), "{wrong} was taken for a traceparent");
        }
    }

    #[test]
    fn an_event_is_in_the_trace_of_its_request_or_in_one_of_its_own() {
        let sampled = format!("00-{TRACE:032x}-00f067aa0ba902b7-01");
        let (trace, parent) = EventTrace::of(event(7), Some(&sampled), "0".parse().unwrap()).unwrap();
        assert_eq!((trace.trace_id, parent), (TRACE, Some(0xf0_67aa_0ba9_02b7)));
        let dropped = format!("00-{TRACE:032x}-00f067aa0ba902b7-00");
        assert_eq!(EventTrace::of(event(7), Some(&dropped), SampleRatio::ALL), None, "the request has decided");
        let (trace, parent) = EventTrace::of(event(7), None, SampleRatio::ALL).unwrap();
        assert_eq!((trace.trace_id, parent), (7, None));
        assert_eq!(EventTrace::of(event(7), Some("nonsense"), "0".parse().unwrap()), None);
    }

    #[test]
    fn a_share_of_the_traces_is_kept_and_no_other_number_is_one() {
        let kept = |ratio: &str| {
            let ratio: SampleRatio = ratio.parse().unwrap();
            (0..10_000_u64).filter(|n| ratio.keeps(u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))).count()
        };
        assert_eq!((kept("0"), kept("1")), (0, 10_000));
        assert!((900..1_100).contains(&kept("0.1")), "{}", kept("0.1"));
        for wrong in ["-0.1", "1.1", "NaN", "half", ""] {
            assert!(wrong.parse::<SampleRatio>().is_err(), "{wrong} was taken for a share");
        }
    }

    proptest! {
        #[test]
        fn the_spans_of_an_event_and_of_its_attempt_are_all_different(n: u128, m: u128) {
            prop_assume!(n & u128::from(u64::MAX) != m & u128::from(u64::MAX));
            let trace = EventTrace { trace_id: TRACE, event_id: event(n) };
            let attempt = AttemptId::from_uuid(Uuid::from_u128(m));
            let mut ids = HashSet::new();
            for hop in [Hop::Capture, Hop::Stay, Hop::Route] {
                ids.insert(trace.once(hop));
            }
            for hop in [Hop::Attempt, Hop::Read, Hop::Post] {
                ids.insert(of_attempt(attempt, hop));
            }
            // Two that repeat a short pattern of bits may fall together; UUIDs do not.
            prop_assume!(n.count_ones() > 20 && m.count_ones() > 20);
            prop_assert!(ids.len() == 6 && !ids.contains(&0), "{:x?}", ids);
        }

        #[test]
        fn a_traceparent_is_read_as_it_was_written(trace_id in 1_u128.., span_id in 1_u64.., is_sampled: bool) {
            let traceparent = Traceparent { trace_id, span_id, is_sampled };
            prop_assert_eq!(traceparent.to_string().parse(), Ok(traceparent));
        }

        #[test]
        fn what_is_read_is_valid(
            version in "[0-9a-f]{2}|.{0,3}",
            trace in "[0-9a-f]{32}|0{32}|.{0,33}",
            span in "[0-9a-f]{16}",
            flags in "[0-9a-fA-F]{1,3}",
            more in "(-.{0,5})?"
        ) {
            let is_hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            let is_valid = version.len() == 2 && is_hex(&version) && version != "ff"
                && (version != "00" || more.is_empty())
                && trace.len() == 32 && is_hex(&trace) && trace != "0".repeat(32) && span != "0".repeat(16)
                && flags.len() == 2 && is_hex(&flags);
            let text = format!("{version}-{trace}-{span}-{flags}{more}");
            prop_assert_eq!(text.parse::<Traceparent>().is_ok(), is_valid, "{}", text);
        }
    }
}
