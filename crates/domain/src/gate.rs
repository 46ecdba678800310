//! What an endpoint lets through now: its rate, its share of the attempts in flight, and its circuit.
//!
//! Whoever waits for the rate reserves a slot to come back in, so that it wakes once and never together with all the
//! others. Whoever waits for the share or the circuit has no time to come back at: it stays on the ledger until an attempt that ends
//! lets it in, or the reconciler, which looks for gates at which nothing moves. So those who stay cost nothing, however
//! many they are. The ledger keeps the gate; each batch of attempts passes through it in one transaction.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::ledger::SHORTEST_WAIT;

/// Slots are so much further apart than the rate asks: the way to the receiver is not always as long.
const SLACK: f64 = 1.07;

/// Whoever waits for a slot of the rate comes back so long before it, for timers may be late; what is left of the wait
/// is told with the attempt. A slot whose owner is later than that is lost.
const LONGEST_LEAD: Duration = Duration::from_millis(1_500);

/// Nothing is told of a slot that is so near, but the first after a pause: the answer may be on its way for so long, and
/// then the POST would leave together with the next one.
const SHORTEST_NOTICE: Duration = Duration::from_millis(250);

/// At a high rate so many at a time wait for their moment there, or those of twice the shortest notice.
const MOST_IN_LEAD: u32 = 100;

/// Whoever waits at the gate is overdue after so long, if nobody has let it in: then something has gone wrong. It is long,
/// since an endpoint that is down for days may have many.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// What is asked of every endpoint alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attempts in flight to one endpoint from one process.
    pub share: u32,
    /// After so many failures without a success between them, the circuit opens. None: it never does.
    pub opens_after: Option<NonZeroU32>,
    /// From then to the first probe. It doubles with each.
    pub shortest_open: Duration,
    /// The longest time between two probes.
    pub longest_open: Duration,
    /// An endpoint that has failed for so long without a success is disabled. None: never.
    pub disabled_after: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            share: 100,
            opens_after: NonZeroU32::new(10),
            shortest_open: Duration::from_secs(5),
            longest_open: Duration::from_secs(300),
            disabled_after: Some(Duration::from_secs(5 * 24 * 3600)),
        }
    }
}

/// An open circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// Until the next attempt may try it; zero when that moment has passed.
    pub probe_in: Duration,
    /// How many have tried it.
    pub probes: u32,
}

/// The gate of one endpoint. Times are from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// Attempts a second.
    pub rate: Option<NonZeroU32>,
    /// The first slot that nobody has; zero when that moment has passed.
    pub free_slot_in: Duration,
    /// Failures without a success between them.
    pub failures: u32,
    /// For how long it has failed without a success; zero when it has not.
    pub failing_for: Duration,
    /// The circuit, if it is open.
    pub circuit: Option<Open>,
}

/// What the gate says to an attempt that might begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It begins, and its POST leaves after so long.
    Begins {
        /// Zero is at once.
        starts_in: Duration,
    },
    /// It comes back after so long.
    Waits {
        /// Until it comes back.
        wait: Duration,
        /// Until its slot: it takes no other one.
        slot_in: Duration,
    },
    /// It waits until it is let in.
    Stays {
        /// It is overdue after so long.
        forgotten_after: Duration,
    },
}

impl Admission {
    /// At once.
    pub const NOW: Self = Self::Begins { starts_in: Duration::ZERO };

    /// Until it is let in.
    pub const STAYS: Self = Self::Stays { forgotten_after: FORGOTTEN_AFTER };

    /// The same, told so much later.
    #[must_use]
    pub fn later_by(self, passed: Duration) -> Self {
        match self {
            Self::Begins { starts_in } => Self::Begins { starts_in: starts_in.saturating_sub(passed) },
            Self::Waits { wait, slot_in } => Self::Waits {
                wait: wait.saturating_sub(passed).max(SHORTEST_WAIT),
                slot_in: slot_in.saturating_sub(passed),
            },
            Self::Stays { .. } => self,
        }
    }
}

impl Gate {
    /// The gate of an endpoint that nobody has had anything to do with.
    #[must_use]
    pub const fn new(rate: Option<NonZeroU32>) -> Self {
        Self { rate, free_slot_in: Duration::ZERO, failures: 0, failing_for: Duration::ZERO, circuit: None }
    }

    /// Whether everything would come through, so that nothing of it needs to be kept.
    #[must_use]
    pub const fn is_wide_open(rate: Option<NonZeroU32>, is_circuit_open: bool, limits: &Limits, count: u32) -> bool {
        rate.is_none() && !is_circuit_open && count <= limits.share
    }

