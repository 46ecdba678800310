//! Whoever is late for its slot in an endpoint's rate must not leave together with the next one: the POSTs of this process
//! to one endpoint leave one by one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::ids::EndpointId;

/// More endpoints than these are looked through for those that nobody waits at any more.
const MANY: usize = 256;

/// From when on the next POST may leave, by endpoint.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<HashMap<EndpointId, Instant>>>);

impl Turns {
    /// How long the next POST to the endpoint has to wait; the one after it waits for `apart` more.
    pub fn take(&self, endpoint_id: EndpointId, apart: Duration, now: Instant) -> Duration {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() > MANY {
            free.retain(|_, free_at| *free_at > now);
        }
        let free_at = free.entry(endpoint_id).or_insert(now);
        let turn = now.max(*free_at);
        *free_at = turn + apart;
        turn - now
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn those_that_come_together_leave_one_by_one_and_whoever_is_on_time_leaves_at_once() {
        let turns = Turns::default();
        let apart = Duration::from_millis(20);
        let now = Instant::now();
        let one = EndpointId::from_uuid(Uuid::now_v7());
        assert_eq!([0, 1, 2].map(|_| turns.take(one, apart, now)), [0, 20, 40].map(Duration::from_millis));
        assert_eq!(turns.take(EndpointId::from_uuid(Uuid::now_v7()), apart, now), Duration::ZERO);
        assert_eq!(turns.take(one, apart, now + Duration::from_millis(60)), Duration::ZERO);
    }

    #[test]
    fn endpoints_at_which_nobody_waits_are_forgotten() {
        let turns = Turns::default();
        let now = Instant::now();
        for _ in 0..=MANY {
            turns.take(EndpointId::from_uuid(Uuid::now_v7()), Duration::from_millis(1), now);
        }
        turns.take(EndpointId::from_uuid(Uuid::now_v7()), Duration::from_millis(1), now + Duration::from_secs(1));
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
