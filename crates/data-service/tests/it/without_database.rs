//! The database is away: every item is answered `failed`, every other call 503, and nobody sees why.

use std::time::Duration;

use chassis::Lifecycle;
use data_service::app::{App, Core, Pools};
use domain::gate::Limits;
use domain::protocol::{Answer, Attempt, Opened};
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::lab::{Lab, PATIENCE, Wants, keyring};
use crate::service::{DELIVERED, FAILED, PORTAL, Service, opening, result, strange_attempt};

/// A service whose database nobody has ever seen.
async fn cut_off() -> Service {
    // Nobody listens on port 1.
    let nowhere = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(1).database("secret_name");
    let pool = || PgPoolOptions::new().acquire_timeout(Duration::from_millis(300)).connect_lazy_with(nowhere.clone());
    let core =
        Core::new(Pools { rare: pool(), recording: pool(), fast: pool() }, keyring(), PATIENCE, Limits::default());
    let lifecycle = Lifecycle::default();
    let app = App::over(core, &lifecycle);
    Service::start(lifecycle, app).await
}

#[tokio::test]
async fn items_fail_and_calls_are_unavailable_and_nothing_else_is_told() {
    let service = cut_off().await;
    let delivery_id = "dlv_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse().unwrap();
    let event_id = "evt_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse().unwrap();
    let strange = strange_attempt(delivery_id);
    let record = json!({"reason": "unreadable", "value_base64": ""});
    let replies = [
        service.post("/internal/open", &[opening(event_id, "inv_1"), opening(event_id, "inv_2")]).await,
        service.post("/internal/next", &[json!({"delivery_id": delivery_id, "claim": 1, "invocation_id": "i"})]).await,
        service.post("/internal/record", &[result(&strange, DELIVERED), result(&strange, FAILED)]).await,
        service.post("/internal/overdue", &json!({"holder": "me"})).await,
        service.post("/internal/parked-records", &record).await,
        service.get("/payload/pay_019a0b1c2d3e7f00a1b2c3d4e5f60718").await,
    ];
    assert_eq!(replies.iter().filter(|reply| reply.retry_after.is_some()).count(), 3);
    let shown: Vec<_> = replies.iter().map(crate::service::Reply::shown).collect();
    insta::assert_json_snapshot!("without_database", shown);
    assert_eq!(service.send(service.request(Method::GET, "/health")).await.status, 200);
    let secret = service.send(service.request(Method::POST, "/internal/secrets").bearer_auth(PORTAL)).await;
    assert_eq!(secret.status, 200, "a secret needs no database");
}

/// The database ends every connection, as a restart does: at most one answer per connection fails.
#[sqlx::test(migrations = "../../migrations")]
async fn after_the_database_s_restart_the_service_goes_on(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let before = lab.payment(&merchant).await.event_id;
    lab.service.open_one(before, "inv_1").await;
    let ended = lab
        .count(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()",
        )
        .await;
    assert!(ended > 0, "the service had a connection");
    let event_id = lab.payment(&merchant).await.event_id;
    let mut tries = 0;
    let made = loop {
        tries += 1;
        match lab.service.open(event_id, "inv_2").await {
            Opened::Failed if tries < 12 => {}
            answer => break crate::answers::attempts(answer),
        }
    };
    assert_eq!(made.len(), 1);
}

/// Somebody's open transaction holds rows, as many as there are lanes and more: a result of another delivery is
/// recorded meanwhile, and theirs when the rows are free.
#[sqlx::test(migrations = "../../migrations")]
async fn locked_rows_do_not_stop_the_service(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let mut made = Vec::new();
    for _ in 0..4 {
        let event_id = lab.payment(&merchant).await.event_id;
        made.push(lab.service.open_one(event_id, "inv_1").await);
    }
    let (free, locked) = made.split_last().unwrap();
    let mut lock = lab.database.begin().await.unwrap();
    sqlx::query("select from deliveries where delivery_id <> $1 for update")
        .bind(free.delivery_id.to_string())
        .execute(&mut *lock)
        .await
        .unwrap();
    let until_recorded = async |attempt: &Attempt| {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while let Answer::Failed = lab.service.record(attempt, DELIVERED).await {
            assert!(tokio::time::Instant::now() < deadline, "a result is not recorded for 60 s");
        }
    };
    let wait_for_the_locked = futures_util::future::join_all(locked.iter().map(until_recorded));
    let free_them = async {
        until_somebody_waits_for_a_lock(&lab).await;
        until_recorded(free).await;
        assert_eq!(lab.count("select count(*) from deliveries where state = 'delivered'").await, 1);
        lock.rollback().await.unwrap();
    };
    futures_util::future::join(wait_for_the_locked, free_them).await;
    assert_eq!(lab.count("select count(*) from deliveries where state = 'delivered'").await, 4);
}

async fn until_somebody_waits_for_a_lock(lab: &Lab) {
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while lab.count(waiting).await == 0 {
        assert!(tokio::time::Instant::now() < deadline, "nobody waits for the lock");
    }
}
