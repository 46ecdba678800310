//! The queue in memory: each event is sent at once, and failed attempts wait here for the next one.

mod delivery;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chassis::Lifecycle;
use chassis::backoff::Backoff;
use chassis::egress::{Door, Limits, Policy, SetUp, SystemLookup};
use chassis::error_chain::Chain;
use domain::event::EventFilter;
use futures_util::future::join_all;
use store::PgPool;
use store::kept::KeptConnections;
use store::ledger::{Endpoint, endpoints_of};

use crate::event::Event;

/// What is to be sent, and what sends it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lifecycle: Lifecycle,
    pool: PgPool,
    kept: KeptConnections,
    policy: Policy,
    door: Door,
    in_memory: AtomicUsize,
}

/// One event that is in memory only, until this is dropped.
struct InMemory(Outbox);

impl Outbox {
    /// An empty one. `pool` is for looking up endpoints.
    ///
    /// # Errors
    /// If the TLS set-up of the machine can't be read.
    pub fn new(lifecycle: &Lifecycle, pool: PgPool, policy: Policy) -> Result<Self, SetUp> {
        let door = Door::new(policy.clone(), Limits::default(), SystemLookup::default())?;
        let (lifecycle, kept) = (lifecycle.clone(), KeptConnections::of(pool.clone()));
        Ok(Self(Arc::new(Inner { lifecycle, pool, kept, policy, door, in_memory: AtomicUsize::new(0) })))
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// How many events are not yet delivered, or given up, everywhere.
    pub(crate) fn in_memory(&self) -> usize {
        self.0.in_memory.load(Ordering::Relaxed)
    }

    /// Sends the event to every endpoint that wants it, from here on, as many side by side as there are.
    pub(crate) fn queue(&self, event: Event) {
        let counted = InMemory::new(self);
        self.0.lifecycle.spawn(async move {
            let outbox = &counted.0;
            match outbox.endpoints_that_want(&event).await {
                Some(endpoints) => {
                    join_all(endpoints.into_iter().map(|endpoint| outbox.deliver(&event, endpoint))).await;
                }
                None => {
                    tracing::error!(event.id = %event.event_id, "lost: its endpoints could not be read before the stop")
                }
            }
        });
    }

    /// Asks until the database answers; none if the process is to stop before.
    async fn endpoints_that_want(&self, event: &Event) -> Option<Vec<Endpoint>> {
        let merchant = [event.merchant_id.to_string()];
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));
        loop {
            let is_last = self.0.lifecycle.is_stopping();
            match endpoints_of(&self.0.kept, &merchant, &[]).await {
                Ok(mut endpoints) => {
                    endpoints.retain(|endpoint| wants(endpoint, event));
                    return Some(endpoints);
                }
                Err(error) => tracing::warn!("endpoints could not be read, trying again: {}", Chain(&error)),
            }
            if is_last {
                return None;
            }
            self.0.lifecycle.sleep(backoff.next_wait()).await;
        }
    }
}

fn wants(endpoint: &Endpoint, event: &Event) -> bool {
    let filters = endpoint.event_types.iter().filter_map(|text| text.parse::<EventFilter>().ok());
    filters.into_iter().any(|filter| filter.matches(&event.event_type))
}

impl InMemory {
    fn new(outbox: &Outbox) -> Self {
        outbox.0.in_memory.fetch_add(1, Ordering::Relaxed);
        Self(outbox.clone())
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        self.0.0.in_memory.fetch_sub(1, Ordering::Relaxed);
    }
}
