//! Making and reading merchants.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;

#[sqlx::test(migrations = "../../migrations")]
async fn a_merchant_is_made_and_read(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let made = lab.post("/merchants", json!({"name": "Bakery"})).await;
    insta::assert_json_snapshot!("merchant", made.shown());
    let read = lab.get(&format!("/merchants/{}", made.body()["merchant_id"].as_str().unwrap())).await;
    assert_eq!((read.status, read.text), (200, made.text));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_merchant_may_bring_its_id_once(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let body = json!({"name": "Bakery", "merchant_id": "mer_019a0b1c2d3e7f00a1b2c3d4e5f60718"});
    let made = lab.post_with_key("k1", "/merchants", body.clone()).await;
    assert_eq!((made.status, &made.body()["merchant_id"]), (201, &body["merchant_id"]));
    let again = lab.post_with_key("k1", "/merchants", body.clone()).await;
    assert_eq!((again.status, again.replayed, &again.text), (201, true, &made.text));
    insta::assert_json_snapshot!("merchant_exists", lab.post_with_key("k2", "/merchants", body).await.shown());
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_bad_merchant_is_refused(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let shown = vec![
        lab.post("/merchants", json!({})).await.shown(),
        lab.post("/merchants", json!({"name": ""})).await.shown(),
        lab.post("/merchants", json!({"name": "n".repeat(201)})).await.shown(),
        lab.post("/merchants", json!({"name": "Bakery", "merchant_id": "mer_1"})).await.shown(),
        lab.get("/merchants/mer_019a0b1c2d3e7f00a1b2c3d4e5f60718").await.shown(),
    ];
    insta::assert_json_snapshot!("merchant_problems", shown);
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_demo_merchant_is_made_once_and_keeps_its_name(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let path = format!("/merchants/{}", payments_api::DEMO_MERCHANT);
    let first = lab.get(&path).await;
    assert_eq!(first.body()["name"], "Demo merchant");
    payments_api::ensure_demo_merchant(&lab.lifecycle, &lab.database).await;
    assert_eq!(lab.get(&path).await, first);
}
