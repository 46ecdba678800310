//! Reading merchants.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;
use crate::ledger::MERCHANT;

#[sqlx::test(migrations = "../../migrations")]
async fn merchants_are_listed_page_by_page(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    lab.execute(
        "insert into merchants (merchant_id, name)
         select 'mer_' || lpad(n::text, 32, '0'), 'Bakery ' || n from generate_series(1, 3) as n",
    )
    .await;
    let first = lab.get("/merchants?limit=2").await;
    insta::assert_json_snapshot!("merchants", first.shown());
    let second = lab.get(&format!("/merchants?limit=2&cursor={}", first.text("next_cursor"))).await;
    assert_eq!(
        (second.body["items"].as_array().unwrap().len(), &second.body["next_cursor"]),
        (1, &serde_json::json!(null))
    );
    assert_eq!(lab.get(&format!("/merchants/{MERCHANT}")).await.body, second.body["items"][0]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_merchant_is_made_and_renamed(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let made = lab.post("/merchants", json!({"name": "Bakery", "merchant_id": MERCHANT})).await;
    insta::assert_json_snapshot!("merchant", made.shown());
    let path = format!("/merchants/{MERCHANT}");
    assert_eq!(lab.get(&path).await.body, made.body);
    assert_eq!(lab.patch(&path, json!({})).await.body, made.body);
    assert_eq!(lab.patch(&path, json!({"name": "Café"})).await.body["name"], "Café");
    let other = lab.post("/merchants", json!({"name": "Bakery"})).await;
    assert_eq!(lab.all("/merchants").await[0], other.body);
    let mut shown = vec![lab.post("/merchants", json!({"name": "Bar", "merchant_id": MERCHANT})).await.shown()];
    for body in [json!({}), json!({"name": ""}), json!({"name": "Bar", "merchant_id": 7}), json!({"nom": "Bar"})] {
        shown.push(lab.post("/merchants", body).await.shown());
    }
    shown.push(lab.patch(&path, json!({"name": "x".repeat(201)})).await.shown());
    shown.push(lab.patch("/merchants/mer_0000000000000000000000000000000f", json!({"name": "Bar"})).await.shown());
    insta::assert_json_snapshot!("merchant_changes_refused", shown);
    assert_eq!(lab.get(&path).await.body["name"], "Café");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_bad_page_or_an_unknown_merchant_is_a_problem(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let mut shown = Vec::new();
    for path in [
        "/merchants?limit=0",
        "/merchants?limit=251",
        "/merchants?limit=all",
        "/merchants?cursor=7",
        "/merchants?page=2",
        "/merchants?limit=1&limit=2",
        "/merchants/mer_00000000000000000000000000000009",
        "/merchants/7",
        "/merchants/mer_00000000000000000000000000000009/endpoints",
    ] {
        shown.push((path, lab.get(path).await.shown()));
    }
    insta::assert_json_snapshot!("merchant_problems", shown);
}
