//! Disasters under load. Each test does what docs/operations.md says, and nothing else; the witness judges by id.

mod everything_off;
mod kafka_tail_lost;
mod kafka_wiped;
mod restate_wiped;
mod restored;
mod slot_lost;
mod subscription_deleted;

use super::*;

/// The sweep's patience in seconds instead of minutes.
const SOON: [(&str, &str); 4] = [
    ("EVERHOOK_UNROUTED_AFTER", "20s"),
    ("EVERHOOK_OVERTAKEN_AFTER", "5s"),
    ("EVERHOOK_OVERDUE_AFTER", "5s"),
    ("EVERHOOK_RECONCILE_EVERY", "1s"),
];
/// The sweep stays away: what arrives has come through CDC.
const NO_SWEEP: [(&str, &str); 4] = [
    ("EVERHOOK_UNROUTED_AFTER", "1h"),
    ("EVERHOOK_OVERTAKEN_AFTER", "1h"),
    ("EVERHOOK_OVERDUE_AFTER", "1h"),
    ("EVERHOOK_RECONCILE_EVERY", "1s"),
];

impl Lab {
    /// The newest event.
    async fn newest_event(&self) -> String {
        let newest = "select coalesce(max(event_id), 'evt_') from domain_events";
        sqlx::query_scalar(newest).fetch_one(&mut self.database().await).await.unwrap()
    }

    /// Events above one and up to another, and how many of them CDC did not bring.
    async fn between(&self, above: &str, up_to: &str) -> (i64, i64) {
        let query = "select count(*), count(*) filter (where not from_cdc)
            from domain_events left join routed_events using (event_id) where event_id > $1 and event_id <= $2";
        sqlx::query_as(query).bind(above).bind(up_to).fetch_one(&mut self.database().await).await.unwrap()
    }

    /// A load that goes on until it is stopped, whatever is away for how long: payments with one change each.
    async fn load(&self) -> Ready {
        let pace = Pace::Open { rate: 30.0, most: 100 };
        set_up(Options { answer_within: LONG, ..self.options(Until::Stopped, pace, 1) }).await.unwrap()
    }

    /// So many payments with one change each, made beside nothing else.
    pub(super) async fn pay(&self, payments: u64) -> Summary {
        let ready = self.set_up(Until::Payments(payments), Pace::Closed { concurrency: 8 }, 1).await;
        drive(&ready, &Lifecycle::default()).await
    }

    /// So many payments with one change each, which are in Kafka: the newest events before and after them.
    async fn pay_into_kafka(&self, payments: u64) -> (String, String) {
        let from = self.newest_event().await;
        self.pay(payments).await;
        let to = self.newest_event().await;
        self.all_in_kafka().await;
        (from, to)
    }

    /// Strikes under a load, which ends with it. Nothing may be lost of that, and of what was acknowledged `before` it.
    async fn under_load<T>(&mut self, before: u64, strike: impl AsyncFnOnce(&Self) -> T) -> (Verdict, T) {
        let ready = self.load().await;
        let lifecycle = Lifecycle::default();
        let lab = &*self;
        let strike = async {
            let done = strike(lab).await;
            lifecycle.stop();
            done
        };
        let (summary, done) = tokio::join!(drive(&ready, &lifecycle), strike);
        let verdict = self.verdict(LONG).await;
        assert_eq!(verdict.acknowledged as u64, before + summary.acknowledged);
        (verdict, done)
    }

    /// Waits until Kafka has acknowledged everything that is committed.
    pub(super) async fn all_in_kafka(&self) {
        let end: String = sqlx::query_scalar("select pg_current_wal_lsn()::text")
            .fetch_one(&mut self.database().await)
            .await
            .unwrap();
        until("everything to be in Kafka", LONG, || async {
            let confirmed =
                "select confirmed_flush_lsn >= $1::pg_lsn, confirmed_flush_lsn::text from pg_replication_slots";
            let (holds, confirmed): (bool, String) =
                sqlx::query_as(confirmed).bind(&end).fetch_one(&mut self.database().await).await.unwrap();
            (holds, (confirmed, end.clone()))
        })
        .await;
    }

    /// Waits until Restate has taken all records, and has committed that.
    async fn all_taken_from_kafka(&self) {
        until("Restate to have taken everything from Kafka", LONG, || async {
            let positions = self.positions().await;
            (positions.iter().all(|(end, committed)| end == committed), positions)
        })
        .await;
    }

    /// As an operator would who does not want a relay that is away to fill the disk.
    pub(super) async fn keep_little_log(&self) {
        let mut database = self.database().await;
        for statement in ["alter system set max_slot_wal_keep_size = '1MB'", "select pg_reload_conf()"] {
            sqlx::query(statement).execute(&mut database).await.unwrap();
        }
    }

    /// Makes log until PostgreSQL gives the slot up.
    pub(super) async fn lose_slot(&self) {
        until("the slot to be lost", LONG, || async {
            let mut database = self.database().await;
            let make_log = "select pg_logical_emit_message(false, 'filler', repeat('x', 100000)), pg_switch_wal()";
            for statement in [make_log, make_log, "checkpoint"] {
                sqlx::query(statement).execute(&mut database).await.unwrap();
            }
            let status: Option<String> = sqlx::query_scalar("select wal_status from pg_replication_slots")
                .fetch_one(&mut database)
                .await
                .unwrap();
            (status.as_deref() == Some("lost"), status)
        })
        .await;
    }

    /// Whether a log of ours says these words; the first such line.
    fn told(&self, service: &str, words: &str) -> Option<String> {
        let log = std::fs::read_to_string(self.stack.folder().log(service)).unwrap();
        log.lines().find(|line| line.contains(words)).map(ToOwned::to_owned)
    }
}
