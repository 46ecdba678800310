//! Making and reading payments.

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;

#[sqlx::test(migrations = "../../migrations")]
async fn a_payment_is_answered_as_it_is_read_and_has_its_event(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let made = lab.post_text("/payments", r#"{"amount":1000,"currency":"USD"}"#).await;
    insta::assert_json_snapshot!("payment", made.shown());
    let read = lab.get(&format!("/payments/{}", made.payment_id())).await;
    assert_eq!((read.status, &read.text), (200, &made.text));
    let (event_type, object_id, version, snapshot): (String, String, i64, Value) =
        sqlx::query_as("select event_type, object_id, object_version, snapshot from domain_events")
            .fetch_one(&lab.database)
            .await
            .unwrap();
    assert_eq!((event_type.as_str(), object_id, version), ("payment.created", made.payment_id(), 1));
    assert_eq!(snapshot["status"], "pending");
}

#[sqlx::test(migrations = "../../migrations")]
async fn all_that_a_payment_may_carry_comes_back(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.post("/merchants", json!({"name": "Café Ö"})).await.body();
    let made = lab
        .post(
            "/payments",
            json!({
                "merchant_id": merchant["merchant_id"], "amount": 1_000_000_000_000_000_i64, "currency": "JPY",
                "reference": "ö".repeat(200), "description": "ß".repeat(10_000),
            }),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let read = lab.get(&format!("/payments/{}", made.payment_id())).await.body();
    assert_eq!(read, made.body());
    assert_eq!(read["merchant_id"], merchant["merchant_id"]);
    assert_eq!(read["description"].as_str().unwrap().chars().count(), 10_000);
}

#[sqlx::test(migrations = "../../migrations")]
async fn bad_input_names_its_field_and_stores_nothing(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let mut shown = Vec::new();
    for body in [
        r#"{"currency":"USD"}"#,
        r#"{"amount":10.5,"currency":"USD"}"#,
        r#"{"amount":"1000","currency":"USD"}"#,
        r#"{"amount":null,"currency":"USD"}"#,
        r#"{"amount":1e3,"currency":"USD"}"#,
        r#"{"amount":0,"currency":"USD"}"#,
        r#"{"amount":-5,"currency":"USD"}"#,
        r#"{"amount":1000000000000001,"currency":"USD"}"#,
        r#"{"amount":18446744073709551615,"currency":"USD"}"#,
        r#"{"amount":1000}"#,
        r#"{"amount":1000,"currency":"usd"}"#,
        r#"{"amount":1000,"currency":"ABC"}"#,
        r#"{"amount":1000,"currency":5}"#,
        r#"{"amount":1000,"currency":"USD","merchant_id":"mer_1"}"#,
        r#"{"amount":1000,"currency":"USD","merchant_id":"mer_019a0b1c2d3e7f00a1b2c3d4e5f60718"}"#,
        r#"{"amount":1000,"currency":"USD","merchant":"x"}"#,
        r#"{"amount":1000,"amount":1000,"currency":"USD"}"#,
        r#"{"amount":1000,"currency":"USD","reference":7}"#,
        r#"{"amount":1000,"currency":"USD","reference":"a\u0000b"}"#,
        r#"{"amount":1000,"currency":"USD","reference":"\ud800"}"#,
        r#"{"amount":1000,"currency":"USD"} and more"#,
        r#"[null,1000,"USD",null,null]"#,
        "",
    ] {
        shown.push(json!({"given": body, "answer": lab.post_text("/payments", body).await.shown()}));
    }
    insta::assert_json_snapshot!("payment_problems", shown);
    assert_eq!(lab.counts().await, (0, 0, 0));
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_too_long_is_refused(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let with = |name: &str, text: String| json!({"amount": 1, "currency": "EUR", name: text});
    let shown = vec![
        lab.post("/payments", with("reference", "r".repeat(201))).await.shown(),
        lab.post("/payments", with("description", "d".repeat(10_001))).await.shown(),
        lab.post("/payments", with("description", "d".repeat(65 * 1024))).await.shown(),
    ];
    insta::assert_json_snapshot!("too_long", shown);
    assert_eq!(lab.counts().await, (0, 0, 0));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_body_must_say_that_it_is_json(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let request = lab.client.post(format!("{}/payments", lab.url)).body(r#"{"amount":1000,"currency":"USD"}"#);
    insta::assert_json_snapshot!("not_json", crate::answer(request).await.shown());
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_unknown_payment_is_not_found(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let shown = vec![
        lab.get("/payments/pay_019a0b1c2d3e7f00a1b2c3d4e5f60718").await.shown(),
        lab.get("/payments/PAY_1").await.shown(),
        lab.get("/payments/%ff").await.shown(),
    ];
    insta::assert_json_snapshot!("unknown_payment", shown);
}
