//! Listing what could not be read.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;

#[sqlx::test(migrations = "../../migrations")]
async fn parked_records_come_with_their_bytes_and_place(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    lab.execute(
        r"insert into parked_records (parked_id, reason, detail, topic, kafka_partition, kafka_offset, key, value,
              event_id, resolved_at)
          values ('prk_00000000000000000000000000000001', 'unreadable', 'expected value', 'webhook-events', 0, 17,
                  '\xff00', 'no json', null, null),
              ('prk_00000000000000000000000000000002', 'unknown_event', null, null, null, null, null, '',
                  'evt_00000000000000000000000000000001', now()),
              ('prk_00000000000000000000000000000003', 'unreadable', null, 'webhook-events', 0, 18, null, 'x', null, null)",
    )
    .await;
    let first = lab.get("/parked-records?limit=2").await;
    insta::assert_json_snapshot!("parked_records", first.shown());
    let second = lab.get(&format!("/parked-records?limit=2&cursor={}", first.text("next_cursor"))).await;
    assert_eq!(second.body["items"][0]["offset"], 17);
    assert_eq!((second.body["items"].as_array().unwrap().len(), &second.body["next_cursor"]), (1, &json!(null)));
    insta::assert_json_snapshot!("parked_records_problem", lab.get("/parked-records?cursor=evt_1").await.shown());
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_page_of_big_records_is_cut_short_and_none_is_passed_over(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    lab.execute(
        "insert into parked_records (parked_id, reason, topic, kafka_partition, kafka_offset, value)
         select 'prk_' || lpad(n::text, 32, '0'), 'unreadable', 't', 0, n,
             convert_to(repeat('x', case n when 3 then 5000000 else 1500000 end), 'UTF8')
         from generate_series(1, 6) as n",
    )
    .await;
    let (mut path, mut pages) = ("/parked-records".to_owned(), Vec::new());
    loop {
        let page = lab.get(&path).await;
        let records = page.body["items"].as_array().unwrap().clone();
        pages.push(records.iter().map(|record| record["offset"].as_i64().unwrap()).collect::<Vec<_>>());
        let big = records.iter().find(|record| record["offset"] == 3);
        assert!(big.is_none_or(|big| big["value_bytes"] == 5_000_000));
        match page.body["next_cursor"].as_str() {
            Some(next) => path = format!("/parked-records?cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages, [vec![6, 5, 4], vec![3], vec![2, 1]]);
}
