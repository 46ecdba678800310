//! Records that name no event are parked with their bytes and position, and the next event is delivered.

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::*;

const UNKNOWN: &str = r#"{"record":{"event_id":"evt_01999999999979998999999999999999"},"action":"insert"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strange_records_are_parked_and_block_nobody() {
    let mut lab = Lab::start(&[]).await;
    let brokers = format!("127.0.0.1:{}", lab.stack.ports().of(Door::Kafka));
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    let huge = vec![b'x'; 900 * 1024];
    let good_key: &[u8] = b"evt_01999999999979998999999999999999";
    let bad_key: &[u8] = b"\xff\xfe\x00key";
    let records: [(&str, &[u8], &[u8]); 5] = [
        ("unreadable", good_key, b"this is not JSON"),
        ("unreadable", good_key, br#"{"some":"other shape"}"#),
        ("unreadable", good_key, &huge),
        ("unknown_event", good_key, UNKNOWN.as_bytes()),
        ("unreadable", bad_key, b"\x00\x01\x02"),
    ];
    for (_, key, value) in &records {
        let record = FutureRecord::to("webhook-events").key(*key).payload(*value).partition(0);
        producer.send(record, Duration::from_secs(10)).await.map_err(|(error, _)| error).unwrap();
    }

    let ready = lab.set_up(Until::Payments(20), Pace::Closed { concurrency: 4 }, 0).await;
    drive(&ready, &Lifecycle::default()).await;
    assert_eq!(lab.verdict(Duration::from_secs(30)).await.delivered, 20);

    until("five parked records", Duration::from_secs(30), || async {
        let parked = lab.count("select count(*) from parked_records").await;
        (parked == 5, parked)
    })
    .await;
    let listed = lab.portal("/parked-records?limit=10").await;
    let listed = listed["items"].as_array().unwrap();
    for (offset, (reason, key, value)) in records.iter().enumerate() {
        let parked = listed.iter().find(|p| p["offset"] == offset && p["partition"] == 0).unwrap_or_else(|| {
            panic!("the record at offset {offset} is not listed");
        });
        assert_eq!(parked["reason"], *reason, "at offset {offset}");
        assert_eq!(parked["topic"], "webhook-events");
        assert_eq!(decoded(&parked["key_base64"]), *key, "key at offset {offset}");
        assert_eq!(parked["value_bytes"], value.len());
        let bytes = decoded(&parked["value_base64"]);
        assert!(value.starts_with(&bytes) && !bytes.is_empty(), "bytes at offset {offset}");
    }
    lab.stop().await;
}

fn decoded(text: &Value) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text.as_str().unwrap()).unwrap()
}
