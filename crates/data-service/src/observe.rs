//! How the ledger stands, as metrics: what waits, what is behind, and what does not balance.
//!
//! What can't be read is not told: a number that nobody has read would look like a good one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chassis::Lifecycle;
use chassis::error_chain::Chain;
use chassis::lag::Lag;
use chassis::metrics::{Counter, KeyValue, meter};
use store::PgPool;
use store::audit::{Account, Difference, account};
use store::overview::{Overview, Slot, overview, slots};
use time::OffsetDateTime;

/// So much of the past is audited with one look.
const MOST_AT_ONCE: Duration = Duration::from_secs(600);
/// So many windows that did not balance are looked at again with one look.
const MOST_AGAIN: usize = 20;

/// What may be wrong with an event or a delivery, as [`Difference::problem`] says it.
const PROBLEMS: [&str; 4] = ["unrouted", "missing", "of_another_event", "overdue"];

/// How often it is looked, and when an event is audited.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// From one look to the next.
    pub every: Duration,
    /// From when an event occurred until it is audited; it was to be on its way by then.
    pub audit_after: Duration,
}

/// Looks now and then, until the lifecycle stops.
pub fn start(lifecycle: &Lifecycle, pool: PgPool, pace: Pace) {
    let seen = Shared::default();
    seen.register();
    let mut observer =
        Observer { pool, seen, pace, lags: HashMap::new(), audit: Audit::new(pace.audit_after), is_blind: false };
    let own = lifecycle.clone();
    lifecycle.spawn(async move {
        let mut wait = Duration::ZERO;
        while own.sleep(wait).await {
            tokio::select! {
                () = own.stopped() => return,
                () = observer.look() => {}
            }
            wait = observer.pace.every;
        }
    });
}

struct Observer {
    pool: PgPool,
    seen: Shared,
    pace: Pace,
    lags: HashMap<String, Lag>,
    audit: Audit,
    /// The last look failed; that is told once.
    is_blind: bool,
}

impl Observer {
    async fn look(&mut self) {
        let seen = self.see().await;
        match &seen {
            Ok(_) if std::mem::take(&mut self.is_blind) => tracing::info!("how things stand can be seen again"),
            Ok(_) => {}
            Err(error) => {
                if !std::mem::replace(&mut self.is_blind, true) {
                    tracing::warn!(error = %Chain(error), "how things stand can't be seen, and is missing from the metrics");
                }
            }
        }
        *self.seen.lock() = seen.ok();
    }

    async fn see(&mut self) -> Result<Seen, store::Error> {
        let overview = overview(&self.pool).await?;
        let slots = self.behind(slots(&self.pool).await?, Instant::now());
        let differences = self.audit.go_on(&self.pool, OffsetDateTime::now_utc()).await?;
        Ok(Seen { overview, slots, differences })
    }

    /// The slots, and for how long there is log that each has not confirmed.
    fn behind(&mut self, slots: Vec<Slot>, now: Instant) -> Vec<(Slot, Duration)> {
        self.lags.retain(|name, _| slots.iter().any(|slot| slot.name == *name));
        let bytes = |at: i64| u64::try_from(at).unwrap_or(0);
        let behind = |slot: &Slot| {
            let lag = self.lags.entry(slot.name.clone()).or_default();
            lag.look(bytes(slot.confirmed.unwrap_or(0)), bytes(slot.end), now)
        };
        let behind: Vec<Duration> = slots.iter().map(behind).collect();
        slots.into_iter().zip(behind).collect()
    }
}

/// Each event is audited once, so long after it occurred; what did not balance then is looked at again until it does.
struct Audit {
    after: Duration,
    /// All that occurred before has been audited; none before the first look.
    through: Option<OffsetDateTime>,
    differing: VecDeque<Window>,
    /// Something did not balance at the last look; that is told once.
    differs: bool,
    audited: Audited,
}

struct Window {
    from: OffsetDateTime,
    to: OffsetDateTime,
    differences: Vec<Difference>,
}

/// What became of what was audited.
struct Audited {
    events: Counter<u64>,
    deliveries: Counter<u64>,
}

