//! At least once: kills, stops and broken connections under load.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chassis::Lifecycle;
use tokio::sync::Mutex;
use url::Url;

use crate::lab::{Lab, Stored, eventually, in_lab, metric, relaying, status};
use crate::proxy::Proxy;

/// Inserts events, each in its own transaction, until it is stopped.
pub struct Load {
    committed: Arc<Mutex<HashSet<String>>>,
    lifecycle: Lifecycle,
}

impl Load {
    pub async fn start(lab: &Lab, per_second: u32) -> Self {
        Self::start_series(lab, per_second, 0).await
    }

    /// The same, with ids that another load in the same test does not use.
    pub async fn start_series(lab: &Lab, per_second: u32, series: u8) -> Self {
        const WRITERS: u32 = 4;
        let lifecycle = Lifecycle::default();
        let committed: Arc<Mutex<HashSet<String>>> = Arc::default();
        for writer in 0..WRITERS {
            let mut connection = lab.connect().await;
            let (committed, stop) = (committed.clone(), lifecycle.clone());
            lifecycle.spawn(async move {
                let mut ticks = tokio::time::interval(Duration::from_secs(1) * WRITERS / per_second);
                for number in 0.. {
                    ticks.tick().await;
                    if stop.is_stopping() {
                        return;
                    }
                    // Both partitions get their share.
                    let id =
                        format!("evt_{}{series:x}{writer:02}{number:028}", if number % 2 == 0 { '1' } else { 'f' });
                    sqlx::query(
                        "insert into domain_events values ($1, 'payment.created', 'payment', 'pay_1', 1, 'mer_1', now(),
                             null, '{\"amount\": 1}', pg_current_xact_id())",
                    )
                    .bind(&id)
                    .execute(&mut connection)
                    .await
                    .unwrap();
                    committed.lock().await.insert(id);
                }
            });
        }
        Self { committed, lifecycle }
    }

    /// Stops, and returns the ids of all committed events.
    pub async fn stop(self) -> HashSet<String> {
        self.lifecycle.stop();
        self.lifecycle.finish(Duration::from_secs(10)).await.unwrap();
        self.committed.lock().await.clone()
    }
}

/// Fails with the ids that are missing or that nobody committed; returns how many records are repeats.
async fn account(lab: &Lab, committed: &HashSet<String>) -> usize {
    let records = lab.until_keys(committed.len()).await;
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for Stored { key, value, .. } in &records {
        assert_eq!(key.as_deref(), value["record"]["event_id"].as_str());
        *counts.entry(key.as_deref().unwrap()).or_default() += 1;
    }
    let missing: Vec<_> = committed.iter().filter(|id| !counts.contains_key(id.as_str())).collect();
    let phantom: Vec<_> = counts.keys().filter(|id| !committed.contains(**id)).collect();
    assert!(missing.is_empty() && phantom.is_empty(), "missing {missing:?}, phantom {phantom:?}");
    records.len() - committed.len()
}

