//! What calls cost: the pages of the ledger's tables and indexes that they touch, and how long they take.

use std::time::{Duration, Instant};

use domain::ids::EventId;
use domain::protocol::Attempt;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use store::{Durability, Statements};

use crate::lab::Lab;
use crate::service::Service;

/// One of the two ledgers.
pub struct Side {
    pub lab: Lab,
    pub work: Work,
    connect: PgConnectOptions,
}

/// What calls leave to the next ones.
#[derive(Default)]
pub struct Work {
    pub events: Vec<EventId>,
    pub attempts: Vec<Attempt>,
}

/// The processes that are asked.
pub struct Doors {
    pub service: Service,
    pub portal: PgPool,
}

/// What one kind of call costs on the empty ledger and on the full one.
#[derive(Debug)]
pub struct Cost {
    pub what: &'static str,
    /// On average. These are the same in every run, but for a few.
    pub pages: [f64; 2],
    /// The fastest tenth's slowest: other work on the machine hardly moves it.
    pub took: [Duration; 2],
}

impl Cost {
    /// What the full ledger costs, of what the empty one does: in pages, and in time.
    pub fn ratios(&self) -> (f64, f64) {
        (self.pages[1] / self.pages[0], self.took[1].as_secs_f64() / self.took[0].as_secs_f64())
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self { what, pages, took }, (more_pages, more_time)) = (self, self.ratios());
        let ms = took.map(|took| took.as_secs_f64() * 1000.0);
        write!(f, "{what}: {:.1} pages, {:.1} on the full ledger (× {more_pages:.2}); ", pages[0], pages[1])?;
        write!(f, "{:.2} ms, {:.2} ms (× {more_time:.2})", ms[0], ms[1])
    }
}

impl Side {
    pub fn new(lab: Lab, connect: PgConnectOptions) -> Self {
        Self { lab, work: Work::default(), connect }
    }

    async fn doors(&self) -> Doors {
        let connect = self.connect.clone().options([("role", "everhook_portal")]);
        let portal = store::connect_with(connect, 1, Durability::Durable, Statements::Scans);
        Doors { service: self.lab.another().await, portal }
    }

    /// The pages that were touched since the database was made.
    async fn pages(&self) -> i64 {
        // A session has told what it has done when it is gone.
        let others = "select count(*) from pg_stat_activity
            where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()";
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while self.lab.count(others).await > 0 {
            assert!(tokio::time::Instant::now() < deadline, "somebody stays connected");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.lab.execute("select pg_stat_force_next_flush()").await;
        self.lab
            .count(
                "select sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0)
                    + coalesce(toast_blks_read + toast_blks_hit + tidx_blks_read + tidx_blks_hit, 0))::bigint
                 from pg_statio_user_tables",
            )
            .await
    }
}

/// Makes the calls on both ledgers in turn, each time by processes that have done nothing before.
pub async fn measure(
    what: &'static str,
    sides: &mut [Side; 2],
    calls: usize,
    call: impl AsyncFn(&Doors, &mut Work, usize),
) -> Cost {
    let before = [sides[0].pages().await, sides[1].pages().await];
    let doors = [sides[0].doors().await, sides[1].doors().await];
    let mut took = [Vec::new(), Vec::new()];
    for number in 0..calls {
        // Neither is always the one that finds the machine warm.
        for index in [number % 2, 1 - number % 2] {
            let began = Instant::now();
            call(&doors[index], &mut sides[index].work, number).await;
            took[index].push(began.elapsed());
        }
    }
    drop(doors);
    let after = [sides[0].pages().await, sides[1].pages().await];
    let took = took.map(|mut took| {
        took.sort_unstable();
        took[took.len() / 10]
    });
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let pages = [0, 1].map(|index| (after[index] - before[index]) as f64 / calls as f64);
    Cost { what, pages, took }
}