impl Audit {
    fn new(after: Duration) -> Self {
        Self { after, through: None, differing: VecDeque::new(), differs: false, audited: Audited::new() }
    }

    /// Audits what has come of age; answers how many differences there are of each kind.
    async fn go_on(&mut self, pool: &PgPool, now: OffsetDateTime) -> Result<BTreeMap<String, u64>, store::Error> {
        let patience_s = i32::try_from(self.after.as_secs()).unwrap_or(i32::MAX);
        for _ in 0..self.differing.len().min(MOST_AGAIN) {
            let Some(window) = self.differing.front() else { break };
            let Account { difference, .. } = account(pool, window.from, window.to, patience_s).await?;
            let again = self.differing.pop_front().map(|window| Window { differences: difference, ..window });
            self.differing.extend(again.filter(|window| !window.differences.is_empty()));
        }
        let to = now - self.after;
        let from = self.through.unwrap_or(to - MOST_AT_ONCE);
        let to = to.min(from + MOST_AT_ONCE);
        if from < to {
            let account = account(pool, from, to, patience_s).await?;
            self.through = Some(to);
            self.audited.add(&account);
            if !account.difference.is_empty() {
                self.differing.push_back(Window { from, to, differences: account.difference });
            }
        }
        self.tell();
        let mut counts: BTreeMap<String, u64> = PROBLEMS.iter().map(|problem| ((*problem).to_owned(), 0)).collect();
        for difference in self.differing.iter().flat_map(|window| &window.differences) {
            *counts.entry(difference.problem.clone()).or_default() += 1;
        }
        Ok(counts)
    }

    fn tell(&mut self) {
        match (self.differing.front(), self.differs) {
            (Some(Window { from, to, differences }), false) => {
                let (count, first) = (differences.len(), differences.first().map(|first| first.id.as_str()));
                tracing::error!(%from, %to, count, first, "the ledger does not balance: verifier audit has the details");
                self.differs = true;
            }
            (None, true) => {
                tracing::info!("the ledger balances again");
                self.differs = false;
            }
            _ => {}
        }
    }
}

impl Audited {
    fn new() -> Self {
        let meter = meter();
        let counter = |name, unit, what| meter.u64_counter(name).with_unit(unit).with_description(what).build();
        let audited = Self {
            events: counter("everhook.audited.events", "{event}", "events that were audited, by how they were routed"),
            deliveries: counter(
                "everhook.audited.deliveries",
                "{delivery}",
                "deliveries of these events, by their state then",
            ),
        };
        audited.count([("unrouted", 0), ("filtered", 0), ("fanned_out", 0)], [0; 6]);
        audited
    }

    fn add(&self, account: &Account) {
        let Account { unrouted, filtered, fanned_out, delivered, pending, held, parked, exhausted, superseded, .. } =
            *account;
        self.count(
            [("unrouted", unrouted), ("filtered", filtered), ("fanned_out", fanned_out)],
            [delivered, pending, held, parked, exhausted, superseded],
        );
    }

