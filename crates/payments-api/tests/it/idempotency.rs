//! `Idempotency-Key`: once done is done once.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{Lab, answer};

#[sqlx::test(migrations = "../../migrations")]
async fn a_repeated_key_gets_the_first_answer_byte_for_byte(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let body = json!({"amount": 1000, "currency": "USD", "reference": "order 7"});
    let first = lab.post_with_key("key-1", "/payments", body.clone()).await;
    assert_eq!((first.status, first.replayed), (201, false));
    let path = format!("/payments/{}/status", first.payment_id());
    lab.post(&path, json!({"status": "processing"})).await;
    for spelling in [
        body.to_string(),
        r#"{ "currency": "USD", "amount": 1000, "description": null, "reference": "order 7" }"#.to_owned(),
    ] {
        let request = lab.client.post(format!("{}/payments", lab.url)).header("content-type", "application/json");
        let again = answer(request.header("Idempotency-Key", "key-1").body(spelling)).await;
        assert_eq!((again.status, again.replayed), (201, true));
        assert_eq!((again.text, again.content_type), (first.text.clone(), first.content_type.clone()));
    }
    assert_eq!(lab.counts().await, (1, 2, 1));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_key_does_not_serve_for_another_request(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let first = lab.post_with_key("key-1", "/payments", json!({"amount": 1000, "currency": "USD"})).await;
    let other_body = lab.post_with_key("key-1", "/payments", json!({"amount": 1001, "currency": "USD"})).await;
    insta::assert_json_snapshot!("key_reuse", other_body.shown());
    let path = format!("/payments/{}/status", first.payment_id());
    for (path, body) in [("/merchants", json!({"name": "Bakery"})), (path.as_str(), json!({"status": "failed"}))] {
        let other = lab.post_with_key("key-1", path, body).await;
        assert_eq!((other.status, other.text), (422, other_body.text.clone()), "{path}");
    }
    assert_eq!(lab.counts().await, (1, 1, 1));
    let merchants: i64 = sqlx::query_scalar("select count(*) from merchants").fetch_one(&lab.database).await.unwrap();
    assert_eq!(merchants, 1, "only the demo merchant");
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_same_key_at_the_same_time_makes_one_payment(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let body = json!({"amount": 1000, "currency": "USD"});
    let answers = join_all((0..16).map(|_| lab.post_with_key("key-1", "/payments", body.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1, "one is the first");
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (201, &answers[0].text));
    }
    assert_eq!(lab.counts().await, (1, 1, 1));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_second_one_waits_for_the_first_and_goes_on_if_that_fails(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let mut first = lab.database.begin().await.unwrap();
    sqlx::query("insert into idempotency_keys (key, fingerprint, status, response) values ('key-1', '', 201, '')")
        .execute(&mut *first)
        .await
        .unwrap();
    let second = lab.post_with_key("key-1", "/payments", json!({"amount": 1000, "currency": "USD"}));
    let fail_first = async {
        until_somebody_waits_for_a_lock(&lab).await;
        first.rollback().await.unwrap();
    };
    let (second, ()) = futures_util::future::join(second, fail_first).await;
    assert_eq!((second.status, second.replayed), (201, false), "{}", second.text);
    assert_eq!(lab.counts().await, (1, 1, 1));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_repeated_change_of_status_is_done_once(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let payment = lab.post("/payments", json!({"amount": 1000, "currency": "USD"})).await;
    let path = format!("/payments/{}/status", payment.payment_id());
    let processing = json!({"status": "processing"});
    let answers = join_all((0..8).map(|_| lab.post_with_key("key-1", &path, processing.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (200, &answers[0].text));
    }
    // Legal again since then, and still done only once.
    lab.post(&path, json!({"status": "requires_action"})).await;
    let again = lab.post_with_key("key-1", &path, processing).await;
    assert_eq!((again.replayed, &again.text), (true, &answers[0].text));
    assert_eq!(lab.get(&format!("/payments/{}", payment.payment_id())).await.body()["status"], "requires_action");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_refused_change_stays_refused_under_its_key(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let payment = lab.post("/payments", json!({"amount": 1000, "currency": "USD"})).await;
    let path = format!("/payments/{}/status", payment.payment_id());
    let refused = lab.post_with_key("key-1", &path, json!({"status": "succeeded"})).await;
    assert_eq!((refused.status, refused.replayed), (409, false));
    lab.post(&path, json!({"status": "processing"})).await;
    let again = lab.post_with_key("key-1", &path, json!({"status": "succeeded"})).await;
    assert_eq!((again.status, again.replayed, again.text), (409, true, refused.text));
    assert_eq!(again.content_type, "application/problem+json");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_key_is_visible_ascii_and_given_once(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let body = json!({"amount": 1000, "currency": "USD"});
    let mut shown = Vec::new();
    for key in ["", "a b", "ключ", &"k".repeat(256)] {
        shown.push(lab.post_with_key(key, "/payments", body.clone()).await.shown());
    }
    let twice = lab.request("/payments", &body).header("idempotency-key", "a").header("idempotency-key", "b");
    shown.push(answer(twice).await.shown());
    insta::assert_json_snapshot!("bad_keys", shown);
    assert_eq!(lab.counts().await, (0, 0, 0));
    assert_eq!(lab.post_with_key(&"k".repeat(255), "/payments", body).await.status, 201);
}

#[sqlx::test(migrations = "../../migrations")]
async fn keys_are_forgotten_after_seven_days(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    for (key, days) in [("old", 8), ("young", 6)] {
        sqlx::query(
            "insert into idempotency_keys (key, fingerprint, status, response, created_at)
             values ($1, '', 201, '', now() - make_interval(days => $2))",
        )
        .bind(key)
        .bind(days)
        .execute(&lab.database)
        .await
        .unwrap();
    }
    payments_api::forget_old_keys(&lab.lifecycle, &lab.database);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let left: Vec<String> =
            sqlx::query_scalar("select key from idempotency_keys").fetch_all(&lab.database).await.unwrap();
        if left == ["young"] {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "still kept: {left:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn until_somebody_waits_for_a_lock(lab: &Lab) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(&lab.database)
        .await
        .unwrap();
        if waiting > 0 {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "nobody waits for a lock");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
