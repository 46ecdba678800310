//! Listing and reading deliveries and their attempts.

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;
use crate::ledger::{ENDPOINT, MERCHANT, delivery};

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["delivery_id"].as_str().unwrap()).collect()
}

/// Deliveries 1 to 4, the last one to the endpoint of another merchant.
async fn lab(pool: PgPoolOptions, connect: PgConnectOptions) -> (Lab, String) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    lab.execute(
        "insert into merchants (merchant_id, name) values ('mer_00000000000000000000000000000002', 'Café');
         insert into endpoints (endpoint_id, merchant_id, url) values
            ('ep_00000000000000000000000000000002', 'mer_00000000000000000000000000000002', 'https://y.test/'),
            ('ep_00000000000000000000000000000003', 'mer_00000000000000000000000000000001', 'https://z.test/')",
    )
    .await;
    let event_id = lab.pay(1).await;
    lab.route(&event_id, &[1, 2, 3, 4]).await;
    lab.deliver(1, &event_id, "delivered", None, 9).await;
    lab.deliver(2, &event_id, "pending", None, -60).await;
    lab.deliver(3, &event_id, "parked", Some("endpoint_disabled"), 9).await;
    lab.deliver(4, &event_id, "pending", None, 0).await;
    lab.execute(
        "update deliveries set endpoint_id = 'ep_00000000000000000000000000000003'
             where delivery_id = 'dlv_00000000000000000000000000000002';
         update deliveries set endpoint_id = 'ep_00000000000000000000000000000002'
             where delivery_id = 'dlv_00000000000000000000000000000004'",
    )
    .await;
    lab.begin(4, 20).await;
    (lab, event_id)
}

#[sqlx::test(migrations = "../../migrations")]
async fn deliveries_are_listed_newest_first(pool: PgPoolOptions, connect: PgConnectOptions) {
    let (lab, event_id) = lab(pool, connect).await;
    let first = lab.get("/deliveries?limit=3").await;
    insta::assert_json_snapshot!("deliveries", first.shown());
    let rest = lab.get(&format!("/deliveries?limit=3&cursor={}", first.text("next_cursor"))).await;
    assert_eq!(
        (ids(rest.body["items"].as_array().unwrap()), &rest.body["next_cursor"]),
        (vec![delivery(1).as_str()], &json!(null))
    );
    assert_eq!(lab.get(&format!("/deliveries/{}", delivery(1))).await.body, rest.body["items"][0]);
    for (query, expected) in [
        (String::new(), vec![4, 3, 2, 1]),
        (format!("merchant_id={MERCHANT}"), vec![3, 2, 1]),
        (format!("endpoint_id={ENDPOINT}"), vec![3, 1]),
        (format!("endpoint_id={ENDPOINT}&merchant_id=mer_00000000000000000000000000000002"), vec![]),
        (format!("event_id={event_id}"), vec![4, 3, 2, 1]),
        (format!("event_id={event_id}&merchant_id={MERCHANT}&state=pending"), vec![2]),
        ("event_id=evt_0000000000000000000000000000000f".to_owned(), vec![]),
        ("state=pending".to_owned(), vec![4, 2]),
        (format!("state=pending&merchant_id={MERCHANT}"), vec![2]),
        ("state=superseded".to_owned(), vec![]),
        ("to=2020-01-01T00:00:00Z".to_owned(), vec![4, 3, 2, 1]),
        ("from=2020-01-01T00:00:00Z".to_owned(), vec![]),
    ] {
        for limit in [1, 2, 250] {
            let items = lab.all(&format!("/deliveries?limit={limit}&{query}")).await;
            let expected: Vec<String> = expected.iter().copied().map(delivery).collect();
            assert_eq!(ids(&items), expected, "limit={limit}&{query}");
        }
    }
    let unknown = lab.get("/deliveries/dlv_0000000000000000000000000000000f").await;
    insta::assert_json_snapshot!("delivery_not_found", unknown.shown());
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_state_that_is_rare_is_found_page_by_page_at_several_endpoints(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let (lab, event_id) = lab(pool, connect).await;
    // The endpoint with many has its rare ones far behind those of the other.
    sqlx::query(
        "insert into deliveries (delivery_id, event_id, endpoint_id, state, reason, claim, attempts, due_at)
         select 'dlv_' || lpad((100 + n)::text, 32, '0'), $1,
             case when n % 100 = 0 then 'ep_00000000000000000000000000000003' else $2 end,
             case when n % 3000 = 1 or n % 100 = 0 then 'exhausted' else 'delivered' end,
             case when n % 3000 = 1 or n % 100 = 0 then 'schedule' end, 1, 1, now()
         from generate_series(1, 12000) as n",
    )
    .bind(&event_id)
    .bind(ENDPOINT)
    .execute(&lab.database)
    .await
    .unwrap();
    for query in ["state=exhausted".to_owned(), format!("state=exhausted&merchant_id={MERCHANT}")] {
        for limit in [7, 250] {
            let items = lab.all(&format!("/deliveries?limit={limit}&{query}")).await;
            assert_eq!(items.len(), 124, "{query}");
            assert!(ids(&items).is_sorted_by(|a, b| a > b), "{query}: newest first, none twice");
        }
    }
    assert_eq!(lab.all(&format!("/deliveries?state=exhausted&endpoint_id={ENDPOINT}")).await.len(), 4);
}

#[sqlx::test(migrations = "../../migrations")]
async fn attempts_are_listed_newest_first(pool: PgPoolOptions, connect: PgConnectOptions) {
    let (lab, _) = lab(pool, connect).await;
    lab.execute(
        "insert into attempts (attempt_id, delivery_id, claim, number, began_at, duration_ms, outcome, status, detail)
         values ('att_00000000000000000000000000000001', 'dlv_00000000000000000000000000000001', 1, 1, now(), null,
                 'connect', null, 'connection refused'),
             ('att_00000000000000000000000000000002', 'dlv_00000000000000000000000000000001', 1, 2, now(), 12,
                 'delivered', 204, null),
             ('att_00000000000000000000000000000003', 'dlv_00000000000000000000000000000002', 1, 1, now(), 12,
                 'delivered', 204, null);
         update attempts
         set claim = 2, address = '203.0.113.7', connect_ms = 3, first_byte_ms = 10,
             response_headers = E'content-type: text/plain\nset-cookie: hush\n', response_body = 'thanks'
         where attempt_id = 'att_00000000000000000000000000000002';
         update attempts
         set address = '203.0.113.7', next_at = now() + interval '5 s', response_body = decode('ff', 'hex')
         where attempt_id = 'att_00000000000000000000000000000001'",
    )
    .await;
    let path = format!("/deliveries/{}/attempts", delivery(1));
    insta::assert_json_snapshot!("attempts", lab.get(&path).await.shown());
    let numbers: Vec<Value> =
        lab.all(&format!("{path}?limit=1")).await.iter().map(|item| item["number"].clone()).collect();
    assert_eq!(numbers, [2, 1]);
    let unknown = lab.get("/deliveries/dlv_0000000000000000000000000000000f/attempts").await;
    assert_eq!((unknown.status, unknown.text("code").as_str()), (404, "not_found"));
}
