//! Who may come in, and what happens when a neighbour is away.

use std::time::Duration;

use chassis::Lifecycle;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::ledger::{ENDPOINT, MERCHANT};
use crate::{Lab, answer};

#[sqlx::test(migrations = "../../migrations")]
async fn only_the_operator_comes_in_and_health_is_open(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    for path in
        ["/merchants", "/audit", "/parked-records", "/hops", "/why/pay_1", "/endpoints/ep_1", "/endpoints/ep_1/secret"]
    {
        let refused = answer(lab.client.get(format!("{}{path}", lab.url))).await;
        assert_eq!((refused.status, refused.content_type.as_str()), (401, "application/problem+json"), "{path}");
    }
    let wrong = lab.client.get(format!("{}/merchants", lab.url)).bearer_auth("of-the-portal");
    assert_eq!(answer(wrong).await.status, 401);
    assert_eq!(answer(lab.client.get(format!("{}/health", lab.url))).await.status, 200);
    assert_eq!(lab.get("/nowhere").await.status, 404);
    assert_eq!(lab.patch("/merchants", json!({})).await.status, 405);
}

#[sqlx::test(migrations = "../../migrations")]
async fn without_data_service_no_endpoint_is_made(pool: PgPoolOptions, connect: PgConnectOptions) {
    let database = pool.connect_with(connect).await.unwrap();
    // Nobody listens on port 1.
    let lab = Lab::with(Lifecycle::default(), database.clone(), database.clone(), database, "http://127.0.0.1:1").await;
    let lab = lab.with_endpoint().await;
    let made = lab.post(&format!("/merchants/{MERCHANT}/endpoints"), json!({"url": "https://x.test/"})).await;
    insta::assert_json_snapshot!("data_service_away", made.shown());
    let endpoints: i64 = sqlx::query_scalar("select count(*) from endpoints").fetch_one(&lab.database).await.unwrap();
    assert_eq!(endpoints, 1, "only the one that was there before");
    // A signature is changed there, and not before all else is found right.
    let change = async |body| lab.patch(&format!("/endpoints/{ENDPOINT}"), body).await.status;
    assert_eq!(change(json!({"signature": "v1a"})).await, 503);
    assert_eq!(change(json!({"signature": "v1a", "url": "https://10.0.0.1/"})).await, 422);
}

#[tokio::test]
async fn without_a_database_the_answer_is_503() {
    let nowhere = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(1);
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_millis(300)).connect_lazy_with(nowhere);
    let lab = Lab::with(Lifecycle::default(), pool.clone(), pool.clone(), pool, "http://127.0.0.1:1").await;
    for path in ["/merchants", "/parked-records", "/audit?from=2026-11-23T00:00:00Z&to=2026-11-24T00:00:00Z"] {
        assert_eq!(lab.get(path).await.status, 503, "{path}");
    }
}
