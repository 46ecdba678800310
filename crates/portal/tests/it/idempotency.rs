//! `Idempotency-Key`: what is made is made once for each key.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::ledger::{ENDPOINT, JOB, MERCHANT, delivery};
use crate::{Lab, SECRET};

const OPERATOR: &str = "of-the-operator";

/// The key goes on to data-service, which remembers it beside the secret that it made; `secret` and data-service's own
/// tests try it.
const PASSED_ON: &str = "/endpoints/{endpoint_id}/secret/rotate";

/// They ask for a state of the thing that they name, or for nothing that could be another request: tried below, and in
/// `tests`.
const ALWAYS_THE_SAME: [&str; 4] = [
    "/endpoints/{endpoint_id}/pause",
    "/endpoints/{endpoint_id}/test",
    "/jobs/{job_id}/cancel",
    "/deliveries/{delivery_id}/resend",
];

/// Each other POST, with a request and another one.
fn posts() -> Vec<(&'static str, Value, Value)> {
    vec![
        ("/merchants", json!({"name": "Bakery"}), json!({"name": "Café"})),
        ("/merchants/{merchant_id}/tokens", json!({}), json!({"valid_for": "2h"})),
        ("/merchants/{merchant_id}/endpoints", json!({"url": "https://x.test/"}), json!({"url": "https://y.test/"})),
        (
            "/endpoints/{endpoint_id}/recover",
            json!({"since": "2026-11-01T00:00:00Z"}),
            json!({"since": "2026-11-01T00:00:00Z", "states": ["parked"]}),
        ),
        ("/endpoints/{endpoint_id}/enable", json!({"parked": "none"}), json!({})),
    ]
}

#[sqlx::test(migrations = "../../migrations")]
async fn every_post_is_done_once_for_each_key(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let document = lab.get("/openapi.json").await.body;
    let documented: BTreeSet<&str> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, item)| item.get("post").is_some())
        .map(|(path, _)| path.as_str())
        .filter(|path| *path != PASSED_ON && !ALWAYS_THE_SAME.contains(path))
        .collect();
    assert_eq!(documented, posts().iter().map(|(path, _, _)| *path).collect());
    for (path, body, other) in posts() {
        let status = if path.ends_with("/enable") { 200 } else { 201 };
        let key = format!("key of {path}").replace(' ', "-");
        let path = path.replace("{merchant_id}", MERCHANT).replace("{endpoint_id}", ENDPOINT);
        let pause = || lab.execute("update endpoints set state = 'paused' where url = 'https://x.test/'");
        if status == 200 {
            pause().await;
        }
        let first = lab.post_with_key(OPERATOR, &key, &path, &body).await;
        assert_eq!((first.status, first.replayed), (status, false), "{path}: {first:?}");
        let again = lab.post_with_key(OPERATOR, &key, &path, &body).await;
        assert_eq!((again.status, again.replayed), (status, true), "{path}");
        assert_eq!((&again.text, &again.content_type), (&first.text, &first.content_type), "{path}: byte for byte");
        let reused = lab.post_with_key(OPERATOR, &key, &path, &other).await;
        assert_eq!((reused.status, reused.text("code").as_str()), (422, "idempotency_key_reuse"), "{path}");
        if status == 200 {
            pause().await;
        }
        let new = lab.post_with_key(OPERATOR, &format!("{key}-2"), &path, &other).await;
        assert_eq!((new.status, new.replayed), (status, false), "{path}");
        assert_ne!(new.text, first.text);
    }
    assert_eq!(counts(&lab).await, (3, 3), "one of each was there before");
    // Nothing that is kept tells a secret.
    let kept: Vec<String> =
        sqlx::query_scalar("select response from idempotency_keys").fetch_all(&lab.database).await.unwrap();
    assert_eq!(kept.len(), 10);
    for response in kept {
        assert!(!response.contains(SECRET) && !response.contains("emt_v1."), "{response}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_always_the_same_request_is_done_once_for_each_key(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await.with_job().await;
    let event_id = lab.pay(1).await;
    lab.deliver(1, &event_id, "exhausted", Some("schedule_used_up"), 0).await;
    for path in ALWAYS_THE_SAME.iter().rev() {
        let path = path.replace("{endpoint_id}", ENDPOINT).replace("{job_id}", JOB);
        let path = path.replace("{delivery_id}", &delivery(1));
        let post = || lab.post_with_key(OPERATOR, "key-1", &path, &json!(null));
        let first = post().await;
        assert!(first.status < 300 && !first.replayed, "{path}: {first:?}");
        lab.execute("update endpoints set state = 'enabled'; update jobs set done = 7").await;
        let again = post().await;
        assert_eq!((again.status, again.replayed, &again.text), (first.status, true, &first.text), "{path}");
        lab.execute("delete from idempotency_keys").await;
    }
    let jobs: i64 = sqlx::query_scalar("select count(*) from jobs").fetch_one(&lab.database).await.unwrap();
    assert_eq!(jobs, 2, "one was there before, and one resends");
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_same_key_at_the_same_time_makes_one_endpoint(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let (path, body) = (format!("/merchants/{MERCHANT}/endpoints"), json!({"url": "https://x.test/"}));
    let post = || lab.post_with_key(OPERATOR, "key-1", &path, &body);
    let (a, b, c, d) = tokio::join!(post(), post(), post(), post());
    for answer in [&a, &b, &c, &d] {
        assert_eq!((answer.status, &answer.text), (201, &a.text));
    }
    assert_eq!([&a, &b, &c, &d].iter().filter(|answer| !answer.replayed).count(), 1, "one is the first");
    assert_eq!(counts(&lab).await, (1, 2));
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_keys_of_one_are_not_those_of_another(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let token = lab.token_of(MERCHANT).await;
    let (path, body) = (format!("/merchants/{MERCHANT}/endpoints"), json!({"url": "https://x.test/"}));
    let of_operator = lab.post_with_key(OPERATOR, "key-1", &path, &body).await;
    let of_merchant = lab.post_with_key(&token, "key-1", &path, &body).await;
    assert_eq!((of_merchant.status, of_merchant.replayed), (201, false));
    assert_ne!(of_merchant.text, of_operator.text);
    // With another token of the same merchant it is the same key.
    let other_token =
        lab.post(&format!("/merchants/{MERCHANT}/tokens"), json!({"valid_for": "2h"})).await.text("token");
    assert_eq!(lab.post_with_key(&other_token, "key-1", &path, &body).await.text, of_merchant.text);
    insta::assert_json_snapshot!("bad_key", lab.post_with_key(OPERATOR, "a b", &path, &body).await.shown());
}

async fn counts(lab: &Lab) -> (i64, i64) {
    sqlx::query_as("select (select count(*) from merchants), (select count(*) from endpoints)")
        .fetch_one(&lab.database)
        .await
        .unwrap()
}
