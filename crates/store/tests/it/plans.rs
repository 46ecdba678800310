//! The ledger's look-ups are planned once and still touch the partitions of their keys alone.

use std::time::Duration;

use domain::ids::MerchantId;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use store::deliveries::{last_of_deliveries_to, list_deliveries, list_deliveries_to};
use store::events::{last_of_events, list_events, list_events_of_merchant};
use store::kept::KeptConnections;
use store::ledger;
use store::span::Span;
use store::{Durability, Statements};
use time::OffsetDateTime;

/// More often than PostgreSQL would try plans for the values at hand.
const ASKED: i64 = 20;

/// The tables of these names that were scanned so often, and how many rows were read of each; as soon as there are so many,
/// for a session tells its counts when it ends.
async fn scanned(database: &PgPool, names: &str, often: i64, at_least: usize) -> Vec<(String, i64)> {
    let statement = "select relname::text, (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint
        from pg_stat_user_tables where relname ~ $1 and idx_scan + seq_scan >= $2 order by 1";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let scanned: Vec<(String, i64)> =
            sqlx::query_as(statement).bind(names).bind(often).fetch_all(database).await.unwrap();
        if scanned.len() >= at_least {
            return scanned;
        }
        assert!(tokio::time::Instant::now() < deadline, "only {scanned:?} were scanned");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_look_up_scans_one_partition_of_many(pool: PgPoolOptions, connect: PgConnectOptions) {
    let database = pool.connect_with(connect.clone()).await.unwrap();
    sqlx::query("select ensure_partitions(20)").execute(&database).await.unwrap();
    let ids = |prefix: &str| vec![format!("{prefix}{:012x}7000800000000000000000", now_ms())];
    let (events, deliveries) = (ids("evt_"), ids("dlv_"));
    {
        let kept =
            KeptConnections::all_of(store::connect_with(connect.clone(), 1, Durability::Fast, Statements::Lookups));
        for _ in 0..ASKED {
            ledger::events(&kept, &events).await.unwrap();
            ledger::routed(&kept, &events).await.unwrap();
            ledger::deliveries(&kept, &deliveries).await.unwrap();
        }
        // The session tells its counts when it ends.
    }
    // Making the partitions has scanned them, too, but not so often. Before PostgreSQL 18, the default one is looked at,
    // too, and is empty.
    let scanned = scanned(&database, "^(domain_events|routed_events|deliveries)_[0-9]", ASKED, 3).await;
    assert_eq!(scanned.len(), 3, "one day of each table, but these were scanned: {scanned:?}");
}

/// What comes before an event in line is looked for in the days of its object, however many are to come, and event by
/// event, also by a plan that was made when there were none.
#[sqlx::test(migrations = "../../migrations")]
async fn a_look_along_a_line_reads_what_stands_in_it_alone(pool: PgPoolOptions, connect: PgConnectOptions) {
    const OTHERS: i64 = 2_000;
    let database = pool.connect_with(connect.clone()).await.unwrap();
    sqlx::query("select ensure_partitions(20)").execute(&database).await.unwrap();
    let now = OffsetDateTime::now_utc();
    let prefix = format!("evt_{:012x}7000", now_ms());
    let id = |version: u8| format!("{prefix}8000{version:012}");
    let event = ledger::Event {
        event_id: id(3),
        event_type: "payment.succeeded".to_owned(),
        object_id: "pay_1".to_owned(),
        object_version: 3,
        merchant_id: "mer_1".to_owned(),
        occurred_at: now,
        traceparent: None,
        before_horizon: false,
        object: ledger::Object::Deleted,
        snapshot: None,
        observed_at: now,
    };
    {
        let kept =
            KeptConnections::all_of(store::connect_with(connect.clone(), 1, Durability::Durable, Statements::Lookups));
        let mut connection = kept.take().await.unwrap();
        let mut look = async || {
            let unrouted = ledger::unrouted_before(&mut connection, &event).await.unwrap();
            let along = ledger::routed_along(&mut connection, &event, "inv_1").await.unwrap();
            (unrouted, along.into_iter().map(|routed| routed.event_id).collect::<Vec<_>>())
        };
        for _ in 0..ASKED {
            assert_eq!(look().await, (vec![], vec![]));
        }
        sqlx::query(
            "with made as (
                insert into domain_events
                select $1 || '8001' || lpad(i::text, 12, '0'), 'payment.created', 'payment', 'pay_other_' || i, 1, 'mer_1',
                    now(), null, null::jsonb, pg_current_xact_id()
                from generate_series(1, $2) i
                union all
                select id, 'payment.created', 'payment', 'pay_1', version, 'mer_1', now(), null, null::jsonb, pg_current_xact_id()
                from (values ($3, 1), ($4, 2)) made (id, version)
                returning event_id, object_version
            )
            insert into routed_events (event_id, invocation_id, from_cdc, fan_out, delivery_ids, handled_at)
            select event_id, 'inv_1', true, 0, '{}', now() from made where object_version = 1",
        )
        .bind(&prefix)
        .bind(OTHERS)
        .bind(id(1))
        .bind(id(2))
        .execute(&database)
        .await
        .unwrap();
        for _ in 0..ASKED {
            assert_eq!(look().await, (vec![id(2)], vec![id(1)]));
        }
        // The session tells its counts when it ends.
    }
    let scanned = scanned(&database, "^(domain_events|routed_events)_[0-9]", 2 * ASKED, 2).await;
    let few = |(_, rows): &(String, i64)| *rows <= 8 * ASKED;
    assert!(scanned.iter().all(few), "rows read of each table, where two stand before the event: {scanned:?}");
    let days = scanned.iter().filter(|(name, _)| name.starts_with("domain_events")).count();
    assert!(days <= 2, "today and tomorrow, for clocks differ, but these were scanned: {scanned:?}");
}

