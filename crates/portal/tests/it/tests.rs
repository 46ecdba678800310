//! Test events: for one endpoint, once for each key, and only where something is sent.

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;
use crate::ledger::{ENDPOINT, MERCHANT};

fn path() -> String {
    format!("/endpoints/{ENDPOINT}/test")
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_test_event_is_written_for_this_endpoint(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let made = lab.ask(&lab.token_of(MERCHANT).await, "post", &path(), None).await;
    insta::assert_json_snapshot!("test_event", made.shown());
    let (event_id, delivery_id) = (made.text("event_id"), made.text("delivery_id"));
    assert_eq!(event_id.strip_prefix("evt_"), delivery_id.strip_prefix("dlv_"));
    insta::assert_json_snapshot!("written_test_event", lab.get(&format!("/events/{event_id}")).await.shown());
    let listed = lab.all(&format!("/events?object_id={ENDPOINT}")).await;
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["event_id"], &listed[0]["event_type"]), (&json!(event_id), &json!("everhook.test")));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_test_is_sent_once_for_each_key(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let post = || async { lab.post_with_key("of-the-operator", "key-1", &path(), &json!({})).await };
    let (a, b, c, d) = tokio::join!(post(), post(), post(), post());
    for answer in [&a, &b, &c, &d] {
        assert_eq!((answer.status, &answer.text), (202, &a.text));
    }
    assert_eq!([&a, &b, &c, &d].iter().filter(|answer| !answer.replayed).count(), 1, "one is the first");
    lab.patch(&format!("/endpoints/{ENDPOINT}"), json!({"state": "disabled"})).await;
    assert_eq!((post().await.text, post().await.replayed), (a.text, true), "it was sent when it was enabled");
    let without_key = lab.post(&path(), json!({})).await;
    assert_eq!((without_key.status, without_key.text("code").as_str()), (409, "endpoint_not_enabled"));
    lab.patch(&format!("/endpoints/{ENDPOINT}"), json!({"state": "enabled"})).await;
    assert_eq!(lab.post(&path(), json!({})).await.status, 202);
    let written: i64 = sqlx::query_scalar("select count(*) from domain_events").fetch_one(&lab.database).await.unwrap();
    assert_eq!(written, 2);
}

#[sqlx::test(migrations = "../../migrations")]
async fn nothing_is_written_for_an_endpoint_that_gets_nothing(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let unknown = lab.post("/endpoints/ep_0000000000000000000000000000000f/test", json!({})).await;
    assert_eq!((unknown.status, unknown.text("code").as_str()), (404, "not_found"));
    lab.patch(&format!("/endpoints/{ENDPOINT}"), json!({"state": "disabled"})).await;
    insta::assert_json_snapshot!("test_of_disabled", lab.post(&path(), json!({})).await.shown());
    lab.ask("of-the-operator", "delete", &format!("/endpoints/{ENDPOINT}"), None).await;
    assert_eq!(lab.post(&path(), json!({})).await.status, 404);
    assert_eq!(lab.all("/events").await, Vec::<Value>::new());
}
