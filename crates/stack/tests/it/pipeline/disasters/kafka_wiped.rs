//! Kafka's data is wiped under load, with records in it that nobody has read.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_wiped_kafka_had_is_sent_by_the_sweep_and_cdc_goes_on() {
    let mut lab = Lab::start(&SOON).await;
    lab.pay(50).await;
    lab.verdict(LONG).await;
    // From now on nobody reads the topic.
    lab.stack.kill9("restate").await.unwrap();
    let from = lab.newest_event().await;
    lab.pay(100).await;
    let to = lab.newest_event().await;
    lab.all_in_kafka().await;
    let before = lab.positions().await;

    let ready = lab.load().await;
    let lifecycle = Lifecycle::default();
    let faults = async {
        lab.stack.kill9("kafka").await.unwrap();
        lab.stack.wipe("kafka").await.unwrap();
        lab.grows(COMMITTED, 50).await;
        lab.stack.start("kafka").await.unwrap();
        lab.stack.start("restate").await.unwrap();
        lab.grows(BY_CDC, 100).await;
        lifecycle.stop();
    };
    let (summary, ()) = tokio::join!(drive(&ready, &lifecycle), faults);
    let verdict = lab.verdict(LONG).await;
    assert_eq!(verdict.acknowledged as u64, 300 + summary.acknowledged);
    let (events, by_the_sweep) = lab.between(&from, &to).await;
    assert_eq!((events, by_the_sweep), (200, 200), "what was in Kafka alone");
    let told = lab.told("cdc-relay", "Kafka has lost records that it had acknowledged").unwrap();
    eprintln!("{told}\nends and committed offsets were {before:?}, and are {:?}", lab.positions().await);
    assert!(lab.told("webhook-consumer", "a subscription to another topic of this name was deleted").is_some());
    lab.stop().await;
}
