//! What an endpoint lets through now: its rate, its share of the attempts in flight, and its circuit.
//!
//! Whatever does not come through waits, and reserves a slot to come back in, so that it wakes once and never together
//! with all the others. The ledger keeps the gate; each batch of attempts passes through it in one transaction.

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

/// Waiters that no rate spreads come back within so many times their shortest wait, and within ten minutes. What is more
/// than fits in between shares its slots.
const LAP: u32 = 50;
const LONGEST_LAP: Duration = Duration::from_secs(600);

/// Between two who wait for the share. There may be thousands, and each that comes back too early costs as much as a
/// delivery.
const SHARE_GAP: Duration = Duration::from_millis(2);

/// Between two who wait for an open circuit: it wakes no crowd as it closes, and until then each that comes back costs as
/// much as a delivery (50 a second were 27 % of a core).
const CIRCUIT_GAP: Duration = Duration::from_millis(100);

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

/// The attempts in flight to an endpoint from the process that wants another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InFlight {
    /// How many.
    pub count: u32,
    /// How long ago they began, on average. In a steady state that is how long they still take.
    pub age: Duration,
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
        /// Until its slot, where the endpoint has a rate: there it takes no other one.
        slot_in: Option<Duration>,
    },
}

impl Admission {
    /// At once.
    pub const NOW: Self = Self::Begins { starts_in: Duration::ZERO };