    fn count(&self, events: [(&'static str, i64); 3], deliveries: [i64; 6]) {
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        for (fate, n) in events {
            self.events.add(count(n), &[KeyValue::new("fate", fate)]);
        }
        let states = ["delivered", "pending", "held", "parked", "exhausted", "superseded"];
        for (state, n) in states.into_iter().zip(deliveries) {
            self.deliveries.add(count(n), &[KeyValue::new("state", state)]);
        }
    }
}

/// What the last look has seen.
struct Seen {
    overview: Overview,
    slots: Vec<(Slot, Duration)>,
    differences: BTreeMap<String, u64>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Option<Seen>>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The metrics, which tell what is seen at the time.
    fn register(&self) {
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        self.number("everhook.events.unrouted", "{event}", "events that nobody has routed", move |seen, tell| {
            tell(count(seen.overview.unrouted), &[]);
        });
        self.seconds("everhook.events.unrouted.age", "the age of the oldest of them", |seen, tell| {
            tell(seen.overview.unrouted_s, &[]);
        });
        self.number(
            "everhook.deliveries",
            "{delivery}",
            "deliveries that have not ended, by state",
            move |seen, tell| {
                let Overview { pending, held, parked, .. } = seen.overview;
                for (state, n) in [("pending", pending), ("held", held), ("parked", parked)] {
                    tell(count(n), &[KeyValue::new("state", state)]);
                }
            },
        );
        self.seconds(
            "everhook.deliveries.overdue",
            "for how long a pending delivery has been neither attempted nor waiting for its time, at most",
            |seen, tell| tell(seen.overview.overdue_s, &[]),
        );
        self.number(
            "everhook.retries.waiting",
            "{delivery}",
            "deliveries that have failed and wait for their next attempt",
            move |seen, tell| tell(count(seen.overview.retries), &[]),
        );
        self.number("everhook.circuits.open", "{endpoint}", "endpoints whose circuit is open", move |seen, tell| {
            tell(count(seen.overview.circuits), &[]);
        });
        self.number(
            "everhook.records.parked",
            "{record}",
            "records that name no event that the ledger knows",
            move |seen, tell| tell(count(seen.overview.parked_records), &[]),
        );
        self.number(
            "everhook.ledger.differences",
            "{difference}",
            "audited events and deliveries that are not as they must be, by what is wrong",
            |seen, tell| {
                for (problem, n) in &seen.differences {
                    tell(*n, &[KeyValue::new("problem", problem.clone())]);
                }
            },
        );
        self.slot("everhook.slot.lag", "By", "log that the slot has not confirmed", move |slot| {
            slot.confirmed.map(|confirmed| count(slot.end - confirmed))
        });
        self.seconds(
            "everhook.slot.behind",
            "for how long there has been log that the slot has not confirmed",
            |seen, tell| {
                for (slot, behind) in &seen.slots {
                    tell(behind.as_secs_f64(), &[name(slot)]);
                }
            },
        );
        self.slot("everhook.slot.retained", "By", "log that PostgreSQL keeps for the slot", move |slot| {
            slot.retained.map(count)
        });
        self.slot("everhook.slot.left", "By", "log that may be written until the slot is given up", move |slot| {
            slot.left.map(count)
        });
        self.slot("everhook.slot.active", "{reader}", "1 while somebody reads the slot", |slot| {
            Some(slot.active.into())
        });
        self.slot("everhook.slot.lost", "{slot}", "1 if PostgreSQL has given the slot up", |slot| {
            Some(slot.lost.into())
        });
    }

    fn number(
        &self,
        name: &'static str,
        unit: &'static str,
        what: &'static str,
        tell: impl Fn(&Seen, &dyn Fn(u64, &[KeyValue])) + Send + Sync + 'static,
    ) {
        let own = self.clone();
        let meter = meter();
        let gauge = meter.u64_observable_gauge(name).with_unit(unit).with_description(what);
        gauge
            .with_callback(move |observer| {
                if let Some(seen) = &*own.lock() {
                    tell(seen, &|n, labels| observer.observe(n, labels));
                }
            })
            .build();
    }

    fn seconds(
        &self,
        name: &'static str,
        what: &'static str,
        tell: impl Fn(&Seen, &dyn Fn(f64, &[KeyValue])) + Send + Sync + 'static,
    ) {
        let own = self.clone();
        let meter = meter();
        let gauge = meter.f64_observable_gauge(name).with_unit("s").with_description(what);
        gauge
            .with_callback(move |observer| {
                if let Some(seen) = &*own.lock() {
                    tell(seen, &|n, labels| observer.observe(n, labels));
                }
            })
            .build();
    }

    /// A number of each slot that has one.
    fn slot(
        &self,
        metric: &'static str,
        unit: &'static str,
        what: &'static str,
        of: impl Fn(&Slot) -> Option<u64> + Send + Sync + 'static,
    ) {
        self.number(metric, unit, what, move |seen, tell| {
            for (slot, _) in &seen.slots {
                if let Some(n) = of(slot) {
                    tell(n, &[name(slot)]);
                }
            }
        });
    }
}

fn name(slot: &Slot) -> KeyValue {
    KeyValue::new("slot", slot.name.clone())
}
