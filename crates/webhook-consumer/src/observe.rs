//! How far the subscription is, and what Restate has paused, as metrics of whoever leads.
//!
//! What can't be seen is not told: a number that nobody has read would look like a good one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chassis::Lifecycle;
use chassis::error_chain::Chain;
use chassis::lag::Lag;
use chassis::metrics::meter;

use crate::progress::Position;
use crate::registration::{Error, Registrar};

/// Whether this process leads the others.
#[derive(Debug, Clone, Default)]
pub struct Leads(Arc<AtomicBool>);

impl Leads {
    /// It was elected, or was not.
    pub fn set(&self, leads: bool) {
        self.0.store(leads, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the last look has seen.
#[derive(Debug, Default)]
struct Seen {
    /// Records that the subscription has not read, and for how long there have been any.
    subscription: Option<(u64, Duration)>,
    paused: Option<u64>,
}

#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Seen>>);

/// Looks now and then while this process leads, until the lifecycle stops.
pub fn start(lifecycle: &Lifecycle, registrar: Arc<Registrar>, leads: Leads, every: Duration) {
    let seen = Shared::default();
    seen.register();
    let own = lifecycle.clone();
    lifecycle.spawn(async move {
        let mut lags = BTreeMap::new();
        let mut blind = [Blind::default(), Blind::default()];
        while own.sleep(every).await {
            tokio::select! {
                () = own.stopped() => return,
                () = seen.look(&registrar, leads.get(), &mut lags, &mut blind) => {}
            }
        }
    });
}

/// Whether something could not be seen the last time; that is told once, and once more when it is over.
#[derive(Debug, Default)]
struct Blind(bool);

impl Blind {
    fn told<T>(&mut self, what: &'static str, seen: Result<T, Error>) -> Option<T> {
        match seen {
            Ok(seen) => {
                if std::mem::take(&mut self.0) {
                    tracing::info!("{what} can be seen again");
                }
                Some(seen)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.0, true) {
                    tracing::warn!(error = %Chain(&error), "{what} can't be seen, and is missing from the metrics");
                }
                None
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kafka is not asked after Restate, which may hang.
    async fn look(
        &self,
        registrar: &Registrar,
        leads: bool,
        lags: &mut BTreeMap<i32, Lag>,
        [no_kafka, no_restate]: &mut [Blind; 2],
    ) {
        if !leads {
            *self.lock() = Seen::default();
            return;
        }
        let subscription = async {
            let positions = no_kafka.told("how far the subscription is", registrar.positions().await);
            let subscription = positions.map(|positions| behind(&positions, lags, Instant::now()));
            self.lock().subscription = subscription;
        };
        let paused = async {
            let paused = no_restate.told("what Restate has paused", registrar.paused().await);
            self.lock().paused = paused;
        };
        tokio::join!(subscription, paused);
    }

    fn register(&self) {
        let meter = meter();
        let own = self.clone();
        meter
            .u64_observable_gauge("everhook.subscription.lag")
            .with_unit("{record}")
            .with_description("records of the topic that the subscription has not read")
            .with_callback(move |observer| {
                if let Some((records, _)) = own.lock().subscription {
                    observer.observe(records, &[]);
                }
            })
            .build();
        let own = self.clone();
        meter
            .f64_observable_gauge("everhook.subscription.behind")
            .with_unit("s")
            .with_description("for how long there have been records that the subscription has not read")
            .with_callback(move |observer| {
                if let Some((_, behind)) = own.lock().subscription {
                    observer.observe(behind.as_secs_f64(), &[]);
                }
            })
            .build();
        let own = self.clone();
        meter
            .u64_observable_gauge("everhook.invocations.paused")
            .with_unit("{invocation}")
            .with_description("invocations that Restate has given up trying until somebody resumes them")
            .with_callback(move |observer| {
                if let Some(paused) = own.lock().paused {
                    observer.observe(paused, &[]);
                }
            })
            .build();
    }
}

/// How many records have not been read, and the longest that any partition has been behind.
fn behind(positions: &BTreeMap<i32, Position>, lags: &mut BTreeMap<i32, Lag>, now: Instant) -> (u64, Duration) {
    let offset = |offset: i64| u64::try_from(offset).unwrap_or(0);
    let mut records = 0;
    let mut longest = Duration::ZERO;
    for (partition, Position { committed, end }) in positions {
        let (committed, end) = (offset(*committed), offset(*end));
        records += end.saturating_sub(committed);
        longest = longest.max(lags.entry(*partition).or_default().look(committed, end, now));
    }
    (records, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_that_is_behind_the_longest_counts_and_all_records_do() {
        let (start, mut lags) = (Instant::now(), BTreeMap::new());
        let mut look = |second, slow, quick| {
            let at = |committed| Position { committed, end: 10 };
            let positions = BTreeMap::from([(0, at(slow)), (1, at(quick))]);
            behind(&positions, &mut lags, start + Duration::from_secs(second))
        };
        assert_eq!(look(0, 4, 10), (6, Duration::ZERO));
        assert_eq!(look(30, 5, 10), (5, Duration::from_secs(30)));
        assert_eq!(look(60, 10, 10), (0, Duration::ZERO));
    }
}