    /// The same, told so much later.
    #[must_use]
    pub fn later_by(self, passed: Duration) -> Self {
        match self {
            Self::Begins { starts_in } => Self::Begins { starts_in: starts_in.saturating_sub(passed) },
            Self::Waits { wait, slot_in } => Self::Waits {
                wait: wait.saturating_sub(passed).max(SHORTEST_WAIT),
                slot_in: slot_in.map(|slot_in| slot_in.saturating_sub(passed)),
            },
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

    /// An attempt wants to begin, which may be under way for `lease`. `slot_in` is the time until the slot that was
    /// reserved for it; none if it has none. One that is too near is lost.
    pub fn admit(
        &mut self,
        limits: &Limits,
        in_flight: InFlight,
        lease: Duration,
        slot_in: Option<Duration>,
    ) -> Admission {
        if let Some(circuit) = self.circuit {
            if circuit.probe_in > Duration::ZERO {
                return self.wait(circuit.probe_in, CIRCUIT_GAP);
            }
            // Its answer is waited for before another one tries.
            let probe_in = limits.time_open(circuit.probes + 1).max(lease);
            self.circuit = Some(Open { probe_in, probes: circuit.probes + 1 });
            // Nothing else is sent meanwhile, so the rate has nothing to say.
            return Admission::NOW;
        }
        if in_flight.count >= limits.share {
            let gap = in_flight.age.saturating_mul(2) / limits.share.max(1);
            return self.wait(in_flight.age, gap.max(SHARE_GAP));
        }
        let Some(rate) = self.rate else { return Admission::NOW };
        let gap = gap_of(rate);
        let kept = slot_in.filter(|slot_in| *slot_in >= SHORTEST_NOTICE);
        let notice = if self.free_slot_in.is_zero() { Duration::ZERO } else { SHORTEST_NOTICE };
        let starts_in = kept.unwrap_or_else(|| self.reserve(notice, gap));
        let lead = lead(gap);
        match starts_in <= lead {
            true => Admission::Begins { starts_in },
            false => Admission::Waits { wait: (starts_in - lead).max(SHORTEST_WAIT), slot_in: Some(starts_in) },
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

    fn wait(&mut self, at_least: Duration, gap: Duration) -> Admission {
        let at_least = at_least.max(SHORTEST_WAIT);
        if let Some(rate) = self.rate {
            let gap = gap_of(rate);
            let slot_in = self.reserve(at_least, gap);
            return Admission::Waits { wait: slot_in.saturating_sub(lead(gap)).max(at_least), slot_in: Some(slot_in) };
        }
        if self.free_slot_in > at_least + at_least.saturating_mul(LAP).min(LONGEST_LAP) {
            self.free_slot_in = at_least;
        }
        Admission::Waits { wait: self.reserve(at_least, gap), slot_in: None }
    }

    fn reserve(&mut self, at_least: Duration, gap: Duration) -> Duration {
        let slot_in = self.free_slot_in.max(at_least);
        self.free_slot_in = slot_in + gap;
        slot_in
    }
}

impl Limits {
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
    const NOBODY: InFlight = InFlight { count: 0, age: Duration::ZERO };

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
            Admission::Waits { slot_in, wait } => slot_in.unwrap_or(wait),
        }
    }

    #[test]
    fn without_a_rate_and_below_the_share_everything_begins_at_once() {
        let mut gate = Gate::new(None);
        let in_flight = InFlight { count: 99, age: LEASE };
        assert_eq!(gate.admit(&limits(), in_flight, LEASE, None), Admission::NOW);
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
        let Admission::Waits { wait, slot_in: Some(slot_in) } = admissions[17] else { panic!("{admissions:?}") };
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
    fn above_the_share_waiters_come_back_one_by_one_as_fast_as_the_others_end() {
        let mut gate = Gate::new(None);
        let full = InFlight { count: 100, age: Duration::from_secs(5) };
        let waits: Vec<Duration> = (0..3).map(|_| leaves_in(gate.admit(&limits(), full, LEASE, None))).collect();
        assert_eq!(waits, [5_000, 5_100, 5_200].map(Duration::from_millis));
        assert_eq!(gate.admit(&limits(), NOBODY, LEASE, None), Admission::NOW);
    }

    #[test]
    fn the_queue_of_a_slow_endpoint_is_ten_minutes_long_at_most() {
        let mut gate = Gate::new(None);
        let full = InFlight { count: 100, age: Duration::from_secs(10) };
        let waits: Vec<Duration> = (0..5_000).map(|_| leaves_in(gate.admit(&limits(), full, LEASE, None))).collect();
        assert!(waits.iter().all(|wait| (10..=611).contains(&wait.as_secs())), "{:?}", waits.iter().max());
    }

    #[test]
    fn the_circuit_opens_and_one_attempt_at_a_time_tries_it_ever_more_rarely() {
        let limits = limits();
        let mut gate = open_gate(&limits);
        assert_eq!(gate.circuit, Some(Open { probe_in: Duration::from_secs(5), probes: 0 }));
        let waits = [0, 1].map(|_| leaves_in(gate.admit(&limits, NOBODY, LEASE, None)));
        assert_eq!(waits, [5_000, 5_100].map(Duration::from_millis));

        let passed = |gate: &mut Gate| gate.circuit.as_mut().unwrap().probe_in = Duration::ZERO;
        for probe_in in [20, 20, 40, 80, 160, 300, 300] {
            passed(&mut gate);
            assert_eq!(gate.admit(&limits, NOBODY, LEASE, None), Admission::NOW);
            assert_eq!(gate.circuit.unwrap().probe_in, Duration::from_secs(probe_in));
            assert!(matches!(gate.admit(&limits, NOBODY, LEASE, None), Admission::Waits { .. }));
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
    fn with_a_rate_even_those_that_an_open_circuit_sends_away_have_slots_of_it() {
        let limits = limits();
        let mut gate = Gate { rate: rate(10), ..open_gate(&limits) };
        let slots = [0, 1].map(|_| leaves_in(gate.admit(&limits, NOBODY, LEASE, None)));
        assert_eq!(slots, [5_000, 5_107].map(Duration::from_millis));

        // A newcomer whose slot would be far off is let through all the same: somebody has to try.
        gate.circuit = Some(Open { probe_in: Duration::ZERO, probes: 0 });
        assert_eq!(gate.admit(&limits, NOBODY, LEASE, None), Admission::NOW);
        assert_eq!(gate.circuit, Some(Open { probe_in: LEASE, probes: 1 }));
    }
}