/// A proxy to the lab's database, and the database's address behind it.
async fn proxied(lab: &Lab) -> (Proxy, Url) {
    let mut url = lab.url.clone();
    let proxy = Proxy::to(format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432))).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.address.port())).unwrap();
    url.query_pairs_mut().append_pair("sslmode", "disable");
    (proxy, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn ten_kills_under_300_transactions_a_second_lose_nothing() {
    in_lab(async |lab| {
        relaying(&lab.relay(&[])).await;
        let load = Load::start(lab, 300).await;
        for kill in 0..10 {
            // At a different moment of the work each time.
            tokio::time::sleep(Duration::from_millis(300 + 70 * kill)).await;
            lab.kill();
            let url = lab.relay(&[]);
            if kill % 2 == 0 {
                relaying(&url).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let committed = load.stop().await;
        let repeats = account(lab, &committed).await;
        eprintln!("{} committed, {repeats} repeated over ten kills", committed.len());
        assert!(committed.len() > 1500, "only {} transactions: the load was no load", committed.len());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_clean_stop_under_load_repeats_nothing() {
    in_lab(async |lab| {
        relaying(&lab.relay(&[])).await;
        let load = Load::start(lab, 300).await;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let log = lab.stop().await;
            assert!(log.contains("the stream is closed heard=true outstanding=0"), "{log}");
            relaying(&lab.relay(&[])).await;
        }
        let committed = load.stop().await;
        assert_eq!(account(lab, &committed).await, 0, "repeated records");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_stop_inside_a_transaction_comes_after_its_end() {
    const ROWS: usize = 20_000;
    in_lab(async |lab| {
        relaying(&lab.relay(&[])).await;
        let ids: HashSet<String> = (0..ROWS).map(|number| format!("evt_{number:032x}")).collect();
        lab.execute(&format!(
            "insert into domain_events select 'evt_' || lpad(to_hex(n), 32, '0'), 'payment.created', 'payment', 'pay_1',
                 1, 'mer_1', now(), null, '{{}}', pg_current_xact_id() from generate_series(0, {}) n",
            ROWS - 1
        ))
        .await;
        let before = lab.until_keys(1).await.len();
        assert!(before < ROWS, "the transaction was through before the relay was asked to stop");
        let log = lab.stop().await;
        assert!(log.contains("the stream is closed heard=true outstanding=0"), "{log}");
        relaying(&lab.relay(&[])).await;
        assert_eq!(account(lab, &ids).await, 0, "repeated records");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_position_that_was_sent_and_never_heard_is_not_taken_for_heard() {
    in_lab(async |lab| {
        let (proxy, url) = proxied(lab).await;
        relaying(&lab.relay_on(&url, &[])).await;
        let load = Load::start(lab, 300).await;
        lab.until_keys(100).await;
        proxy.freeze();
        let log = lab.stop().await;
        assert!(log.contains("the stream is closed heard=false"), "{log}");
        relaying(&lab.relay(&[])).await;
        let committed = load.stop().await;
        account(lab, &committed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn connections_that_the_server_ends_under_load_lose_nothing() {
    in_lab(async |lab| {
        let url = lab.relay(&[]);
        relaying(&url).await;
        let load = Load::start(lab, 300).await;
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            // The stream and the watch's connection both.
            lab.ask(
                "select pg_terminate_backend(pid)::text from pg_stat_activity where application_name = 'cdc-relay'
                         and datname = current_database()",
            )
            .await;
        }
        let committed = load.stop().await;
        account(lab, &committed).await;
        assert!(metric(&url, "cdc_reconnects_total{side=\"postgres\"}").await.unwrap() >= 1.0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_network_that_dies_silently_is_noticed_by_the_missing_heartbeat() {
    in_lab(async |lab| {
        let (proxy, url) = proxied(lab).await;
        relaying(&lab.relay_on(&url, &["--heartbeat-timeout", "3s"])).await;
        let load = Load::start(lab, 50).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        proxy.freeze();
        lab.logged("nothing came from PostgreSQL for").await;
        let committed = load.stop().await;
        account(lab, &committed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_second_relay_waits_for_the_slot_and_takes_over() {
    in_lab(async |lab| {
        relaying(&lab.relay(&[])).await;
        let load = Load::start(lab, 100).await;
        let second = lab.relay(&[]);
        lab.logged("SQLSTATE 55006").await;
        assert_eq!(status(&second).await.unwrap()["connected"], false);
        lab.kill_first();
        relaying(&second).await;
        let committed = load.stop().await;
        account(lab, &committed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_transaction_larger_than_what_may_be_outstanding_arrives_whole() {
    in_lab(async |lab| {
        let url = lab.relay(&[]);
        relaying(&url).await;
        lab.execute(
            "insert into domain_events select 'evt_' || md5(i::text), 'payment.created', 'payment', 'pay_1', i, 'mer_1',
                 now(), null, null, pg_current_xact_id() from generate_series(1, 25000) i",
        )
        .await;
        let records = lab.until_keys(25_000).await;
        assert_eq!(records.len(), 25_000);
        let lsns: HashSet<_> = records.iter().map(|record| record.value["metadata"]["commit_lsn"].as_u64()).collect();
        let indexes: HashSet<_> =
            records.iter().map(|record| record.value["metadata"]["commit_idx"].as_u64()).collect();
        assert_eq!((lsns.len(), indexes.len()), (1, 25_000));
        let partitions: HashSet<_> = records.iter().map(|record| record.partition).collect();
        assert_eq!(partitions.len(), 2, "keys spread over the partitions");
        eventually(Duration::from_secs(10), async || {
            let status = status(&url).await?;
            if status["outstanding"] == 0 && status["records"] == 25_000 { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    })
    .await;
}
