//! Records that name no event that the ledger knows: kept with their bytes and position, once.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::lab::{Lab, Wants};

type Stored = (String, Option<String>, Option<String>, Option<i32>, Option<i64>, Option<Vec<u8>>, Vec<u8>);

#[sqlx::test(migrations = "../../migrations")]
async fn a_record_is_kept_with_its_bytes_and_position_once(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    // A key of the bytes ff fe is no text; neither is the value.
    let record = json!({
        "reason": "unreadable", "detail": "not JSON", "topic": "webhook-events", "partition": 3, "offset": 7_000_000_000_i64,
        "key_base64": "//4=", "value_base64": "AP8BAg==",
    });
    for _ in 0..2 {
        assert_eq!(lab.service.post("/internal/parked-records", &record).await.status, 204);
    }
    let stored: Vec<Stored> =
        sqlx::query_as("select reason, detail, topic, kafka_partition, kafka_offset, key, value from parked_records")
            .fetch_all(&lab.database)
            .await
            .unwrap();
    let expected = (
        "unreadable".to_owned(),
        Some("not JSON".to_owned()),
        Some("webhook-events".to_owned()),
        Some(3),
        Some(7_000_000_000),
        Some(vec![0xff, 0xfe]),
        vec![0, 0xff, 1, 2],
    );
    assert_eq!(stored, [expected]);

    // The topic was made anew: the same position holds another record.
    let other = json!({"reason": "unreadable", "topic": "webhook-events", "partition": 3,
        "offset": 7_000_000_000_i64, "value_base64": "AP8BAw=="});
    assert_eq!(lab.service.post("/internal/parked-records", &other).await.status, 204);
    assert_eq!(lab.count("select count(*) from parked_records").await, 2);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_record_without_a_position_is_kept_once_too(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let record =
        json!({"reason": "unknown_event", "value_base64": "", "event_id": "evt_019a0b1c2d3e7f00a1b2c3d4e5f60718"});
    for _ in 0..2 {
        assert_eq!(lab.service.post("/internal/parked-records", &record).await.status, 204);
    }
    let named =
        "select count(*) from parked_records where event_id = 'evt_019a0b1c2d3e7f00a1b2c3d4e5f60718' and value = ''";
    assert_eq!(lab.count(named).await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_record_of_a_megabyte_is_kept(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let record = json!({"reason": "unreadable", "value_base64": "ABCD".repeat(350_000)});
    assert_eq!(lab.service.post("/internal/parked-records", &record).await.status, 204);
    assert_eq!(lab.count("select octet_length(value)::bigint from parked_records").await, 1_050_000);
}

/// A replica or a restored database may know an event later than the topic does.
#[sqlx::test(migrations = "../../migrations")]
async fn an_unknown_event_is_sent_again_when_it_appears_and_its_record_is_resolved(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let payment = lab.payment(&merchant).await;
    let park = async |event_id: &str| {
        let record = json!({"reason": "unknown_event", "value_base64": "AAAA", "offset": event_id.len(),
            "topic": event_id, "event_id": event_id});
        assert_eq!(lab.service.post("/internal/parked-records", &record).await.status, 204);
    };
    let event_id = payment.event_id.to_string();
    park(&event_id).await;
    park("evt_019a0b1c2d3e7f00a1b2c3d4e5f60718").await;
    assert_eq!(lab.service.overdue().await.events, [payment.event_id], "it is sent before it is overdue");
    let unresolved = "select count(*) from parked_records where resolved_at is null";
    assert_eq!(lab.count(unresolved).await, 2);
    lab.service.open_one(payment.event_id, "inv_1").await;
    assert_eq!(lab.service.overdue().await.events, []);
    assert_eq!(lab.count(unresolved).await, 1, "the other one is still unknown");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_recovered_event_below_the_horizon_is_not_sent_for_ever(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let payment = lab.payment(&merchant).await;
    let record = json!({"reason": "unknown_event", "value_base64": "AAAA", "event_id": payment.event_id});
    lab.service.post("/internal/parked-records", &record).await;
    lab.execute("update horizon set event_id = lowest_id('evt_', now() + interval '1 hour')").await;
    assert_eq!(lab.service.overdue().await.events, []);
}