    /// An attempt wants to begin, which may be under way for `lease`, beside so many in flight from the same process.
    /// `slot_in` is the time until the slot that was reserved for it; none if it has none. One that is too near is lost.
    pub fn admit(&mut self, limits: &Limits, in_flight: u32, lease: Duration, slot_in: Option<Duration>) -> Admission {
        if let Some(circuit) = self.circuit {
            if circuit.probe_in > Duration::ZERO {
                return Admission::STAYS;
            }
            // Its answer is waited for before another one tries.
            let probe_in = limits.time_open(circuit.probes + 1).max(lease);
            self.circuit = Some(Open { probe_in, probes: circuit.probes + 1 });
            // Nothing else is sent meanwhile, so the rate has nothing to say.
            return Admission::NOW;
        }
        if in_flight >= limits.share {
            return Admission::STAYS;
        }
        let Some(rate) = self.rate else { return Admission::NOW };
        let gap = gap_of(rate);
        let kept = slot_in.filter(|slot_in| *slot_in >= SHORTEST_NOTICE);
        let notice = if self.free_slot_in.is_zero() { Duration::ZERO } else { SHORTEST_NOTICE };
        let starts_in = kept.unwrap_or_else(|| self.reserve(notice, gap));
        let lead = lead(gap);
        match starts_in <= lead {
            true => Admission::Begins { starts_in },
            false => Admission::Waits { wait: (starts_in - lead).max(SHORTEST_WAIT), slot_in: starts_in },
        }
    }

    /// An attempt has failed. True if the endpoint is to be disabled.
    pub fn fail(&mut self, limits: &Limits) -> bool {
        self.failures = self.failures.saturating_add(1);
        let opens = limits.opens_after.is_some_and(|after| self.failures >= after.get());
        // While it is open, what was under way before still fails, and changes nothing.
        if opens && self.circuit.is_none() {
            self.circuit = Some(Open { probe_in: limits.shortest_open, probes: 0 });
        }
        limits.disabled_after.is_some_and(|after| self.failing_for >= after)
    }

    fn reserve(&mut self, at_least: Duration, gap: Duration) -> Duration {
        let slot_in = self.free_slot_in.max(at_least);
        self.free_slot_in = slot_in + gap;
        slot_in
    }
}

impl Limits {
    /// How many of those who stay at the gate an attempt lets in that has ended, with so many still in flight from the same
    /// process: one takes its place, and after a success one more, until the share is full. So an endpoint that is back is
    /// asked for twice as much each time. The circuit must not be open.
    #[must_use]
    pub fn lets_in(&self, is_success: bool, in_flight: u32) -> u32 {
        self.share.saturating_sub(in_flight).min(if is_success { 2 } else { 1 })
    }

    /// How long a circuit stays open after so many probes.
    fn time_open(&self, probes: u32) -> Duration {
        self.shortest_open.saturating_mul(2_u32.saturating_pow(probes)).min(self.longest_open)
    }
}

fn lead(gap: Duration) -> Duration {
    LONGEST_LEAD.min(gap.saturating_mul(MOST_IN_LEAD)).max(2 * SHORTEST_NOTICE)
}

