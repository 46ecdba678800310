//! Kafka's side: what is deleted is made again, and the relay goes on.

use std::collections::HashSet;
use std::time::Duration;

use crate::delivery::Load;
use crate::lab::{eventually, in_lab, metric, relaying};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_topic_deleted_under_load_is_made_again_and_gets_everything_that_follows() {
    in_lab(async |lab| {
        let url = lab.relay(&[]);
        relaying(&url).await;
        let load = Load::start(lab, 100).await;
        lab.until_keys(50).await;
        lab.delete_topic().await;
        // The first record after the deletion finds it out.
        eventually(Duration::from_secs(60), async || {
            match metric(&url, "cdc_reconnects_total{side=\"kafka\"}").await? {
                count if count >= 1.0 => Ok(()),
                _ => Err("the relay has not noticed".to_owned()),
            }
        })
        .await;
        relaying(&url).await;
        load.stop().await;
        let load = Load::start_series(lab, 100, 1).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let committed = load.stop().await;
        eventually(Duration::from_secs(30), async || {
            let records = lab.records().await;
            let arrived: HashSet<_> = records.into_iter().filter_map(|record| record.key).collect();
            match committed.difference(&arrived).count() {
                0 => Ok(()),
                missing => Err(format!("{missing} of {} are missing", committed.len())),
            }
        })
        .await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_relay_without_kafka_serves_its_health_and_says_what_it_waits_for() {
    in_lab(async |lab| {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = lab.relay(&["--kafka", &nobody.to_string()]);
        eventually(Duration::from_secs(20), async || crate::lab::get(&url, "health").await).await;
        lab.logged("can't create the topic").await;
        assert_eq!(crate::lab::status(&url).await.unwrap()["connected"], false);
        lab.stop().await;
    })
    .await;
}
