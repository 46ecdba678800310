//! What was handed out lately, so that an event on its way through Restate is not handed out again with each look.
//!
//! It is only in this process's memory: forgetting it costs a look-up for each event.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// So many looks' worth may be on the way at once; then the next look waits until some of it is routed.
const MOST_LOOKS: usize = 20;

/// The events that were handed out, and when.
#[derive(Debug, Default)]
pub struct HandedOut(HashMap<String, Instant>);

impl HandedOut {
    /// Remembers these events.
    pub fn add(&mut self, event_ids: &[String], now: Instant) {
        self.0.extend(event_ids.iter().map(|id| (id.clone(), now)));
    }

    /// Those that were handed out less than `patience` ago; the others are forgotten.
    pub fn recent(&mut self, patience: Duration, now: Instant) -> Vec<String> {
        self.0.retain(|_, since| now.duration_since(*since) < patience);
        self.0.keys().cloned().collect()
    }

    /// How many may be handed out now, if one look hands out at most `limit`.
    pub fn room(&self, limit: i64) -> i64 {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let room = limit.saturating_mul(MOST_LOOKS).saturating_sub(self.0.len());
        i64::try_from(limit.min(room)).unwrap_or(i64::MAX)
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
        assert_eq!(handed_out.recent(Duration::ZERO, start + Duration::from_secs(60)), [""; 0]);
    }
}
