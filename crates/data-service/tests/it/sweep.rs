//! Events that nobody has routed are found, whatever became of CDC, Kafka and Restate.

use std::time::Duration;

use data_service::app::Patience;
use domain::ids::EventId;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::answers::attempts;
use crate::lab::{Lab, PATIENCE, Wants};
use crate::service::opening;

/// Everything is overdue at once.
const NONE: Patience = Patience { unrouted: Duration::ZERO, overtaken: Duration::ZERO, ..PATIENCE };

#[sqlx::test(migrations = "../../migrations")]
async fn an_unrouted_event_is_found_after_its_time_oldest_first(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let payment = lab.payment(&merchant).await;
    lab.old_event(&payment, 290.0).await;
    assert_eq!(lab.service.overdue().await.events, []);
    let younger = lab.old_event(&payment, 301.0).await;
    let older = lab.old_event(&payment, 86_400.0 * 3.0).await;
    assert_eq!(lab.service.overdue().await.events, [older, younger]);
    for event_id in [older, younger] {
        lab.service.open(event_id, "inv_1").await;
    }
    assert_eq!(lab.service.overdue().await.events, []);
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_that_cdc_has_passed_over_is_found_earlier(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let payment = lab.payment(&merchant).await;
    let before = lab.old_event(&payment, 80.0).await;
    let passed_over = lab.old_event(&payment, 62.0).await;
    let too_young = lab.old_event(&payment, 50.0).await;
    assert_eq!(lab.service.overdue().await.events, []);

    lab.service.open(before, "inv_1").await;
    assert_eq!(lab.service.overdue().await.events, [], "CDC has brought an older one only");

    let by_hand = lab.old_event(&payment, 40.0).await;
    lab.service.open_all(&[domain::protocol::Open { from_cdc: false, ..opening(by_hand, "inv_2") }]).await;
    assert_eq!(lab.service.overdue().await.events, [], "the reconciler brought this one");

    lab.service.open(payment.event_id, "inv_3").await;
    assert_eq!(lab.service.overdue().await.events, [passed_over]);
    assert_eq!(lab.fan_out(too_young).await, None);
}

#[sqlx::test(migrations = "../../migrations")]
async fn below_the_horizon_the_sweep_looks_at_nothing(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let payment = lab.payment(&merchant).await;
    lab.old_event(&payment, 7200.0).await;
    let above = lab.old_event(&payment, 600.0).await;
    lab.execute("update horizon set event_id = lowest_id('evt_', now() - interval '1 hour')").await;
    assert_eq!(lab.service.overdue().await.events, [above]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_was_handed_out_is_not_handed_out_again_at_once(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start_with(pool, connect, Patience { sweep_limit: 3, ..PATIENCE }).await;
    let merchant = lab.merchant().await;
    let payment = lab.payment(&merchant).await;
    let mut events = Vec::new();
    for age in (0..5).rev() {
        events.push(lab.old_event(&payment, 400.0 + f64::from(age)).await);
    }
    let first = lab.service.overdue().await;
    assert_eq!((first.events.as_slice(), first.more), (&events[..3], true));
    let second = lab.service.overdue().await;
    assert_eq!((second.events.as_slice(), second.more), (&events[3..], false));
    let third = lab.service.overdue().await;
    assert_eq!((third.events.as_slice(), third.more), (&[][..], false));
    // Another process does not know what was handed out: a repeat costs a look-up.
    let other = lab.another().await;
    assert_eq!(other.overdue().await.events, events[..3]);
}

/// Looks until the start has moved up. Any transaction of the whole cluster may hold it up, those of other tests too.
async fn until_the_start_is_past(lab: &Lab, event_id: EventId) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        assert_eq!(lab.service.overdue().await.events, []);
        let start = start(lab).await;
        if start > event_id.to_string() {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "the start stays at {start}, before {event_id}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The start of the sweep, as an id.
async fn start(lab: &Lab) -> String {
    sqlx::query_scalar("select routed_through from sweep").fetch_one(&lab.database).await.unwrap()
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_start_moves_up_to_what_is_routed_and_no_further(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start_with(pool, connect, NONE).await;
    let merchant = lab.merchant().await;
    let (first, second) = (lab.payment(&merchant).await, lab.payment(&merchant).await);
    lab.service.open(first.event_id, "inv_1").await;
    for _ in 0..3 {
        lab.service.overdue().await;
    }
    assert!(start(&lab).await <= first.event_id.to_string(), "the second is not routed");
    lab.service.open(second.event_id, "inv_2").await;
    until_the_start_is_past(&lab, second.event_id).await;
    let third = lab.payment(&merchant).await;
    for _ in 0..3 {
        lab.service.overdue().await;
    }
    assert!(start(&lab).await <= third.event_id.to_string());
}

/// An event's id is made long before its transaction commits.
#[sqlx::test(migrations = "../../migrations")]
async fn a_transaction_that_stays_open_is_never_passed(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start_with(pool, connect, NONE).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let settled = lab.payment(&merchant).await;
    lab.service.open_one(settled.event_id, "inv_0").await;

    let mut open = lab.database.begin().await.unwrap();
    sqlx::query(
        "insert into payments (payment_id, merchant_id, amount, currency) values (new_id('pay_', now()), $1, 1, 'USD')",
    )
    .bind(&merchant)
    .execute(&mut *open)
    .await
    .unwrap();
    let late: String = sqlx::query_scalar("select event_id from domain_events order by event_id desc limit 1")
        .fetch_one(&mut *open)
        .await
        .unwrap();
    let late: EventId = late.parse().unwrap();

    for number in 1..=4 {
        let newer = lab.payment(&merchant).await;
        assert!(newer.event_id > late);
        lab.service.open_one(newer.event_id, &format!("inv_{number}")).await;
        assert_eq!(lab.service.overdue().await.events, []);
        let start = start(&lab).await;
        assert!(start <= late.to_string(), "the sweep has passed {late}: {start}");
    }
    open.commit().await.unwrap();
    assert_eq!(lab.service.overdue().await.events, [late]);
    assert_eq!(attempts(lab.service.open(late, "inv_late").await).len(), 1);
    until_the_start_is_past(&lab, late).await;
}

/// A transaction that has written nothing yet has no number, and will make later ids than the candidate.
#[sqlx::test(migrations = "../../migrations")]
async fn a_transaction_that_writes_late_is_not_passed_either(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start_with(pool, connect, NONE).await;
    let merchant = lab.merchant().await;
    let mut open = lab.database.begin().await.unwrap();
    sqlx::query("select 1").execute(&mut *open).await.unwrap();
    for _ in 0..3 {
        lab.service.overdue().await;
    }
    let inserted: String = sqlx::query_scalar(
        "with made as (
            insert into payments (payment_id, merchant_id, amount, currency)
            values (new_id('pay_', now()), $1, 1, 'USD') returning payment_id
        ) select payment_id from made",
    )
    .bind(&merchant)
    .fetch_one(&mut *open)
    .await
    .unwrap();
    for _ in 0..3 {
        lab.service.overdue().await;
    }
    open.commit().await.unwrap();
    let event: String = sqlx::query_scalar("select event_id from domain_events where object_id = $1")
        .bind(&inserted)
        .fetch_one(&lab.database)
        .await
        .unwrap();
    assert_eq!(lab.service.overdue().await.events, [event.parse().unwrap()]);
}

/// Writers commit sooner or later, with savepoints and rollbacks, while the sweep alone routes what it finds.
#[sqlx::test(migrations = "../../migrations")]
async fn the_sweep_alone_routes_everything(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start_with(pool, connect, NONE).await;
    let merchant = lab.merchant().await;
    let writers = futures_util::future::join_all((0..4).map(|writer| {
        let (database, merchant) = (lab.database.clone(), merchant.clone());
        async move {
            for round in 0..12 {
                let mut transaction = database.begin().await.unwrap();
                for statement in 0..3 {
                    let (savepoint, undone) = ((writer + round) % 2 == 0, (round + statement) % 5 == 0);
                    if savepoint {
                        sqlx::query("savepoint s").execute(&mut *transaction).await.unwrap();
                    }
                    sqlx::query(
                        "insert into payments (payment_id, merchant_id, amount, currency)
                         select new_id('pay_', clock_timestamp()), $1, 1, 'USD' from pg_sleep(random() * 0.02)",
                    )
                    .bind(&merchant)
                    .execute(&mut *transaction)
                    .await
                    .unwrap();
                    if savepoint && undone {
                        sqlx::query("rollback to s").execute(&mut *transaction).await.unwrap();
                    }
                }
                match round % 6 {
                    5 => transaction.rollback().await.unwrap(),
                    _ => transaction.commit().await.unwrap(),
                }
            }
        }
    }));
    let unrouted = "select count(*) from domain_events e
        where not exists (select from routed_events r where r.event_id = e.event_id)";
    let look = async || {
        for event_id in lab.service.overdue().await.events {
            lab.service.open(event_id, "inv_1").await;
        }
    };
    let written = std::cell::Cell::new(false);
    let write = async {
        writers.await;
        written.set(true);
    };
    let sweep = async {
        while !written.get() {
            look().await;
        }
    };
    futures_util::future::join(write, sweep).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while lab.count(unrouted).await > 0 {
        assert!(tokio::time::Instant::now() < deadline, "the sweep does not find everything");
        look().await;
    }
    let events = lab.count("select count(*) from domain_events").await;
    assert!(events > 60, "{events}");
    let newest: String =
        sqlx::query_scalar("select max(event_id) from domain_events").fetch_one(&lab.database).await.unwrap();
    until_the_start_is_past(&lab, newest.parse().unwrap()).await;
}
