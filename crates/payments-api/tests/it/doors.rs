//! Who may come in, what is at no path, and what happens when the database is away.

use std::time::Duration;

use chassis::{Lifecycle, Token};
use payments_api::{Api, Door};
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{Lab, answer};

#[sqlx::test(migrations = "../../migrations")]
async fn only_the_token_opens_a_closed_door_and_health_is_open(pool: PgPoolOptions, connect: PgConnectOptions) {
    let database = pool.connect_with(connect).await.unwrap();
    let door = Door::Token(Token::new("hunter2"));
    let lab = Lab::serve(Lifecycle::default(), database.clone(), Api::new(database, false), door).await;
    let body = json!({"name": "Bakery"});
    insta::assert_json_snapshot!("no_token", lab.post("/merchants", body.clone()).await.shown());
    let wrong = lab.request("/merchants", &body).bearer_auth("hunter3");
    assert_eq!(answer(wrong).await.status, 401);
    assert_eq!(answer(lab.request("/merchants", &body).bearer_auth("hunter2")).await.status, 201);
    assert_eq!(lab.get("/health").await.status, 200);
}

#[sqlx::test(migrations = "../../migrations")]
async fn without_the_demo_merchant_a_payment_must_name_one(pool: PgPoolOptions, connect: PgConnectOptions) {
    let database = pool.connect_with(connect).await.unwrap();
    let lab = Lab::serve(Lifecycle::default(), database.clone(), Api::new(database, false), Door::Open).await;
    let refused = lab.post("/payments", json!({"amount": 1000, "currency": "USD"})).await;
    insta::assert_json_snapshot!("no_merchant", refused.shown());
    assert_eq!(lab.counts().await, (0, 0, 0));
}

#[sqlx::test(migrations = "../../migrations")]
async fn other_paths_and_methods_are_problems_too(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let shown = vec![lab.get("/nowhere").await.shown(), lab.get("/payments").await.shown()];
    insta::assert_json_snapshot!("other_paths", shown);
}

#[tokio::test]
async fn without_a_database_the_answer_is_503_and_says_when_to_try_again() {
    // Nobody listens on port 1.
    let nowhere = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(1);
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_millis(300)).connect_lazy_with(nowhere);
    let lab = Lab::serve(Lifecycle::default(), pool.clone(), Api::new(pool, true), Door::Open).await;
    let made = lab.post("/payments", json!({"amount": 1000, "currency": "USD"})).await;
    assert_eq!(made.retry_after.as_deref(), Some("1"));
    insta::assert_json_snapshot!("database_away", made.shown());
    assert_eq!(lab.get("/health").await.status, 200);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_request_under_way_is_finished_when_the_process_stops(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let payment_id = lab.post("/payments", json!({"amount": 1000, "currency": "USD"})).await.payment_id();
    let mut lock = lab.database.begin().await.unwrap();
    sqlx::query("select from payments for update").execute(&mut *lock).await.unwrap();
    let path = format!("/payments/{payment_id}/status");
    let change = lab.post(&path, json!({"status": "processing"}));
    let stop = async {
        crate::idempotency::until_somebody_waits_for_a_lock(&lab).await;
        lab.lifecycle.stop();
        lock.rollback().await.unwrap();
    };
    let (changed, ()) = futures_util::future::join(change, stop).await;
    assert_eq!(changed.status, 200);
    lab.lifecycle.finish(Duration::from_secs(10)).await.unwrap();
}
