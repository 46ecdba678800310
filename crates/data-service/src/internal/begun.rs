//! The attempts that this process has begun lately and that are not recorded. A consumer tells what it has in flight with
//! each question; but of what it asks for all at once, none is in flight yet. At an endpoint that answers quickly, most of those
//! are over by the time that the next ones begin, so they weigh little.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// So much less weighs an attempt that nobody has told of, at an endpoint that answers quickly.
const LIGHTER: u32 = 10;

/// An endpoint that answers quickly may have so many times its share in flight: what is in flight there waits for this machine
/// more than for the endpoint, above all when a process that delivers has come back.
const ROOMIER: u32 = 4;

/// An endpoint that has accepted one in time answers quickly for so long. It outlasts the restart of the process that delivers.
/// One that has gone silent meanwhile gets no more than one that goes silent now: its consumer tells what it has in flight.
const QUICK_FOR: Duration = Duration::from_secs(10);

/// Attempts by endpoint.
#[derive(Debug)]
pub struct Begun {
    /// From an answer to the next question of the consumer that has it. Another process may record the result, so an attempt
    /// does not count for longer.
    on_the_way: Duration,
    /// Oldest first.
    deliveries: VecDeque<(Instant, String)>,
    endpoints: HashMap<String, (Instant, String)>,
    counts: HashMap<String, u32>,
    /// When an endpoint has last accepted one in that time.
    quick: HashMap<String, Instant>,
    /// When those were last looked through for old ones.
    quick_since: Instant,
}

impl Begun {
    /// None has begun. Each counts for so long.
    pub fn new(on_the_way: Duration) -> Self {
        Self {
            on_the_way,
            deliveries: VecDeque::new(),
            endpoints: HashMap::new(),
            counts: HashMap::new(),
            quick: HashMap::new(),
            quick_since: Instant::now(),
        }
    }

    /// An attempt of the delivery begins.
    pub fn begin(&mut self, delivery_id: &str, endpoint_id: &str, now: Instant) {
        self.take_out(delivery_id);
        self.endpoints.insert(delivery_id.to_owned(), (now, endpoint_id.to_owned()));
        self.deliveries.push_back((now, delivery_id.to_owned()));
        *self.counts.entry(endpoint_id.to_owned()).or_default() += 1;
    }

    /// It is recorded.
    pub fn end(&mut self, delivery_id: &str, is_accepted: bool, now: Instant) {
        if let Some(endpoint_id) = self.take_out(delivery_id)
            && is_accepted
        {
            self.quick.insert(endpoint_id, now);
        }
    }

    /// How many are in flight at the endpoint, as far as is known, beside `told` by the consumer that asks and `count` that
    /// begin just now.
    pub fn in_flight(&self, endpoint_id: &str, told: u32, count: u32, now: Instant) -> u32 {
        let begun = self.counts.get(endpoint_id).copied().unwrap_or_default();
        let is_quick = self.quick.get(endpoint_id).is_some_and(|at| is_quick(*at, now));
        let (lighter, roomier) = if is_quick { (LIGHTER, ROOMIER) } else { (1, 1) };
        (told / roomier).max(begun / lighter) + count / lighter
    }

    /// Forgets those that began too long ago.
    pub fn forget_old(&mut self, now: Instant) {
        while self.deliveries.front().is_some_and(|(began, _)| !self.is_lately(*began, now)) {
            let Some((began, delivery_id)) = self.deliveries.pop_front() else { return };
            if self.endpoints.get(&delivery_id).is_some_and(|(last, _)| *last == began) {
                self.take_out(&delivery_id);
            }
        }
        if !is_quick(self.quick_since, now) {
            self.quick.retain(|_, at| is_quick(*at, now));
            self.quick_since = now;
        }
    }

    fn is_lately(&self, at: Instant, now: Instant) -> bool {
        now.duration_since(at) <= self.on_the_way
    }

    fn take_out(&mut self, delivery_id: &str) -> Option<String> {
        let (_, endpoint_id) = self.endpoints.remove(delivery_id)?;
        if let Some(count) = self.counts.get_mut(&endpoint_id) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&endpoint_id);
            }
        }
        Some(endpoint_id)
    }
}

fn is_quick(accepted_at: Instant, now: Instant) -> bool {
    now.duration_since(accepted_at) <= QUICK_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON_THE_WAY: Duration = Duration::from_secs(1);

    #[test]
    fn an_attempt_counts_until_it_is_recorded_or_old() {
        let (mut begun, now) = (Begun::new(ON_THE_WAY), Instant::now());
        for delivery in ["dlv_1", "dlv_2", "dlv_3", "dlv_1"] {
            begun.begin(delivery, "ep_1", now);
        }
        begun.begin("dlv_4", "ep_2", now + ON_THE_WAY);
        assert_eq!(["ep_1", "ep_2", "ep_3"].map(|at| begun.in_flight(at, 0, 0, now)), [3, 1, 0]);
        begun.end("dlv_2", false, now);
        begun.end("dlv_2", false, now);
        assert_eq!(begun.in_flight("ep_1", 0, 0, now), 2);
        assert_eq!(begun.in_flight("ep_1", 5, 4, now), 9, "what is told is in it, and what begins is not");
        let later = now + ON_THE_WAY + Duration::from_millis(1);
        begun.forget_old(later);
        assert_eq!(["ep_1", "ep_2"].map(|at| begun.in_flight(at, 0, 0, later)), [0, 1]);
        assert_eq!(
            (begun.counts.len(), begun.deliveries.len(), begun.endpoints.len()),
            (1, 1, 1),
            "nothing is kept of them"
        );
    }

    #[test]
    fn where_one_was_accepted_in_time_the_others_weigh_little_for_a_while() {
        let (mut begun, now) = (Begun::new(ON_THE_WAY), Instant::now());
        let delivery = |n: u32| format!("dlv_{n}");
        (0..61).for_each(|n| begun.begin(&delivery(n), "ep_1", now));
        begun.end(&delivery(60), true, now);
        assert_eq!(begun.in_flight("ep_1", 0, 30, now), 9);
        assert_eq!(begun.in_flight("ep_1", 100, 30, now), 28, "of what is told, it may have more");
        let after_a_restart = now + ON_THE_WAY + Duration::from_millis(1);
        begun.forget_old(after_a_restart);
        assert_eq!(begun.in_flight("ep_1", 0, 30, after_a_restart), 3);
        let later = now + QUICK_FOR + Duration::from_millis(1);
        assert_eq!(begun.in_flight("ep_1", 0, 30, later), 30);
        begun.forget_old(later);
        begun.end(&delivery(1), true, later);
        assert_eq!(begun.in_flight("ep_1", 0, 30, later), 30, "it was not in time");
        assert!(begun.quick.is_empty(), "nothing is kept");
    }

    #[test]
    fn one_that_began_again_after_its_end_is_not_forgotten_with_the_first() {
        let (mut begun, now) = (Begun::new(ON_THE_WAY), Instant::now());
        begun.begin("dlv_1", "ep_1", now);
        begun.end("dlv_1", false, now);
        begun.begin("dlv_1", "ep_1", now + ON_THE_WAY);
        let later = now + ON_THE_WAY + Duration::from_millis(1);
        begun.forget_old(later);
        assert_eq!(begun.in_flight("ep_1", 0, 0, later), 1);
    }
}
