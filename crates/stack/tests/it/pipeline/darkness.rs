//! Deliveries wait for their next attempt while everything of ours and Restate is killed, and nothing runs for a while.

use std::collections::HashMap;

use futures_util::future::try_join_all;
use serde_json::json;

use super::*;

const DELIVERIES: usize = 300;
const DARK: Duration = Duration::from_secs(30);
/// Who is killed. The merchants stay, and so does what keeps the data.
const KILLED: [&str; 6] = ["payments-api", "cdc-relay", "data-service", "webhook-consumer", "portal", "restate"];
/// Before the second attempt, for each merchant another: from within the darkness to long after it.
const WAITS_S: [u64; 5] = [25, 40, 55, 70, 85];

/// An attempt is not begun before it is due; the receiver's clock is read with the database's on one machine.
const EARLY_MS: i64 = 10;
/// What is due while everything runs.
const ON_TIME_MS: i64 = 3_000;
/// What became due in the dark, after everything runs again.
const PROMPTLY_MS: i64 = 6_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_through_thirty_seconds_of_darkness_arrives_at_its_time() {
    // Every first attempt fails: with its circuit open, an endpoint would be tried by one at a time.
    let mut lab = Lab::start(&[("EVERHOOK_CIRCUIT_OPENS_AFTER", "0")]).await;
    let ready = lab.set_up(Until::Payments(DELIVERIES as u64), Pace::Closed { concurrency: 16 }, 0).await;
    let simulator = lab.simulator();
    for (endpoint, wait) in ready.endpoints.iter().zip(WAITS_S) {
        let schedule = json!({"schedule": ["0s", format!("{wait}s")]});
        lab.operate(&format!("/endpoints/{}", endpoint.endpoint_id), schedule).await;
        simulator.put_mood(endpoint.endpoint_id, &json!({"mood": "failing", "rate": 1.0}), ANSWER).await.unwrap();
    }
    drive(&ready, &Lifecycle::default()).await;
    until("300 first attempts to have failed", Duration::from_secs(15), || async {
        let waiting = "select count(*) from deliveries where state = 'pending' and attempts = 1 and begun_at is null
            and due_at > clock_timestamp()";
        let waiting = lab.count(waiting).await;
        (waiting == 300, waiting)
    })
    .await;
    // At once: what the ledger knows, not every handler has handed on.
    try_join_all(KILLED.map(|name| lab.stack.kill9(name))).await.unwrap();
    for endpoint in &ready.endpoints {
        simulator.put_mood(endpoint.endpoint_id, &json!({"mood": "well"}), ANSWER).await.unwrap();
    }
    let dark_from = verifier::now().unix_micros();
    let due = due_by_event(&lab).await;
    assert_eq!(due.len(), DELIVERIES);
    tokio::time::sleep(DARK).await;

    try_join_all(KILLED.map(|name| lab.stack.start(name))).await.unwrap();
    let ready_at = verifier::now().unix_micros();
    let verdict = lab.verdict(Duration::from_secs(90)).await;
    assert_eq!((verdict.delivered, verdict.repeated), (DELIVERIES, 0), "each arrived, and once");

    let account = Account::read(&lab.account_file()).unwrap();
    let seen = Witness::of(&account).unwrap().look(&account).await.unwrap();
    let (mut in_the_dark, mut on_time) = (Lateness::default(), Lateness::default());
    for arrival in seen.arrivals.values().flatten() {
        let (due, came) = (due[&arrival.webhook_id], arrival.first_at.unix_micros());
        let early_ms = (due - came) / 1_000;
        assert!(early_ms <= EARLY_MS, "{} came {early_ms} ms before its time", arrival.webhook_id);
        assert!(due > dark_from, "{} was due before the darkness", arrival.webhook_id);
        match due < ready_at {
            true => in_the_dark.add((came - ready_at) / 1_000),
            false => on_time.add((came - due) / 1_000),
        }
    }
    assert!(in_the_dark.count >= 30 && on_time.count >= 120, "{in_the_dark:?} {on_time:?}");
    assert!(in_the_dark.worst_ms < PROMPTLY_MS, "{in_the_dark:?}");
    assert!(on_time.worst_ms < ON_TIME_MS, "{on_time:?}");
    // It was the timers, not the sweep, and nobody attempted anything twice.
    assert_eq!(lab.count("select count(*) from deliveries where claim = 1 and attempts = 2").await, 300);
    assert_eq!(lab.count("select count(*) from attempts where outcome = 'unknown'").await, 0);
    lab.stop().await;
}

/// By how much deliveries were late.
#[derive(Debug, Default)]
struct Lateness {
    count: usize,
    worst_ms: i64,
}

impl Lateness {
    fn add(&mut self, late_ms: i64) {
        self.count += 1;
        self.worst_ms = self.worst_ms.max(late_ms);
    }
}

/// When the second attempt of each event is due, in microseconds.
async fn due_by_event(lab: &Lab) -> HashMap<String, i64> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("select event_id, (extract(epoch from due_at) * 1000000)::bigint from deliveries")
            .fetch_all(&mut lab.database().await)
            .await
            .unwrap();
    rows.into_iter().collect()
}