fn gap_of(rate: NonZeroU32) -> Duration {
    Duration::from_secs_f64(SLACK / f64::from(rate.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(20);
    const NOBODY: u32 = 0;

    fn rate(of: u32) -> Option<NonZeroU32> {
        Some(NonZeroU32::new(of).unwrap())
    }

    fn limits() -> Limits {
        Limits { opens_after: NonZeroU32::new(3), ..Limits::default() }
    }

    fn open_gate(limits: &Limits) -> Gate {
        let mut gate = Gate::new(None);
        for _ in 0..3 {
            assert!(!gate.fail(limits));
        }
        gate
    }

    /// When an admission says that the POST leaves, or may leave at the earliest.
    fn leaves_in(admission: Admission) -> Duration {
        match admission {
            Admission::Begins { starts_in } => starts_in,
            Admission::Waits { slot_in, .. } => slot_in,
            Admission::Stays { .. } => panic!("it stays"),
        }
    }

    #[test]
    fn without_a_rate_and_below_the_share_everything_begins_at_once() {
        let mut gate = Gate::new(None);
        assert_eq!(gate.admit(&limits(), 99, LEASE, None), Admission::NOW);
        assert_eq!(gate, Gate::new(None));
        assert!(Gate::is_wide_open(None, false, &limits(), 100));
        assert!(!Gate::is_wide_open(rate(1), false, &limits(), 0));
    }

    #[test]
    fn no_second_has_more_than_the_rate() {
        let mut gate = Gate::new(rate(50));
        let slots: Vec<Duration> = (0..500).map(|_| leaves_in(gate.admit(&limits(), NOBODY, LEASE, None))).collect();
        for (index, first) in slots.iter().enumerate() {
            let within = slots[index..].iter().take_while(|slot| **slot - *first < Duration::from_secs(1)).count();
            assert!(within <= 50, "{within} after {first:?}");
        }
        let average = 499.0 / (slots[499] - SHORTEST_NOTICE).as_secs_f64();
        assert!(average >= 46.5, "{average}");
    }

    #[test]
    fn whoever_comes_back_in_time_keeps_its_slot_and_whoever_is_late_gets_another() {
        let mut gate = Gate::new(rate(10));
        let admissions: Vec<Admission> = (0..18).map(|_| gate.admit(&limits(), NOBODY, LEASE, None)).collect();
        let Admission::Waits { wait, slot_in } = admissions[17] else { panic!("{admissions:?}") };
        assert_eq!(slot_in - wait, LONGEST_LEAD);

        let free = gate.free_slot_in;
        let back = gate.admit(&limits(), NOBODY, LEASE, Some(Duration::from_millis(251)));
        assert_eq!(back, Admission::Begins { starts_in: Duration::from_millis(251) });
        assert_eq!(gate.free_slot_in, free);
        assert_eq!(leaves_in(gate.admit(&limits(), NOBODY, LEASE, Some(Duration::from_millis(249)))), free);
        let free = gate.free_slot_in;
        assert_eq!(leaves_in(gate.admit(&limits(), NOBODY, LEASE, None)), free);
    }

    #[test]
    fn at_a_high_rate_those_of_half_a_second_wait_for_their_moment() {
        let mut gate = Gate::new(rate(1_000));
        let begun = (0..600).map(|_| gate.admit(&limits(), NOBODY, LEASE, None));
        let begun = begun.filter(|admission| matches!(admission, Admission::Begins { .. })).count();
        assert!((235..=245).contains(&begun), "{begun}");
    }

    #[test]
    fn above_the_share_they_stay_until_a_success_lets_one_or_two_in() {
        let mut gate = Gate::new(None);
        assert_eq!(gate.admit(&limits(), 100, LEASE, None), Admission::STAYS);
        assert_eq!(gate, Gate::new(None), "nothing is reserved");
        assert_eq!([0, 97, 98, 99, 100, 101].map(|in_flight| limits().lets_in(true, in_flight)), [2, 2, 2, 1, 0, 0]);
        assert_eq!([0, 99, 100].map(|in_flight| limits().lets_in(false, in_flight)), [1, 1, 0]);
    }

    #[test]
    fn the_circuit_opens_and_one_attempt_at_a_time_tries_it_ever_more_rarely() {
        let limits = limits();
        let mut gate = open_gate(&limits);
        assert_eq!(gate.circuit, Some(Open { probe_in: Duration::from_secs(5), probes: 0 }));
        assert_eq!(gate.admit(&limits, NOBODY, LEASE, None), Admission::STAYS);

        let passed = |gate: &mut Gate| gate.circuit.as_mut().unwrap().probe_in = Duration::ZERO;
        for probe_in in [20, 20, 40, 80, 160, 300, 300] {
            passed(&mut gate);
            assert_eq!(gate.admit(&limits, NOBODY, LEASE, None), Admission::NOW);
            assert_eq!(gate.circuit.unwrap().probe_in, Duration::from_secs(probe_in));
            assert_eq!(gate.admit(&limits, NOBODY, LEASE, None), Admission::STAYS);
            assert!(!gate.fail(&limits));
            assert_eq!(gate.circuit.unwrap().probe_in, Duration::from_secs(probe_in));
        }
    }

    #[test]
    fn an_endpoint_is_disabled_after_failing_for_long_and_not_before() {
        let limits = limits();
        let mut gate = Gate { failing_for: Duration::from_secs(5 * 24 * 3600 - 1), ..Gate::new(None) };
        assert!(!gate.fail(&limits));
        gate.failing_for += Duration::from_secs(1);
        assert!(gate.fail(&limits));
        assert!(!gate.fail(&Limits { disabled_after: None, ..limits }));
    }

    #[test]
    fn with_a_rate_an_open_circuit_reserves_no_slot_and_its_probe_needs_none() {
        let limits = limits();
        let mut gate = Gate { rate: rate(10), ..open_gate(&limits) };
        let before = gate;
        assert_eq!(gate.admit(&limits, NOBODY, LEASE, None), Admission::STAYS);
        assert_eq!(gate, before);

        // Somebody has to try, also one whose slot would be far off.
        gate.circuit = Some(Open { probe_in: Duration::ZERO, probes: 0 });
        assert_eq!(gate.admit(&limits, NOBODY, LEASE, None), Admission::NOW);
        assert_eq!(gate.circuit, Some(Open { probe_in: LEASE, probes: 1 }));
    }
}
