//! On SIGTERM it sends what it can.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::lab::Lab;

#[sqlx::test(migrations = "../../migrations")]
async fn what_waits_for_its_next_attempt_is_tried_once_more_when_the_process_stops(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let (merchant_id, _) = lab.merchant().await;
    sqlx::query("update endpoints set schedule_ms = '{0,3600000}'").execute(&lab.database).await.unwrap();
    lab.receiver.answer(500);
    lab.pay(&merchant_id, "key-1").await;
    lab.pay(&merchant_id, "key-2").await;
    lab.until_received(2).await;
    lab.receiver.answer(200);
    lab.lifecycle.stop();
    lab.lifecycle.finish(Duration::from_secs(20)).await.unwrap();
    assert_eq!(lab.receiver.requests().len(), 4);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_fails_then_too_does_not_keep_the_process_from_stopping(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (merchant_id, _) = lab.merchant().await;
    lab.receiver.answer(500);
    lab.pay(&merchant_id, "key-1").await;
    lab.until_received(1).await;
    lab.lifecycle.stop();
    lab.lifecycle.finish(Duration::from_secs(20)).await.unwrap();
    assert_eq!(lab.receiver.requests().len(), 2);
}