/// Lists are planned once, too, and end where the page is full: a row far away costs nothing.
#[sqlx::test(migrations = "../../migrations")]
async fn a_list_scans_the_partitions_of_its_window_alone(pool: PgPoolOptions, connect: PgConnectOptions) {
    let database = pool.connect_with(connect.clone()).await.unwrap();
    sqlx::query("select ensure_partitions(20)").execute(&database).await.unwrap();
    let now = OffsetDateTime::now_utc();
    let span = |prefix: &str| {
        let to = now + Duration::from_millis(1);
        Span::new(prefix, Some(now), Some(to), None::<&str>, now)
    };
    let merchant_id: MerchantId = "mer_00000000000000000000000000000001".parse().unwrap();
    let endpoint_ids = vec!["ep_00000000000000000000000000000001".to_owned()];
    {
        let lists = store::connect_with(connect.clone(), 1, Durability::Durable, Statements::Scans);
        let (events, deliveries) = (span("evt_"), span("dlv_"));
        for _ in 0..ASKED {
            list_events(&lists, &events, None, 50).await.unwrap();
            list_events_of_merchant(&lists, merchant_id, &events, None, 50).await.unwrap();
            last_of_events(&lists, Some(merchant_id), &events, 50).await.unwrap();
            list_deliveries(&lists, &deliveries, None, 50).await.unwrap();
            list_deliveries_to(&lists, &endpoint_ids, &deliveries, None, 50).await.unwrap();
            last_of_deliveries_to(&lists, &endpoint_ids, &deliveries, 50).await.unwrap();
        }
        lists.close().await;
    }
    let scanned = scanned(&database, "^(domain_events|deliveries)_[0-9]", 3 * ASKED, 2).await;
    assert_eq!(scanned.len(), 2, "one day of each table, but these were scanned: {scanned:?}");
}

