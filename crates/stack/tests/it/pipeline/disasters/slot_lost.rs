//! The replication slot is lost: the relay was away for longer than PostgreSQL keeps log for it.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_lost_slot_held_is_sent_by_the_sweep_and_cdc_goes_on() {
    let mut lab = Lab::start(&SOON).await;
    keep_little_log(&lab).await;
    let ready = lab.load().await;
    let lifecycle = Lifecycle::default();
    let faults = async {
        lab.grows(BY_CDC, 100).await;
        lab.stack.kill9("cdc-relay").await.unwrap();
        lab.grows(COMMITTED, 1).await;
        let from = lab.newest_event().await;
        lab.grows(COMMITTED, 100).await;
        let to = lab.newest_event().await;
        lose_slot(&lab).await;
        lab.stack.start("cdc-relay").await.unwrap();
        lab.grows(BY_CDC, 50).await;
        lifecycle.stop();
        (from, to)
    };
    let (summary, (from, to)) = tokio::join!(drive(&ready, &lifecycle), faults);
    let verdict = lab.verdict(LONG).await;
    assert_eq!(verdict.acknowledged as u64, summary.acknowledged);
    let (events, by_the_sweep) = lab.between(&from, &to).await;
    assert!(events >= 100 && by_the_sweep == events, "of {events} in the gap, the sweep sent {by_the_sweep}");
    let told = lab.told("cdc-relay", "the replication slot was lost and has been made anew").unwrap();
    assert!(told.contains("ERROR") && told.contains("wal_removed"), "{told}");
    eprintln!("{told}");
    eprintln!("{events} in the gap, {by_the_sweep} of them by the sweep");
    lab.stop().await;
}

/// As an operator would who does not want a relay that is away to fill the disk.
async fn keep_little_log(lab: &Lab) {
    let mut database = lab.database().await;
    for statement in ["alter system set max_slot_wal_keep_size = '1MB'", "select pg_reload_conf()"] {
        sqlx::query(statement).execute(&mut database).await.unwrap();
    }
}

/// Makes log until PostgreSQL gives the slot up.
async fn lose_slot(lab: &Lab) {
    until("the slot to be lost", LONG, || async {
        let mut database = lab.database().await;
        let make_log = "select pg_logical_emit_message(false, 'filler', repeat('x', 100000)), pg_switch_wal()";
        for statement in [make_log, make_log, "checkpoint"] {
            sqlx::query(statement).execute(&mut database).await.unwrap();
        }
        let status: Option<String> =
            sqlx::query_scalar("select wal_status from pg_replication_slots").fetch_one(&mut database).await.unwrap();
        (status.as_deref() == Some("lost"), status)
    })
    .await;
}
