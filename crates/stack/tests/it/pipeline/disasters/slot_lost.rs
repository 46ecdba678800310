//! The replication slot is lost: the relay was away for longer than PostgreSQL keeps log for it, or somebody has dropped it.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_lost_slot_held_is_sent_by_the_sweep_and_cdc_goes_on() {
    let mut lab = Lab::start(&SOON).await;
    lab.keep_little_log().await;
    let strike = async |lab: &Lab| {
        lab.grows(BY_CDC, 100).await;
        lab.stack.kill9("cdc-relay").await.unwrap();
        lab.grows(COMMITTED, 1).await;
        let from = lab.newest_event().await;
        lab.grows(COMMITTED, 100).await;
        let to = lab.newest_event().await;
        lab.lose_slot().await;
        lab.stack.start("cdc-relay").await.unwrap();
        lab.grows(BY_CDC, 50).await;
        (from, to)
    };
    let (_, (from, to)) = lab.under_load(0, strike).await;
    let (events, by_the_sweep) = lab.between(&from, &to).await;
    assert!(events >= 100 && by_the_sweep == events, "of {events} in the gap, the sweep sent {by_the_sweep}");
    let told = lab.told("cdc-relay", "the replication slot was lost and has been made anew").unwrap();
    assert!(told.contains("ERROR") && told.contains("wal_removed"), "{told}");
    eprintln!("{told}");
    eprintln!("{events} in the gap, {by_the_sweep} of them by the sweep");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_is_dropped_under_the_relay_is_made_anew_and_cdc_goes_on() {
    let mut lab = Lab::start(&SOON).await;
    let strike = async |lab: &Lab| {
        lab.grows(BY_CDC, 100).await;
        drop_slot(lab).await;
        lab.grows(BY_CDC, 100).await;
    };
    lab.under_load(0, strike).await;
    let told = lab.told("cdc-relay", "the replication slot was lost and has been made anew").unwrap();
    assert!(told.contains("ERROR") && told.contains("it does not exist any more"), "{told}");
    let from = lab.newest_event().await;
    lab.pay(10).await;
    lab.verdict(LONG).await;
    assert_eq!(lab.between(&from, "evt_z").await, (20, 0), "what is paid now does not need the sweep");
    lab.stop().await;
}

/// As an operator's mistake would: the relay's connection is ended, and the slot dropped before it can come back.
async fn drop_slot(lab: &Lab) {
    until("the slot to be dropped", LONG, || async {
        let mut database = lab.database().await;
        let ended = "select pg_terminate_backend(active_pid) from pg_replication_slots where active";
        sqlx::query(ended).execute(&mut database).await.unwrap();
        let drop = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active";
        let dropped = sqlx::query(drop).execute(&mut database).await;
        (dropped.as_ref().is_ok_and(|done| done.rows_affected() == 1), format!("{dropped:?}"))
    })
    .await;
}
