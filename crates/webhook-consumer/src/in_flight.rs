//! What this process has in flight, by endpoint. data-service hears of it with each question, and keeps a slow endpoint
//! within its share. It is exact, costs nothing on the ledger, and a process that dies takes its attempts with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::ids::EndpointId;
use domain::protocol::{BUSY_FROM, Busy};

/// The attempts under way.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Mutex<HashMap<EndpointId, u32>>>);

/// An attempt under way, until it is dropped.
#[derive(Debug)]
pub struct UnderWay {
    all: InFlight,
    endpoint_id: EndpointId,
}

impl InFlight {
    /// An attempt at the endpoint begins.
    pub fn begin(&self, endpoint_id: EndpointId) -> UnderWay {
        *self.counts().entry(endpoint_id).or_default() += 1;
        UnderWay { all: self.clone(), endpoint_id }
    }

    /// How many are under way at the endpoint.
    pub fn count(&self, endpoint_id: EndpointId) -> u32 {
        self.counts().get(&endpoint_id).copied().unwrap_or_default()
    }

    /// The endpoints with many attempts under way.
    pub fn busy(&self) -> Vec<Busy> {
        let counts = self.counts();
        let busy = counts.iter().filter(|(_, attempts)| **attempts >= BUSY_FROM);
        busy.map(|(endpoint_id, attempts)| Busy { endpoint_id: *endpoint_id, attempts: *attempts }).collect()
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<EndpointId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut counts = self.all.counts();
        if let Some(attempts) = counts.get_mut(&self.endpoint_id) {
            *attempts = attempts.saturating_sub(1);
            if *attempts == 0 {
                counts.remove(&self.endpoint_id);
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
        assert_eq!((in_flight.count(busy), in_flight.count(idle)), (BUSY_FROM - 1, 1));
        under_way.clear();
        assert!(in_flight.counts().is_empty(), "nothing is kept of those that have ended");
    }
}
