//! The account of a window.

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;
use crate::ledger::delivery;

/// From an hour ago until in an hour.
async fn audit(lab: &Lab) -> Value {
    let (from, to): (String, String) = sqlx::query_as(
        r#"select to_char(now() - interval '1 hour', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
               to_char(now() + interval '1 hour', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"#,
    )
    .fetch_one(&lab.database)
    .await
    .unwrap();
    let answer = lab.get(&format!("/audit?from={from}&to={to}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.shown()["body"].clone()
}

#[sqlx::test(migrations = "../../migrations")]
async fn each_event_and_each_delivery_is_counted_once(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    lab.pay(1).await;
    let filtered = lab.pay(2).await;
    lab.route(&filtered, &[]).await;
    let one = lab.pay(3).await;
    lab.route(&one, &[1]).await;
    lab.deliver(1, &one, "delivered", None, 9).await;
    let many = lab.pay(4).await;
    lab.route(&many, &[2, 3, 4, 5, 6, 7]).await;
    lab.deliver(2, &many, "delivered", None, 9).await;
    lab.deliver(3, &many, "pending", None, -300).await;
    lab.deliver(4, &many, "held", None, 9).await;
    lab.deliver(5, &many, "parked", Some("endpoint_disabled"), 9).await;
    lab.deliver(6, &many, "exhausted", Some("schedule_used_up"), 9).await;
    lab.deliver(7, &many, "superseded", None, 9).await;
    lab.execute(
        "insert into parked_records (parked_id, reason, kafka_offset, value, parked_at, resolved_at)
         values (new_id('prk_', now()), 'unreadable', 1, 'x', now(), null),
             (new_id('prk_', now()), 'unknown_event', 2, 'x', now(), now()),
             (new_id('prk_', now() - interval '2 hours'), 'unreadable', 3, 'x', now() - interval '2 hours', null)",
    )
    .await;
    insta::assert_json_snapshot!("audit", audit(&lab).await);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_not_as_it_must_be_is_listed_by_id(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let event = lab.pay(1).await;
    lab.route(&event, &[1, 2, 3, 4, 5, 6]).await;
    // 1 has no row.
    lab.deliver(2, "evt_00000000000000000000000000000009", "delivered", None, 9).await;
    lab.deliver(3, &event, "pending", None, 700).await;
    lab.deliver(4, &event, "pending", None, 700).await;
    lab.begin(4, 10).await;
    lab.deliver(5, &event, "pending", None, 700).await;
    lab.begin(5, -650).await;
    lab.deliver(6, &event, "pending", None, 500).await;
    let audit = audit(&lab).await;
    let difference = [(1, "missing"), (2, "of_another_event"), (3, "overdue"), (5, "overdue")]
        .map(|(number, problem)| json!({"id": delivery(number), "problem": problem}));
    assert_eq!(audit["difference"], json!(difference));
    assert_eq!((&audit["deliveries"], &audit["pending"], &audit["delivered"]), (&json!(6), &json!(4), &json!(1)));
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_that_nobody_routes_is_a_difference_unless_it_lies_below_the_horizon(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    lab.execute(
        "insert into domain_events (event_id, event_type, object_type, object_id, object_version, merchant_id,
             occurred_at, xid)
         select lowest_id('evt_', now() - make_interval(mins => minutes)), 'payment.created', 'payment',
             'pay_' || minutes, 1, 'mer_1', now() - make_interval(mins => minutes), '7'
         from unnest(array[5, 20, 40]) as minutes;
         update horizon set event_id = lowest_id('evt_', now() - interval '30 minutes')",
    )
    .await;
    let audit = audit(&lab).await;
    assert_eq!((&audit["committed"], &audit["unrouted"]), (&json!(3), &json!(3)));
    let twenty: String = sqlx::query_scalar("select event_id from domain_events where object_id = 'pay_20'")
        .fetch_one(&lab.database)
        .await
        .unwrap();
    let listed: Vec<&Value> = audit["difference"].as_array().unwrap().iter().map(|item| &item["problem"]).collect();
    assert_eq!(listed, ["unrouted"]);
    let again = crate::audit::audit_of_event(&lab, &twenty).await;
    assert_eq!(again["committed"], 1, "the window of one microsecond holds just that event");
}

/// The account of the microsecond in which an event occurred.
async fn audit_of_event(lab: &Lab, event_id: &str) -> Value {
    let (from, to): (String, String) = sqlx::query_as(
        r#"select to_char(occurred_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               to_char(occurred_at + interval '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
           from domain_events where event_id = $1"#,
    )
    .bind(event_id)
    .fetch_one(&lab.database)
    .await
    .unwrap();
    lab.get(&format!("/audit?from={from}&to={to}")).await.body
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_belongs_to_the_window_of_its_own_microsecond(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    for number in 1..=40 {
        let event = lab.pay(number).await;
        assert_eq!(audit_of_event(&lab, &event).await["committed"], 1, "{event}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn at_most_a_thousand_differences_are_listed(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let event = lab.pay(1).await;
    lab.route(&event, &(1..=1_200).collect::<Vec<_>>()).await;
    let audit = audit(&lab).await;
    assert_eq!((audit["difference"].as_array().unwrap().len(), &audit["deliveries"]), (1_000, &json!(1_200)));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_bad_window_is_a_problem(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let mut shown = Vec::new();
    for query in [
        "",
        "from=2026-11-23T12:00:00Z",
        "from=yesterday&to=2026-11-23T12:00:00Z",
        "from=2026-11-23T12:00:00Z&to=2026-11-23T12:00:00Z",
        "from=2026-10-23T11:59:59Z&to=2026-11-23T12:00:00Z",
        "from=1969-12-31T23:00:00Z&to=1970-01-01T01:00:00Z",
        "from=2026-11-23T11:00:00Z&to=2026-11-23T12:00:00Z&limit=5",
    ] {
        let answer = lab.get(&format!("/audit?{query}")).await;
        shown.push(json!({"query": query, "status": answer.status, "body": answer.body}));
    }
    insta::assert_json_snapshot!("bad_windows", shown);
}
