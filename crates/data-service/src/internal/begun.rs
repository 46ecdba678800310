//! The attempts that this process has begun lately and that are not recorded. A consumer tells what it has in flight with
//! each question; but of what it asks for all at once, none is in flight yet.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

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
}

impl Begun {
    /// None has begun. Each counts for so long.
    pub fn new(on_the_way: Duration) -> Self {
        Self { on_the_way, deliveries: VecDeque::new(), endpoints: HashMap::new(), counts: HashMap::new() }
    }

    /// An attempt of the delivery begins.
    pub fn begin(&mut self, delivery_id: &str, endpoint_id: &str, now: Instant) {
        self.end(delivery_id);
        self.endpoints.insert(delivery_id.to_owned(), (now, endpoint_id.to_owned()));
        self.deliveries.push_back((now, delivery_id.to_owned()));
        *self.counts.entry(endpoint_id.to_owned()).or_default() += 1;
    }

    /// It is recorded.
    pub fn end(&mut self, delivery_id: &str) {
        let Some((_, endpoint_id)) = self.endpoints.remove(delivery_id) else { return };
        if let Some(count) = self.counts.get_mut(&endpoint_id) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&endpoint_id);
            }
        }
    }

    /// Those that may not be in what a consumer tells.
    pub fn count(&self, endpoint_id: &str) -> u32 {
        self.counts.get(endpoint_id).copied().unwrap_or_default()
    }

    /// Forgets those that began too long ago.
    pub fn forget_old(&mut self, now: Instant) {
        while self.deliveries.front().is_some_and(|(began, _)| now.duration_since(*began) > self.on_the_way) {
            let Some((began, delivery_id)) = self.deliveries.pop_front() else { return };
            if self.endpoints.get(&delivery_id).is_some_and(|(last, _)| *last == began) {
                self.end(&delivery_id);
            }
        }
    }
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
        assert_eq!((begun.count("ep_1"), begun.count("ep_2"), begun.count("ep_3")), (3, 1, 0));
        begun.end("dlv_2");
        begun.end("dlv_2");
        assert_eq!(begun.count("ep_1"), 2);
        begun.forget_old(now + ON_THE_WAY + Duration::from_millis(1));
        assert_eq!((begun.count("ep_1"), begun.count("ep_2")), (0, 1));
        assert_eq!(
            (begun.counts.len(), begun.deliveries.len(), begun.endpoints.len()),
            (1, 1, 1),
            "nothing is kept of them"
        );
    }

    #[test]
    fn one_that_began_again_after_its_end_is_not_forgotten_with_the_first() {
        let (mut begun, now) = (Begun::new(ON_THE_WAY), Instant::now());
        begun.begin("dlv_1", "ep_1", now);
        begun.end("dlv_1");
        begun.begin("dlv_1", "ep_1", now + ON_THE_WAY);
        begun.forget_old(now + ON_THE_WAY + Duration::from_millis(1));
        assert_eq!(begun.count("ep_1"), 1);
    }
}
