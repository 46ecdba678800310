//! The doors of the endpoints; those of payments-api have their own tests.

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::lab::{Lab, answer};

#[sqlx::test(migrations = "../../migrations")]
async fn an_endpoint_that_is_moved_gets_its_webhooks_at_the_new_url(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (merchant_id, endpoint) = lab.merchant().await;
    let path = format!("{}/endpoints/{}", lab.url, endpoint["endpoint_id"].as_str().unwrap());
    let url = format!("{}?moved", lab.receiver.url());
    let (status, moved) = answer(lab.client.patch(path).json(&json!({"url": url}))).await;
    assert_eq!((status, moved["url"].as_str()), (200, Some(url.as_str())));
    assert_eq!(moved["secret"], Value::Null);
    lab.pay(&merchant_id, "key-1").await;
    lab.until_received(1).await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn bad_input_gets_a_problem_that_says_what_is_wrong(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (merchant_id, _) = lab.merchant().await;
    let path = format!("/merchants/{merchant_id}/endpoints");
    let mut shown = Vec::new();
    for (path, body) in [
        (path.as_str(), json!({"url": "no url"})),
        (path.as_str(), json!({"url": "ftp://127.0.0.1/"})),
        (path.as_str(), json!({"url": "http://10.0.0.1/"})),
        (path.as_str(), json!({"url": lab.receiver.url(), "event_types": []})),
        (path.as_str(), json!({"url": lab.receiver.url(), "event_types": ["pay*"]})),
        (path.as_str(), json!({"url": lab.receiver.url(), "schedule": ["0s"]})),
        ("/merchants/mer_019a0b1c2d3e7f00a1b2c3d4e5f60718/endpoints", json!({"url": lab.receiver.url()})),
    ] {
        let (status, problem) = lab.post(path, body).await;
        shown.push(json!({"status": status, "problem": problem}));
    }
    let path = format!("{}/endpoints/ep_019a0b1c2d3e7f00a1b2c3d4e5f60718", lab.url);
    let (status, problem) = answer(lab.client.patch(path).json(&json!({"url": lab.receiver.url()}))).await;
    shown.push(json!({"status": status, "problem": problem}));
    insta::assert_json_snapshot!("endpoint_problems", shown);
}
