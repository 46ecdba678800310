//! Changing a payment's status.

use futures_util::future::join_all;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;

async fn payment(lab: &Lab) -> String {
    lab.post("/payments", json!({"amount": 1000, "currency": "USD"})).await.payment_id()
}

#[sqlx::test(migrations = "../../migrations")]
async fn each_legal_change_raises_the_version_and_has_its_event(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let path = format!("/payments/{}", payment(&lab).await);
    for (version, status) in [(2, "requires_action"), (3, "processing"), (4, "succeeded"), (5, "refunded")] {
        let changed = lab.post(&format!("{path}/status"), json!({"status": status})).await;
        assert_eq!((changed.status, &changed.body()["version"]), (200, &json!(version)), "{}", changed.text);
        assert_eq!(lab.get(&path).await.text, changed.text, "the answer is the payment as it is then");
    }
    let events: Vec<(String, i64)> =
        sqlx::query_as("select event_type, object_version from domain_events order by object_version")
            .fetch_all(&lab.database)
            .await
            .unwrap();
    let expected = ["created", "requires_action", "processing", "succeeded", "refunded"];
    let expected: Vec<_> = (1..).zip(expected).map(|(version, word)| (format!("payment.{word}"), version)).collect();
    assert_eq!(events, expected);
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_illegal_change_says_which_are_legal_and_changes_nothing(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let path = format!("/payments/{}", payment(&lab).await);
    let before = lab.get(&path).await;
    let status = format!("{path}/status");
    let mut shown = vec![
        lab.post(&status, json!({"status": "succeeded"})).await.shown(),
        lab.post(&status, json!({"status": "pending"})).await.shown(),
        lab.post(&status, json!({"status": "paid"})).await.shown(),
        lab.post(&status, json!({})).await.shown(),
        lab.post(&status, json!({"status": "failed", "because": "x"})).await.shown(),
        lab.post("/payments/pay_019a0b1c2d3e7f00a1b2c3d4e5f60718/status", json!({"status": "failed"})).await.shown(),
    ];
    assert_eq!(lab.get(&path).await, before);
    lab.post(&status, json!({"status": "canceled"})).await;
    shown.push(lab.post(&status, json!({"status": "processing"})).await.shown());
    insta::assert_json_snapshot!("status_problems", shown);
}

#[sqlx::test(migrations = "../../migrations")]
async fn of_changes_at_the_same_time_only_the_legal_ones_happen(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let path = format!("/payments/{}/status", payment(&lab).await);
    let answers = join_all((0..8).map(|_| lab.post(&path, json!({"status": "canceled"})))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [[200].as_slice(), &[409; 7]].concat());
    assert_eq!(lab.counts().await, (1, 2, 0));
}
