//! What the sweep remembers from one look to the next: what it has handed out lately, so that an event on its way
//! through Restate is not handed out again with each look, and how long it rests.
//!
//! It is only in this process's memory: forgetting it costs a look-up for each event.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// So many looks' worth may be on the way at once; then the next look waits until some of it is routed.
const MOST_LOOKS: usize = 20;

/// While an event stays unrouted, or a transaction open, each look passes over all that came later. After one that took
/// [`LONG`], the sweep rests so many times as long.
const REST: u32 = 9;
const LONG: Duration = Duration::from_secs(2);

/// The events that were handed out, and when.
#[derive(Debug, Default)]
pub struct HandedOut {
    since: HashMap<String, Instant>,
    rests_until: Option<Instant>,
}

impl HandedOut {
    /// Remembers these events.
    pub fn add(&mut self, event_ids: &[String], now: Instant) {
        self.since.extend(event_ids.iter().map(|id| (id.clone(), now)));
    }

    /// Those that were handed out less than `patience` ago; the others are forgotten.
    pub fn recent(&mut self, patience: Duration, now: Instant) -> HashSet<String> {
        self.since.retain(|_, since| now.duration_since(*since) < patience);
        self.since.keys().cloned().collect()
    }

    /// How many may be handed out now, if one look hands out at most `limit`.
    pub fn room(&self, limit: i64) -> i64 {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let room = limit.saturating_mul(MOST_LOOKS).saturating_sub(self.since.len());
        i64::try_from(limit.min(room)).unwrap_or(i64::MAX)
    }

    /// A look has taken so long.
    pub fn rest_after(&mut self, look: Duration, now: Instant) {
        self.rests_until = (look >= LONG).then(|| now + look * REST);
    }

    /// Whether the next look is to be left out.
    pub fn is_resting(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_out_is_remembered_for_its_time_and_bounds_what_is_on_the_way() {
        let (mut handed_out, start, patience) = (HandedOut::default(), Instant::now(), Duration::from_secs(60));
        assert_eq!(handed_out.room(3), 3);
        for look in 0..20 {
            let ids: Vec<String> = (0..3).map(|n| format!("evt_{look}_{n}")).collect();
            handed_out.add(&ids, start + Duration::from_secs(look));
        }
        assert_eq!(handed_out.room(3), 0);
        assert_eq!(handed_out.recent(patience, start + Duration::from_secs(59)).len(), 60);
        assert_eq!(handed_out.recent(patience, start + Duration::from_secs(60)).len(), 57);
        assert_eq!(handed_out.room(2), 0);
        assert_eq!(handed_out.room(3), 3);
        assert_eq!(handed_out.recent(Duration::ZERO, start + Duration::from_secs(60)).len(), 0);
    }

    #[test]
    fn long_looks_take_a_tenth_of_the_time_at_most() {
        let (mut handed_out, now) = (HandedOut::default(), Instant::now());
        assert!(!handed_out.is_resting(now));
        handed_out.rest_after(Duration::from_secs(3), now);
        assert!(handed_out.is_resting(now + Duration::from_millis(26_999)));
        assert!(!handed_out.is_resting(now + Duration::from_secs(27)));
        handed_out.rest_after(Duration::from_secs(1), now);
        assert!(!handed_out.is_resting(now));
    }
}
