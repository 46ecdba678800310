//! A record that Kafka would refuse must not stop those behind it.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use serde_json::Value;

use crate::lab::{Lab, Stored, in_lab, metric, relaying};

async fn insert(lab: &Lab, id: &str, snapshot_bytes: usize, object_id_bytes: usize) {
    lab.execute(&format!(
        "insert into domain_events values ('{id}', 'payment.created', repeat('o', {object_id_bytes}), 'pay_1', 1,
             'mer_1', now(), null, to_jsonb(repeat('s', {snapshot_bytes})), pg_current_xact_id())"
    ))
    .await;
}

fn by_key<'a>(records: &'a [Stored], key: &str) -> &'a Stored {
    records.iter().find(|record| record.key.as_deref() == Some(key)).unwrap()
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_row_over_the_limit_is_sent_without_its_largest_columns_and_counted() {
    in_lab(async |lab| {
        let url = lab.relay(&[]);
        relaying(&url).await;
        insert(lab, "evt_fits", 900_000, 10).await;
        insert(lab, "evt_large", 2_000_000, 10).await;
        insert(lab, "evt_huge", 30_000_000, 2_000_000).await;
        insert(lab, "evt_next", 10, 10).await;
        let records = lab.until_keys(4).await;
        assert!(by_key(&records, "evt_fits").value["record"]["snapshot"].is_string());
        let large = &by_key(&records, "evt_large").value["record"];
        assert_eq!((&large["snapshot"], &large["object_type"]), (&Value::Null, &Value::from("oooooooooo")));
        let huge = &by_key(&records, "evt_huge").value["record"];
        assert_eq!(
            (&huge["snapshot"], &huge["object_type"], &huge["merchant_id"]),
            (&Value::Null, &Value::Null, &"mer_1".into())
        );
        assert_eq!(metric(&url, "cdc_oversized_records_total").await, Ok(2.0));
        assert!(lab.log().contains("a record is too large for Kafka"));
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_topic_that_takes_less_is_asked_for_its_limit() {
    in_lab(async |lab| {
        let admin: AdminClient<DefaultClientContext> = lab.config().create().unwrap();
        let topic = NewTopic::new(&lab.name, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "50000");
        let created = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
        created.into_iter().for_each(|topic| assert!(topic.is_ok(), "{topic:?}"));
        relaying(&lab.relay(&[])).await;
        insert(lab, "evt_large", 60_000, 10).await;
        insert(lab, "evt_small", 40_000, 10).await;
        let records = lab.until_keys(2).await;
        assert_eq!(by_key(&records, "evt_large").value["record"]["snapshot"], Value::Null);
        assert!(by_key(&records, "evt_small").value["record"]["snapshot"].is_string());
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_limit_lowered_under_the_relay_is_found_by_trying() {
    in_lab(async |lab| {
        relaying(&lab.relay(&[])).await;
        insert(lab, "evt_before", 300_000, 10).await;
        lab.until_keys(1).await;
        let admin: AdminClient<DefaultClientContext> = lab.config().create().unwrap();
        let change = AlterConfig::new(ResourceSpecifier::Topic(&lab.name)).set("max.message.bytes", "50000");
        for altered in admin.alter_configs([&change], &AdminOptions::new()).await.unwrap() {
            altered.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        insert(lab, "evt_large", 300_000, 10).await;
        insert(lab, "evt_after", 10, 10).await;
        let records = lab.until_keys(3).await;
        let large: Vec<_> = records.iter().filter(|record| record.key.as_deref() == Some("evt_large")).collect();
        assert!(large.iter().all(|record| record.value["record"]["snapshot"] == Value::Null));
        assert!(lab.log().contains("Kafka allows smaller records than expected"));
    })
    .await;
}
