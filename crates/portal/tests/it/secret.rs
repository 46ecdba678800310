//! Showing and rotating an endpoint's secret: what is passed to data-service, and what of its answers.

use std::io::Write;
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::ledger::{ENDPOINT, MERCHANT};
use crate::played::PUBLIC_KEY;
use crate::{Lab, SECRET, answer};

/// Everything that this thread logs. A test runs in one thread, with the service that it asks.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn path() -> String {
    format!("/endpoints/{ENDPOINT}/secret")
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_current_secret_is_shown_and_kept_by_nobody_in_between(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let response = lab.request(Method::GET, &path()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["cache-control"]), (200, &"no-store".parse().unwrap()));
    assert_eq!(lab.get(&path()).await.body["secret"], SECRET);
    assert_eq!(answer(lab.client.get(format!("{}{}", lab.url, path()))).await.status, 401);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_rotation_is_passed_on_with_its_key(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let rotate = format!("{}/rotate", path());
    let asked = json!({"expires_in": "1h", "secret": SECRET});
    let passed =
        lab.request(Method::POST, &rotate).header("Idempotency-Key", "again").json(&asked).send().await.unwrap();
    assert_eq!(passed.headers()["idempotent-replay"], "true");
    assert_eq!(passed.headers()["cache-control"], "no-store");
    assert_eq!(passed.json::<serde_json::Value>().await.unwrap()["asked"], asked);
    let without_body = answer(lab.request(Method::POST, &rotate)).await;
    assert_eq!(without_body.body, json!({"asked": {}, "key": null, "type": "application/json"}));
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_data_service_refuses_is_told_and_what_it_can_t_do_is_503(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let rotate = format!("{}/rotate", path());
    let shown = vec![
        lab.get("/endpoints/ep_00000000000000000000000000000009/secret").await.shown(),
        lab.get("/endpoints/ep_9/secret").await.shown(),
        lab.post(&rotate, json!({"expires_in": "full"})).await.shown(),
        lab.post(&rotate, json!({"expires_in": "busy"})).await.shown(),
    ];
    insta::assert_json_snapshot!("secret_problems", shown);
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_endpoint_with_v1a_shows_its_public_key_only(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let wants = json!({"url": "https://merchant.test", "signature": "v1a"});
    let made = lab.post(&format!("/merchants/{MERCHANT}/endpoints"), wants).await;
    assert_eq!((made.status, made.text("signature").as_str()), (201, "v1a"));
    assert_eq!((made.text("public_key").as_str(), made.body.get("secret")), (PUBLIC_KEY, None));
    let stored: String = sqlx::query_scalar("select signature from endpoint_secrets where endpoint_id = $1")
        .bind(made.text("endpoint_id"))
        .fetch_one(&lab.database)
        .await
        .unwrap();
    assert_eq!(stored, "v1a");
}

/// data-service changes the signature, together with the secret.
#[sqlx::test(migrations = "../../migrations")]
async fn another_signature_is_a_rotation(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let endpoint = format!("/endpoints/{ENDPOINT}");
    let changed = lab.patch(&endpoint, json!({"signature": "v1a", "description": "orders"})).await;
    assert_eq!((changed.status, changed.text("description").as_str()), (200, "orders"));
    let wrong = lab.patch(&endpoint, json!({"signature": SECRET, "description": "other"})).await;
    let gone = lab.patch("/endpoints/ep_00000000000000000000000000000009", json!({"signature": "v1a"})).await;
    insta::assert_json_snapshot!("signature_problems", vec![wrong.shown(), gone.shown()]);
    assert_eq!(lab.get(&endpoint).await.text("description"), "orders");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deleted_endpoint_shows_no_secret_and_gets_no_other(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let endpoint = format!("/endpoints/{ENDPOINT}");
    assert_eq!(lab.ask("of-the-operator", "delete", &endpoint, None).await.status, 204);
    assert_eq!(lab.get(&path()).await.status, 404);
    assert_eq!(lab.post(&format!("{}/rotate", path()), json!({})).await.status, 404);
    assert_eq!(lab.patch(&endpoint, json!({"signature": "v1a"})).await.status, 404);
}

/// What passes through leaves no trace, at any level, and a problem repeats nothing.
#[sqlx::test(migrations = "../../migrations")]
async fn nothing_secret_is_logged_or_told_in_a_problem(pool: PgPoolOptions, connect: PgConnectOptions) {
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || written.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let (endpoint, rotate) = (format!("/endpoints/{ENDPOINT}"), format!("{}/rotate", path()));
    lab.get(&path()).await;
    lab.post(&rotate, json!({"secret": SECRET})).await;
    lab.post(&format!("/merchants/{MERCHANT}/endpoints"), json!({"url": "https://merchant.test"})).await;
    let problems = [
        lab.post(&rotate, json!({"secret": SECRET, "expires_in": "full"})).await,
        lab.post(&rotate, json!({"secret": SECRET, "expires_in": "busy"})).await,
        lab.patch(&endpoint, json!({"signature": SECRET})).await,
        lab.post(&format!("/merchants/{MERCHANT}/endpoints"), json!({"url": SECRET, "signature": SECRET})).await,
    ];
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("data-service answered 503"), "{log}");
    let digits = SECRET.strip_prefix("whsec_").unwrap();
    assert!(!log.contains(digits), "{:?}", log.lines().find(|line| line.contains(digits)));
    for problem in problems {
        assert!(problem.status >= 400 && !problem.body.to_string().contains(digits), "{problem:?}");
    }
}
