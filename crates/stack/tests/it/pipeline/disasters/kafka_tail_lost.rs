//! Kafka is killed and comes back without the end of its files, which it had acknowledged, and Restate had read.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_dropped_though_new_records_get_offsets_that_restate_has_seen() {
    let mut lab = Lab::start(&NO_SWEEP).await;
    lab.pay(100).await;
    lab.verdict(LONG).await;
    lab.all_in_kafka().await;
    lab.all_taken_from_kafka().await;
    let ends = lab.positions().await;
    lab.stack.kill9("kafka").await.unwrap();
    let cuts = lab.stack.cut_kafka_tail(TOPIC, 20).await.unwrap();
    lab.stack.start("kafka").await.unwrap();
    until("the subscription to be made anew", LONG, || async {
        let told = lab.told("webhook-consumer", "the topic has lost records that the subscription had read");
        (told.is_some() && lab.subscriptions().await.len() == 1, told)
    })
    .await;
    lab.pay(50).await;
    let verdict = lab.verdict(LONG).await;
    assert_eq!((verdict.acknowledged, verdict.repeated), (300, 0));
    assert_eq!(lab.count(BY_THE_SWEEP).await, 0);
    for (partition, cut) in cuts.iter().enumerate() {
        assert_eq!(cut.end, ends[partition].0);
        let told = format!("partition={partition} from={} to={}", cut.from, cut.end);
        let line = lab.told("cdc-relay", &told);
        assert!(line.is_some_and(|line| line.contains("ERROR") && line.contains("Kafka has lost records")), "{told}");
    }
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_had_read_of_the_lost_tail_is_sent_by_the_sweep_under_load() {
    let mut lab = Lab::start(&SOON).await;
    lab.pay(100).await;
    lab.verdict(LONG).await;
    lab.all_taken_from_kafka().await;
    // From now on nobody reads the topic.
    lab.stack.kill9("restate").await.unwrap();
    let (from, to) = lab.pay_into_kafka(50).await;

    let strike = async |lab: &Lab| {
        lab.stack.kill9("kafka").await.unwrap();
        // Half of it is what nobody has read, and more than that goes.
        let cuts = lab.stack.cut_kafka_tail(TOPIC, 80).await.unwrap();
        lab.grows(COMMITTED, 50).await;
        lab.stack.start("kafka").await.unwrap();
        lab.stack.start("restate").await.unwrap();
        lab.grows(BY_CDC, 100).await;
        cuts
    };
    let (_, cuts) = lab.under_load(300, strike).await;
    let (events, by_the_sweep) = lab.between(&from, &to).await;
    eprintln!("{cuts:?}; of {events} that nobody had read, {by_the_sweep} were sent by the sweep");
    eprintln!("{:?}", lab.told("cdc-relay", "Kafka has lost records that it had acknowledged"));
    eprintln!("{:?}", lab.told("webhook-consumer", "the topic has lost records that the subscription had read"));
    assert_eq!((events, by_the_sweep), (100, 100), "what nobody had read, and Kafka has lost");
    lab.stop().await;
}
