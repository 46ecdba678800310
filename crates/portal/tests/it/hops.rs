//! When each hop saw an event.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;
use crate::ledger::payment;

#[sqlx::test(migrations = "../../migrations")]
async fn hops_are_listed_page_by_page_newest_first(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let from: String = sqlx::query_scalar(r#"select to_char(clock_timestamp(), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#)
        .fetch_one(&lab.database)
        .await
        .unwrap();
    for number in 1..=4 {
        let event = lab.pay(number).await;
        if number != 3 {
            lab.route(&event, &[]).await;
        }
    }
    lab.execute(
        "update routed_events set committed_at = null, captured_at = null
         where event_id = (select event_id from routed_events order by event_id desc limit 1)",
    )
    .await;
    let to: String = sqlx::query_scalar(r#"select to_char(clock_timestamp(), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#)
        .fetch_one(&lab.database)
        .await
        .unwrap();
    let path = format!("/hops?from={from}&to={to}&limit=2");
    let first = lab.get(&path).await;
    insta::assert_json_snapshot!("hops", first.shown());
    let second = lab.get(&format!("{path}&cursor={}", first.text("next_cursor"))).await;
    assert_eq!(second.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&second.body["items"][0]["payment_id"], second.body["next_cursor"].is_null()),
        (&payment(1).into(), true)
    );
    for (query, field) in
        [(format!("from={to}&to={from}"), "to"), (format!("from={from}&to={to}&limit=10001"), "limit")]
    {
        let refused = lab.get(&format!("/hops?{query}")).await;
        assert_eq!((refused.status, &refused.body["field"]), (422, &field.into()), "{}", refused.body);
    }
    let before = lab.get("/hops?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z").await;
    assert_eq!(before.body, serde_json::json!({"items": [], "next_cursor": null}));
}
