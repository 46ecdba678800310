//! Listing and reading events.

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;
use crate::ledger::{MERCHANT, payment};

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["event_id"].as_str().unwrap()).collect()
}

#[sqlx::test(migrations = "../../migrations")]
async fn events_are_listed_newest_first_while_more_come(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let mut events = Vec::new();
    for number in 1..=5 {
        events.push(lab.pay(number).await);
    }
    lab.route(&events[4], &[]).await;
    let first = lab.get("/events?limit=2").await;
    insta::assert_json_snapshot!("events", first.shown());
    lab.pay(6).await;
    let second = lab.get(&format!("/events?limit=2&cursor={}", first.text("next_cursor"))).await;
    assert_eq!(ids(second.body["items"].as_array().unwrap()), [&events[2], &events[1]]);
    assert_eq!(lab.all("/events?limit=2").await.len(), 6);
    assert_eq!(lab.all("/events?limit=6").await, lab.all("/events?limit=1").await);
}

#[sqlx::test(migrations = "../../migrations")]
async fn filters_choose_and_combine(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    lab.execute(
        "insert into merchants (merchant_id, name) values ('mer_00000000000000000000000000000002', 'Café');
         insert into payments (payment_id, merchant_id, amount, currency)
         values ('pay_00000000000000000000000000000009', 'mer_00000000000000000000000000000002', 7, 'USD')",
    )
    .await;
    lab.pay(1).await;
    lab.pay(2).await;
    lab.execute("update payments set status = 'processing'").await;
    lab.execute("update payments set status = 'succeeded'").await;
    let third = lab.all(&format!("/events?object_id={}", payment(2))).await[0].clone();
    let third_at = third["occurred_at"].as_str().unwrap();
    for (query, expected) in [
        (String::new(), 9),
        (format!("merchant_id={MERCHANT}"), 6),
        ("merchant_id=mer_0000000000000000000000000000000f".to_owned(), 0),
        (format!("object_id={}", payment(1)), 3),
        (format!("object_id={}&merchant_id={MERCHANT}", payment(9)), 0),
        ("event_type=payment.created".to_owned(), 3),
        ("event_type=payment.*".to_owned(), 9),
        ("event_type=*".to_owned(), 9),
        ("event_type=invoice.*".to_owned(), 0),
        (format!("event_type=payment.succeeded&merchant_id={MERCHANT}"), 2),
        (format!("event_type=payment.succeeded&object_id={}", payment(9)), 1),
        (format!("object_id={}&from={third_at}", payment(2)), 1),
        (format!("object_id={}&to={third_at}", payment(2)), 2),
        ("to=2020-01-01T00:00:00Z".to_owned(), 0),
        ("from=2020-01-01T00:00:00Z&to=2120-01-01T00:00:00Z".to_owned(), 9),
    ] {
        for limit in [1, 2, 250] {
            let items = lab.all(&format!("/events?limit={limit}&{query}")).await;
            assert_eq!(items.len(), expected, "limit={limit}&{query}: {items:?}");
            assert!(ids(&items).is_sorted_by(|a, b| a > b), "{query}: newest first, none twice");
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_filter_that_matches_seldom_looks_at_so_many_events_and_goes_on_from_there(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    lab.pay(1).await;
    lab.execute("update payments set status = 'failed'").await;
    lab.execute(
        "insert into domain_events
            (event_id, event_type, object_type, object_id, object_version, merchant_id, occurred_at, xid)
         select new_id('evt_', clock_timestamp()), 'payment.created', 'payment', 'pay_' || n, 1,
             'mer_00000000000000000000000000000001', clock_timestamp(), pg_current_xact_id()
         from generate_series(1, 12000) as n",
    )
    .await;
    for query in ["event_type=payment.failed".to_owned(), format!("event_type=payment.failed&merchant_id={MERCHANT}")] {
        let first = lab.get(&format!("/events?{query}")).await;
        assert_eq!(first.body["items"], json!([]), "{query}");
        let second = lab.get(&format!("/events?{query}&cursor={}", first.text("next_cursor"))).await;
        assert_eq!(second.body["items"].as_array().unwrap().len(), 1, "{query}");
        assert_eq!(second.body["next_cursor"], json!(null), "{query}");
        assert_eq!(lab.all(&format!("/events?{query}")).await.len(), 1);
    }
    assert_eq!(lab.all("/events?event_type=payment.created&limit=250").await.len(), 12_001);
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_comes_with_its_deliveries(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let event_id = lab.pay(1).await;
    lab.route(&event_id, &[1, 2]).await;
    lab.deliver(1, &event_id, "delivered", None, 9).await;
    lab.deliver(2, &event_id, "parked", Some("endpoint_disabled"), 9).await;
    insta::assert_json_snapshot!("event", lab.get(&format!("/events/{event_id}")).await.shown());
    lab.execute("update domain_events set snapshot = null").await;
    lab.execute("delete from routed_events").await;
    let event = lab.get(&format!("/events/{event_id}")).await.body;
    assert_eq!(
        (&event["snapshot"], &event["fan_out"], &event["deliveries"]["items"]),
        (&json!(null), &json!(null), &json!([]))
    );
    insta::assert_json_snapshot!(
        "event_not_found",
        lab.get("/events/evt_0000000000000000000000000000000f").await.shown()
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_bad_question_is_a_problem(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let mut shown = Vec::new();
    for path in [
        "/events?cursor=evt_0000000000000000000000000000000f",
        "/events?cursor=bWVyXzAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAx",
        "/events?limit=0",
        "/events?event_type=Payment",
        "/events?merchant_id=7",
        "/events?from=yesterday",
        "/events?from=2026-11-24T00:00:00Z&to=2026-11-23T00:00:00Z",
        "/events?from=1969-11-24T00:00:00Z",
        "/events?type=payment.created",
        "/events/evt_1",
        "/deliveries?state=lost",
        "/deliveries?endpoint_id=7",
    ] {
        shown.push((path, lab.get(path).await.shown()));
    }
    insta::assert_json_snapshot!("list_problems", shown);
}
