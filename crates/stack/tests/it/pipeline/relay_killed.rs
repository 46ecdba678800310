//! cdc-relay is killed, Kafka is away, PostgreSQL is killed: everything reaches Kafka through CDC, nobody helps.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missing_in_kafka_though_the_relay_is_killed_ten_times_and_its_neighbours_fall() {
    // The sweep must not cover for the relay.
    let settings = [
        ("EVERHOOK_UNROUTED_AFTER", "1h"),
        ("EVERHOOK_OVERTAKEN_AFTER", "1h"),
        // Restate's consumer may hang after Kafka was away.
        ("EVERHOOK_STALLED_AFTER", "20s"),
    ];
    let mut lab = Lab::start(&settings).await;
    let ready = lab.set_up(Until::Stopped, Pace::Open { rate: 300.0, most: 500 }, 0).await;
    let lifecycle = Lifecycle::default();
    let faults = async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            lab.stack.kill9("cdc-relay").await.unwrap();
            lab.stack.start("cdc-relay").await.unwrap();
        }
        lab.stack.stop("kafka").await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        lab.stack.start("kafka").await.unwrap();
        lab.stack.kill9("postgres").await.unwrap();
        lab.stack.start("postgres").await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        lifecycle.stop();
    };
    let (summary, ()) = tokio::join!(drive(&ready, &lifecycle), faults);
    let verdict = lab.verdict(Duration::from_secs(120)).await;
    assert_eq!(verdict.acknowledged as u64, summary.acknowledged);
    assert!(verdict.acknowledged > 3_000, "only {} payments: the load did not run", verdict.acknowledged);
    let by_the_sweep = lab.count(BY_THE_SWEEP).await;
    assert_eq!(by_the_sweep, 0, "events that Kafka never had");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kafka_has_not_acknowledged_is_read_once_more_by_the_relay_that_follows() {
    let settings = [("EVERHOOK_UNROUTED_AFTER", "1h"), ("EVERHOOK_OVERTAKEN_AFTER", "1h")];
    let mut lab = Lab::start(&settings).await;
    let ready = lab.set_up(Until::Payments(50), Pace::Closed { concurrency: 8 }, 0).await;
    let frozen = lab.stack.freeze("kafka").await.unwrap();
    drive(&ready, &Lifecycle::default()).await;
    let mut database = lab.database().await;
    let end: String = sqlx::query_scalar("select pg_current_wal_lsn()::text").fetch_one(&mut database).await.unwrap();
    // Twice, for the first answer may be of before it had read all.
    for what in ["the relay to read all of it", "the relay to say how far it is"] {
        let since: String =
            sqlx::query_scalar("select clock_timestamp()::text").fetch_one(&mut database).await.unwrap();
        until(what, LONG, || async {
            let answered = sqlx::query_scalar::<_, bool>(
                "select exists(select from pg_stat_replication
                    where sent_lsn >= $1::pg_lsn and reply_time > $2::timestamptz)",
            );
            let answered = answered.bind(&end).bind(&since).fetch_one(&mut lab.database().await).await.unwrap();
            (answered, end.clone())
        })
        .await;
    }
    lab.stack.kill9("cdc-relay").await.unwrap();
    drop(frozen);
    lab.stack.start("cdc-relay").await.unwrap();
    assert_eq!(lab.verdict(LONG).await.delivered, 50);
    assert_eq!(lab.count(BY_CDC).await, 50);
    lab.stop().await;
}