/// A job's steps look at the days that it is about, however many there are besides.
#[sqlx::test(migrations = "../../migrations")]
async fn a_step_of_a_job_scans_the_partitions_of_its_time_alone(pool: PgPoolOptions, connect: PgConnectOptions) {
    let database = pool.connect_with(connect.clone()).await.unwrap();
    sqlx::query("select ensure_partitions(20)").execute(&database).await.unwrap();
    let now = OffsetDateTime::now_utc();
    let (lowest_id, below_id) = store::jobs::made_between(now - Duration::from_millis(1), now, now);
    let job = ledger::RunningJob {
        job_id: "job_00000000000000000000000000000001".to_owned(),
        endpoint_id: "ep_00000000000000000000000000000001".to_owned(),
        kind: "recover".to_owned(),
        parked: None,
        states: None,
        lowest_id,
        below_id,
        last_id: String::new(),
        has_begun: false,
    };
    {
        let kept =
            KeptConnections::all_of(store::connect_with(connect.clone(), 1, Durability::Durable, Statements::Lookups));
        let mut connection = kept.take().await.unwrap();
        let states = ["exhausted".to_owned()];
        for _ in 0..ASKED {
            ledger::turns(&mut connection, &job, &states, 200, 5_000).await.unwrap();
            ledger::parked_turns(&mut connection, &job, 200).await.unwrap();
            ledger::count_turns(&mut connection, &job, &states).await.unwrap();
            ledger::count_turns(&mut connection, &job, &[]).await.unwrap();
        }
        // The session tells its counts when it ends.
    }
    let scanned = scanned(&database, "^deliveries_[0-9]", 3 * ASKED, 1).await;
    assert_eq!(scanned.len(), 1, "one day, but these were scanned: {scanned:?}");
}

/// What looks through the events of a time grows with them, not with their square, also by a plan that was made when there
/// were none. Sixty thousand compared with as many would take minutes.
#[sqlx::test(migrations = "../../migrations")]
async fn a_look_at_many_events_costs_as_many_steps(pool: PgPoolOptions, connect: PgConnectOptions) {
    const EVENTS: i64 = 60_000;
    let database = pool.connect_with(connect.clone()).await.unwrap();
    sqlx::query("select ensure_partitions(60)").execute(&database).await.unwrap();
    let connect = connect.options([("statement_timeout", "20s")]);
    let scans = store::connect_with(connect, 1, Durability::Durable, Statements::Scans);
    let from = OffsetDateTime::now_utc();
    let look = async || {
        let sweep = ledger::read_sweep(&scans).await.unwrap();
        let unrouted = ledger::unrouted(&scans, &sweep, 0, 0, 10).await.unwrap();
        ledger::advance_sweep(&scans, &sweep, 0).await.unwrap();
        let overview = store::overview::overview(&scans).await.unwrap();
        let account = store::audit::account(&scans, from, OffsetDateTime::now_utc(), 600).await.unwrap();
        (unrouted, overview.unrouted, account)
    };
    // More often than PostgreSQL would try plans for the values at hand.
    for _ in 0..ASKED {
        assert_eq!(look().await.1, 0);
    }
    let fill = "insert into domain_events
            (event_id, event_type, object_type, object_id, object_version, merchant_id, occurred_at, xid)
        select new_id('evt_', clock_timestamp()), 'payment.created', 'payment', 'pay_1', n, 'mer_1', clock_timestamp(), '3'
        from generate_series(1, $1) as n";
    sqlx::query(fill).bind(EVENTS).execute(&database).await.unwrap();
    // The newest one is left, so whoever looks for it passes all others.
    let route = "insert into routed_events (event_id, invocation_id, from_cdc, fan_out, delivery_ids, handled_at)
        select event_id, 'inv_1', true, 0, '{}', occurred_at from domain_events
        where event_id < (select max(event_id) from domain_events)";
    sqlx::query(route).execute(&database).await.unwrap();
    sqlx::query("analyze domain_events, routed_events").execute(&database).await.unwrap();
    let left: String =
        sqlx::query_scalar("select max(event_id) from domain_events").fetch_one(&database).await.unwrap();
    // The second one looks at them also for the sweep's start.
    for _ in 0..2 {
        let (unrouted, count, account) = look().await;
        assert_eq!((unrouted.as_slice(), count), (&[left.clone()][..], 1));
        assert_eq!((account.committed, account.unrouted, account.filtered), (EVENTS, 1, EVENTS - 1));
    }
}

fn now_ms() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()
}
