//! What this process has in flight, by endpoint. data-service hears of it with each question, and keeps a slow endpoint
//! within its share. It is exact, costs nothing on the ledger, and a process that dies takes its attempts with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::ids::EndpointId;
use domain::protocol::{BUSY_FROM, Busy};

/// The attempts under way.
#[derive(Debug, Clone)]
pub struct InFlight(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    since: Instant,
    endpoints: HashMap<EndpointId, Attempts>,
}

#[derive(Debug, Default)]
struct Attempts {
    count: u32,
    /// When they began, added up.
    began: Duration,
}

/// An attempt under way, until it is dropped.
#[derive(Debug)]
pub struct UnderWay {
    all: InFlight,
    endpoint_id: EndpointId,
    began: Duration,
}

impl Default for InFlight {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { since: Instant::now(), endpoints: HashMap::new() })))
    }
}

impl InFlight {
    /// An attempt at the endpoint begins.
    pub fn begin(&self, endpoint_id: EndpointId) -> UnderWay {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let began = state.since.elapsed();
        let attempts = state.endpoints.entry(endpoint_id).or_default();
        attempts.count += 1;
        attempts.began += began;
        UnderWay { all: self.clone(), endpoint_id, began }
    }

    /// The endpoints with many attempts under way.
    pub fn busy(&self) -> Vec<Busy> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = state.since.elapsed();
        let busy = state.endpoints.iter().filter(|(_, attempts)| attempts.count >= BUSY_FROM);
        let tell = |(endpoint_id, attempts): (&EndpointId, &Attempts)| Busy {
            endpoint_id: *endpoint_id,
            attempts: attempts.count,
            age_ms: u64::try_from(now.saturating_sub(attempts.began / attempts.count).as_millis()).unwrap_or(u64::MAX),
        };
        busy.map(tell).collect()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attempts) = state.endpoints.get_mut(&self.endpoint_id) {
            attempts.count = attempts.count.saturating_sub(1);
            attempts.began = attempts.began.saturating_sub(self.began);
            if attempts.count == 0 {
                state.endpoints.remove(&self.endpoint_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_endpoint_is_told_while_it_has_many_attempts_under_way() {
        let (busy, idle) = (EndpointId::from_uuid(Uuid::now_v7()), EndpointId::from_uuid(Uuid::now_v7()));
        let in_flight = InFlight::default();
        let mut under_way: Vec<UnderWay> = (0..BUSY_FROM).map(|_| in_flight.begin(busy)).collect();
        under_way.push(in_flight.begin(idle));
        let told = in_flight.busy();
        assert_eq!((told.len(), told[0].endpoint_id, told[0].attempts), (1, busy, BUSY_FROM));
        under_way.remove(0);
        assert_eq!(in_flight.busy(), []);
        under_way.clear();
        assert!(in_flight.0.lock().unwrap().endpoints.is_empty());
    }
}
