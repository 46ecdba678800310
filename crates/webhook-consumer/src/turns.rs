//! Whoever is late for its slot in an endpoint's rate must not leave together with the next one: the POSTs of this process
//! to one endpoint leave one by one, also after the process has stood still for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ids::EndpointId;
use tokio::time::Instant;

/// More endpoints than these are looked through for those that nobody waits at any more.
const MANY: usize = 256;

/// At the lowest rate, of one a second, they leave no further apart.
const LONGEST_APART: Duration = Duration::from_secs(1);

/// When the last POST has left, by endpoint.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<HashMap<EndpointId, Turn>>>);

type Turn = Arc<tokio::sync::Mutex<Option<Instant>>>;

impl Turns {
    /// Waits until the last POST to the endpoint has left so long ago.
    pub async fn wait(&self, endpoint_id: EndpointId, apart: Duration) {
        let turn = self.of(endpoint_id);
        let mut last = turn.lock().await;
        let now = Instant::now();
        // Of the moment at which it was to leave, not of that at which it did: timers are late by a millisecond, and that
        // must not add up.
        let leaves = last.map_or(now, |last| now.max(last + apart));
        tokio::time::sleep_until(leaves).await;
        *last = Some(leaves);
    }

    fn of(&self, endpoint_id: EndpointId) -> Turn {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() > MANY {
            // Somebody may have one in hand that waits for nobody yet.
            let is_over = |last: Option<Instant>| last.is_none_or(|last| last.elapsed() > LONGEST_APART);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1 || turn.try_lock().map_or(true, |last| !is_over(*last)));
        }
        turns.entry(endpoint_id).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use uuid::Uuid;

    use super::*;

    const APART: Duration = Duration::from_millis(20);

    fn endpoint() -> EndpointId {
        EndpointId::from_uuid(Uuid::now_v7())
    }

    #[tokio::test]
    async fn those_that_come_together_leave_one_by_one() {
        let (turns, one, began) = (Turns::default(), endpoint(), Instant::now());
        let leave = async |endpoint_id| {
            turns.wait(endpoint_id, APART).await;
            began.elapsed()
        };
        let left = join_all([leave(one), leave(one), leave(one), leave(endpoint())]).await;
        assert!(left[1] >= APART && left[2] >= 2 * APART, "{left:?}");
        assert!(left[3] < left[2], "another endpoint's waits for nobody: {left:?}");
    }

    #[tokio::test]
    async fn endpoints_at_which_nobody_waits_are_forgotten() {
        let turns = Turns::default();
        for _ in 0..=MANY {
            turns.wait(endpoint(), Duration::ZERO).await;
        }
        tokio::time::sleep(LONGEST_APART).await;
        turns.wait(endpoint(), Duration::ZERO).await;
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
