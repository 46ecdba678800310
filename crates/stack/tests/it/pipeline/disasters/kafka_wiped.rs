//! Kafka's data is wiped under load, with records in it that nobody has read.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_wiped_kafka_had_is_sent_by_the_sweep_and_cdc_goes_on() {
    let mut lab = Lab::start(&SOON).await;
    lab.pay(50).await;
    lab.verdict(LONG).await;
    // From now on nobody reads the topic.
    lab.stack.kill9("restate").await.unwrap();
    let (from, to) = lab.pay_into_kafka(100).await;
    let before = lab.positions().await;

    let strike = async |lab: &Lab| {
        lab.stack.kill9("kafka").await.unwrap();
        lab.stack.wipe("kafka").await.unwrap();
        lab.grows(COMMITTED, 50).await;
        lab.stack.start("kafka").await.unwrap();
        lab.stack.start("restate").await.unwrap();
        lab.grows(BY_CDC, 100).await;
    };
    lab.under_load(300, strike).await;
    let (events, by_the_sweep) = lab.between(&from, &to).await;
    assert_eq!((events, by_the_sweep), (200, 200), "what was in Kafka alone");
    let told = lab.told("cdc-relay", "Kafka has lost records that it had acknowledged").unwrap();
    eprintln!("{told}\nends and committed offsets were {before:?}, and are {:?}", lab.positions().await);
    assert!(lab.told("webhook-consumer", "a subscription to another topic of this name was deleted").is_some());
    lab.stop().await;
}
