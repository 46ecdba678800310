//! The trigger: an event exists if and only if its payment change committed, whoever made it.

use serde_json::Value;
use sqlx::PgPool;
use sqlx::types::Json;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[derive(Debug, sqlx::FromRow)]
struct Event {
    event_id: String,
    event_type: String,
    object_type: String,
    object_id: String,
    object_version: i64,
    merchant_id: String,
    age_s: f64,
    traceparent: Option<String>,
    snapshot: Option<Json<Value>>,
    is_of_a_finished_transaction: bool,
}

async fn execute(pool: &PgPool, sql: &'static str) {
    sqlx::query(sql).execute(pool).await.unwrap();
}

async fn merchant(pool: &PgPool) {
    execute(pool, "insert into merchants (merchant_id, name) values (new_id('mer_', now()), 'Bakery')").await;
}

async fn events(pool: &PgPool) -> Vec<Event> {
    sqlx::query_as(
        "select event_id, event_type, object_type, object_id, object_version, merchant_id, traceparent, snapshot,
            extract(epoch from clock_timestamp() - occurred_at)::float8 as age_s,
            xid < pg_snapshot_xmax(pg_current_snapshot()) as is_of_a_finished_transaction
         from domain_events order by object_id, object_version",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

const PAYMENT: &str = "insert into payments (payment_id, merchant_id, amount, currency)
    select new_id('pay_', now()), merchant_id, 1000, 'USD' from merchants";

#[sqlx::test(migrations = "../../migrations")]
async fn an_insert_and_each_change_of_status_write_one_event(pool: PgPool) {
    merchant(&pool).await;
    execute(&pool, PAYMENT).await;
    execute(&pool, "update payments set status = 'processing'").await;
    execute(&pool, "update payments set status = 'processing', description = 'no other status'").await;
    execute(&pool, "update payments set status = 'succeeded'").await;
    let events = events(&pool).await;
    let told: Vec<_> = events.iter().map(|event| (event.event_type.as_str(), event.object_version)).collect();
    assert_eq!(told, [("payment.created", 1), ("payment.processing", 2), ("payment.succeeded", 4)]);
    let (payment_id, merchant_id): (String, String) =
        sqlx::query_as("select payment_id, merchant_id from payments").fetch_one(&pool).await.unwrap();
    for event in &events {
        assert!(event.event_id.parse::<domain::ids::EventId>().is_ok(), "{event:?}");
        assert_eq!((event.object_type.as_str(), &event.object_id), ("payment", &payment_id));
        assert_eq!(event.merchant_id, merchant_id);
        assert!(event.age_s < 60.0 && event.is_of_a_finished_transaction, "{event:?}");
        let snapshot = event.snapshot.as_ref().unwrap();
        assert_eq!(snapshot["version"], event.object_version, "it is the payment as this change left it");
    }
    assert!(events.is_sorted_by_key(|event| &event.event_id), "ids sort by time");
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_statement_for_many_payments_writes_one_event_for_each(pool: PgPool) {
    merchant(&pool).await;
    execute(
        &pool,
        "insert into payments (payment_id, merchant_id, amount, currency)
         select new_id('pay_', now()), merchant_id, 1000, 'USD' from merchants, generate_series(1, 20)",
    )
    .await;
    execute(&pool, "update payments set status = 'canceled'").await;
    let events = events(&pool).await;
    assert_eq!(events.len(), 40);
    assert_eq!(events.iter().filter(|event| event.event_type == "payment.canceled").count(), 20);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_payment_that_is_rolled_back_leaves_no_event(pool: PgPool) {
    merchant(&pool).await;
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query(PAYMENT).execute(&mut *transaction).await.unwrap();
    sqlx::query("savepoint s").execute(&mut *transaction).await.unwrap();
    sqlx::query("update payments set status = 'failed'").execute(&mut *transaction).await.unwrap();
    sqlx::query("rollback to s").execute(&mut *transaction).await.unwrap();
    let within: i64 =
        sqlx::query_scalar("select count(*) from domain_events").fetch_one(&mut *transaction).await.unwrap();
    assert_eq!(within, 1, "the change after the savepoint is undone");
    transaction.rollback().await.unwrap();
    assert_eq!(events(&pool).await.len(), 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_version_rises_with_any_change_and_nobody_else_sets_it(pool: PgPool) {
    merchant(&pool).await;
    execute(
        &pool,
        "insert into payments (payment_id, merchant_id, amount, currency, version)
         select new_id('pay_', now()), merchant_id, 1000, 'USD', 41 from merchants",
    )
    .await;
    let version = async || sqlx::query_scalar::<_, i64>("select version from payments").fetch_one(&pool).await.unwrap();
    assert_eq!(version().await, 1);
    for (change, expected) in [
        ("update payments set description = 'x'", 2),
        ("update payments set version = 99, amount = 2000", 3),
        ("update payments set amount = amount", 3),
        ("update payments set version = 7", 4),
    ] {
        execute(&pool, change).await;
        assert_eq!(version().await, expected, "{change}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_trace_is_taken_along_if_it_is_one_and_never_fails_a_payment(pool: PgPool) {
    merchant(&pool).await;
    for (trace, kept) in [
        (TRACE, true),
        ("", false),
        ("nonsense", false),
        ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7-01", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01", false),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e473ß-00f067aa0ba902b7-01", false),
    ] {
        let mut transaction = pool.begin().await.unwrap();
        sqlx::query("select set_config('everhook.traceparent', $1, true)")
            .bind(trace)
            .execute(&mut *transaction)
            .await
            .unwrap();
        sqlx::query(PAYMENT).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        let newest: Option<String> =
            sqlx::query_scalar("select traceparent from domain_events order by event_id desc limit 1")
                .fetch_one(&pool)
                .await
                .unwrap();
        assert_eq!(newest.as_deref(), kept.then_some(trace), "{trace}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_trace_does_not_leak_into_the_connection_s_next_transaction(pool: PgPool) {
    merchant(&pool).await;
    let mut connection = pool.acquire().await.unwrap();
    for statement in [
        "begin",
        "select set_config('everhook.traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', true)",
        PAYMENT,
        "commit",
        PAYMENT,
    ] {
        sqlx::query(statement).execute(&mut *connection).await.unwrap();
    }
    let traces: Vec<Option<String>> =
        sqlx::query_scalar("select traceparent from domain_events order by event_id").fetch_all(&pool).await.unwrap();
    assert_eq!(traces, [Some(TRACE.to_owned()), None]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_snapshot_over_64_kib_is_left_out(pool: PgPool) {
    merchant(&pool).await;
    for bytes in [60_000, 70_000] {
        sqlx::query(
            "insert into payments (payment_id, merchant_id, amount, currency, description)
             select new_id('pay_', now()), merchant_id, 1000, 'USD', repeat('x', $1) from merchants",
        )
        .bind(bytes)
        .execute(&pool)
        .await
        .unwrap();
    }
    let kept: Vec<bool> = sqlx::query_scalar("select snapshot is not null from domain_events order by event_id")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(kept, [true, false]);
}

/// As when rows are restored or replicated into the database.
#[sqlx::test(migrations = "../../migrations")]
async fn the_trigger_fires_for_replicated_changes_too(pool: PgPool) {
    merchant(&pool).await;
    let mut connection = pool.acquire().await.unwrap();
    for statement in ["set session_replication_role = replica", PAYMENT, "update payments set status = 'failed'"] {
        sqlx::query(statement).execute(&mut *connection).await.unwrap();
    }
    drop(connection);
    let told: Vec<_> = events(&pool).await.into_iter().map(|event| (event.event_type, event.object_version)).collect();
    assert_eq!(told, [("payment.created".to_owned(), 1), ("payment.failed".to_owned(), 2)]);
}

/// A search path of the caller's choice must not lead the trigger, which has more rights than the caller, astray.
#[sqlx::test(migrations = "../../migrations")]
async fn a_caller_s_own_tables_and_functions_are_not_used(pool: PgPool) {
    merchant(&pool).await;
    let mut connection = pool.acquire().await.unwrap();
    for statement in [
        "create schema astray",
        "create table astray.domain_events (like public.domain_events)",
        "create function astray.new_id(text, timestamptz) returns text language sql return 'evt_astray'",
        "create function astray.pg_current_xact_id() returns xid8 language sql return '1'::xid8",
        "set search_path = astray, public, pg_catalog",
        "insert into public.payments (payment_id, merchant_id, amount, currency)
            select public.new_id('pay_', now()), merchant_id, 1000, 'USD' from public.merchants",
        "reset search_path",
    ] {
        sqlx::query(statement).execute(&mut *connection).await.unwrap();
    }
    drop(connection);
    let events = events(&pool).await;
    assert_eq!(events.len(), 1);
    assert!(events[0].event_id.parse::<domain::ids::EventId>().is_ok());
    assert!(events[0].traceparent.is_none());
}
