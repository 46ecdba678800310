//! Kafka's data, Restate's data and the replication slot are lost, one after the other, under load.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_though_kafka_and_restate_are_wiped_and_the_slot_is_dropped() {
    let mut lab = Lab::start(&[
        ("EVERHOOK_UNROUTED_AFTER", "20s"),
        ("EVERHOOK_OVERTAKEN_AFTER", "5s"),
        ("EVERHOOK_OVERDUE_AFTER", "5s"),
        ("EVERHOOK_RECONCILE_EVERY", "1s"),
    ])
    .await;
    let ready = lab.set_up(Until::Stopped, Pace::Open { rate: 50.0, most: 200 }, 1).await;
    let lifecycle = Lifecycle::default();
    let faults = async {
        for component in ["kafka", "restate"] {
            tokio::time::sleep(Duration::from_secs(3)).await;
            lab.stack.kill9(component).await.unwrap();
            lab.stack.wipe(component).await.unwrap();
            lab.stack.start(component).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        drop_slot(&lab).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        lifecycle.stop();
    };
    let (summary, ()) = tokio::join!(drive(&ready, &lifecycle), faults);
    let verdict = lab.verdict(Duration::from_secs(180)).await;
    assert_eq!(verdict.acknowledged as u64, summary.acknowledged);
    let healed = lab.count("select count(*) from routed_events where not from_cdc").await;
    assert!(healed > 0, "nothing was lost on the way, so the sweep was not tested");
    // CDC works again: a new payment does not need the sweep.
    drop(ready);
    let ready = lab.set_up(Until::Payments(10), Pace::Closed { concurrency: 1 }, 0).await;
    let before = lab.count("select count(*) from routed_events where from_cdc").await;
    drive(&ready, &Lifecycle::default()).await;
    lab.verdict(Duration::from_secs(30)).await;
    let after = lab.count("select count(*) from routed_events where from_cdc").await;
    assert_eq!(after - before, 10, "events that came through CDC after all that");
    lab.stop().await;
}

/// As an operator's mistake would, or `max_slot_wal_keep_size`: the relay's connection is ended and the slot dropped
/// before it can come back.
async fn drop_slot(lab: &Lab) {
    let mut database = lab.database().await;
    until("the slot is dropped", Duration::from_secs(30), || async {
        let mut database = lab.database().await;
        let ended = "select pg_terminate_backend(active_pid) from pg_replication_slots where active";
        sqlx::query(ended).execute(&mut database).await.unwrap();
        let dropped =
            sqlx::query("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active")
                .execute(&mut database)
                .await;
        (dropped.as_ref().is_ok_and(|done| done.rows_affected() == 1), format!("{dropped:?}"))
    })
    .await;
    // What is committed while there is no slot is what the gap loses.
    let now: i64 = sqlx::query_scalar("select count(*) from domain_events").fetch_one(&mut database).await.unwrap();
    assert!(now > 0);
}
