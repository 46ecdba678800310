//! The slot: it moves on an idle publication, and it is made anew when it is lost.

use std::time::Duration;

use crate::lab::{eventually, in_lab, metric, relaying, status};

fn insert(id: u32) -> String {
    format!(
        "insert into domain_events values ('evt_{id}', 'payment.created', 'payment', 'pay_1', 1, 'mer_1', now(), null, \
             null, pg_current_xact_id())"
    )
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn an_idle_publication_does_not_hold_back_the_log_of_a_busy_server() {
    in_lab(async |lab| {
        // No heartbeat of ours helps here.
        let url = lab.relay(&["--heartbeat-interval", "1h", "--heartbeat-timeout", "2h"]);
        relaying(&url).await;
        lab.execute("create table busy (id int, filler text); insert into busy select i, repeat('x', 500) from generate_series(1, 20000) i")
            .await;
        let end = lab.ask("select pg_current_wal_lsn()::text").await.unwrap();
        eventually(Duration::from_secs(10), async || {
            let passed = lab
                .ask(&format!(
                    "select (confirmed_flush_lsn >= '{end}')::text from pg_replication_slots where slot_name = '{}'",
                    lab.name
                ))
                .await;
            if passed.as_deref() == Some("true") { Ok(()) } else { Err(format!("{}", status(&url).await?)) }
        })
        .await;
        assert_eq!(status(&url).await.unwrap()["records"], 0);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_slot_dropped_while_the_relay_runs_is_made_anew_loudly_and_counted() {
    in_lab(async |lab| {
        let url = lab.relay(&[]);
        relaying(&url).await;
        assert_eq!(metric(&url, "cdc_slot_recreated_total").await, Ok(0.0));
        lab.execute(&insert(1)).await;
        lab.until_keys(1).await;
        // The relay comes back at once: whoever drops the slot must be quicker.
        lab.execute(&format!(
            "do $$ begin
                 loop
                     begin
                         perform pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '{0}';
                         perform pg_drop_replication_slot('{0}');
                         return;
                     exception when object_in_use then
                         perform pg_sleep(0.005);
                     end;
                 end loop;
             end $$",
            lab.name
        ))
        .await;
        lab.logged("the replication slot was lost and has been made anew").await;
        eventually(Duration::from_secs(10), async || match metric(&url, "cdc_slot_recreated_total").await? {
            1.0 => Ok(()),
            count => Err(format!("counted {count}")),
        })
        .await;
        eventually(Duration::from_secs(10), async || match status(&url).await? {
            status if status["connected"] == true => Ok(()),
            status => Err(status.to_string()),
        })
        .await;
        lab.execute(&insert(2)).await;
        lab.until_keys(2).await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_missing_publication_is_named_and_waited_for() {
    in_lab(async |lab| {
        lab.execute("drop publication everhook_events").await;
        let url = lab.relay(&[]);
        lab.logged("the publication everhook_events does not exist in the database").await;
        let count = format!("select count(*)::text from pg_replication_slots where slot_name = '{}'", lab.name);
        assert_eq!(lab.ask(&count).await.as_deref(), Some("0"), "the publication comes first, then the slot");
        lab.execute("create publication everhook_events for table domain_events").await;
        relaying(&url).await;
        lab.execute(&insert(1)).await;
        lab.until_keys(1).await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_publication_younger_than_the_slots_position_does_not_stop_the_relay_for_ever() {
    in_lab(async |lab| {
        lab.execute("drop publication everhook_events").await;
        lab.execute(&format!("select pg_create_logical_replication_slot('{}', 'pgoutput')", lab.name)).await;
        lab.execute(&insert(1)).await;
        lab.execute("create publication everhook_events for table domain_events").await;
        let url = lab.relay(&[]);
        relaying(&url).await;
        // Before version 18 PostgreSQL refuses at the first change, and the slot is made anew; from then on it skips it.
        eventually(Duration::from_secs(20), async || {
            lab.execute("insert into domain_events select 'evt_' || md5(random()::text), 'a', 'a', 'a', 1, 'a', now(), null, null, pg_current_xact_id()").await;
            match lab.records().await.len() {
                0 => Err("nothing came".to_owned()),
                _ => Ok(()),
            }
        })
        .await;
        let version: i32 = lab.ask("select current_setting('server_version_num')").await.unwrap().parse().unwrap();
        let recreated = if version < 180_000 { 1.0 } else { 0.0 };
        assert_eq!(metric(&url, "cdc_slot_recreated_total").await, Ok(recreated));
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_publication_that_is_replaced_while_the_relay_runs_loses_nothing() {
    in_lab(async |lab| {
        let url = lab.relay(&[]);
        relaying(&url).await;
        lab.execute(&insert(1)).await;
        lab.execute("drop publication everhook_events; create publication everhook_events for table domain_events")
            .await;
        lab.execute(&insert(2)).await;
        lab.until_keys(2).await;
        assert_eq!(metric(&url, "cdc_slot_recreated_total").await, Ok(0.0));
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_relay_that_finds_no_slot_and_rows_from_before_says_so() {
    in_lab(async |lab| {
        lab.execute(&insert(1)).await;
        let url = lab.relay(&[]);
        lab.logged("although the published tables have been written to").await;
        relaying(&url).await;
        assert_eq!(metric(&url, "cdc_slot_recreated_total").await, Ok(1.0));
        lab.execute(&insert(2)).await;
        lab.until_keys(1).await;
    })
    .await;
}
