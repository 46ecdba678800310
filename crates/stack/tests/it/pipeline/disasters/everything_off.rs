//! The power fails under load: every process is killed at the same moment, and started again.

use std::collections::HashMap;

use futures_util::future::try_join_all;
use serde_json::json;

use super::*;

/// Everything but the merchants, who are elsewhere, and bear witness.
const OFF: [&str; 8] =
    ["postgres", "kafka", "restate", "payments-api", "data-service", "portal", "webhook-consumer", "cdc-relay"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_though_everything_is_killed_at_once_twice() {
    let mut lab = Lab::start(&NO_SWEEP).await;
    let ready = lab.load().await;
    for (endpoint, order) in ready.endpoints.iter().zip(["any", "any", "any", "per_object", "per_object"]) {
        // What was in doubt twice waits by the schedule.
        let schedule: Vec<&str> = std::iter::once("0s").chain(std::iter::repeat_n("1s", 20)).collect();
        let change = json!({"order": order, "schedule": schedule});
        lab.operate(&format!("/endpoints/{}", endpoint.endpoint_id), change).await;
    }
    let lifecycle = Lifecycle::default();
    let faults = async {
        let mut outages = Vec::new();
        for _ in 0..2 {
            lab.grows(BY_CDC, 100).await;
            let began_at = verifier::now();
            lab.stack.kill_together(&OFF).await.unwrap();
            try_join_all(OFF.map(|name| lab.stack.start(name))).await.unwrap();
            outages.push((began_at, verifier::now()));
        }
        lab.grows(BY_CDC, 100).await;
        lifecycle.stop();
        outages
    };
    let (summary, outages) = tokio::join!(drive(&ready, &lifecycle), faults);
    let verdict = lab.verdict(LONG).await;
    assert_eq!(verdict.acknowledged as u64, summary.acknowledged);
    // A POST is repeated only where the power failed before anybody knew what had become of it, or it was answered late.
    let failed = failed_attempts(&lab).await;
    for repeated in &verdict.lists.repeated {
        let last = *repeated.repeats.iter().max().unwrap();
        let outages = outages.iter().filter(|(from, to)| repeated.first_at <= *to && *from <= last).count();
        let explained = outages + failed.get(&repeated.webhook_id).map_or(0, Vec::len);
        assert!(explained >= repeated.repeats.len(), "{repeated:?}: {outages} outages, {failed:?}");
    }
    let (repeated, by_the_sweep) = (verdict.repeated, lab.count(BY_THE_SWEEP).await);
    eprintln!("{} acknowledged, {repeated} repeated, {by_the_sweep} by the sweep", verdict.acknowledged);
    lab.stop().await;
}

/// How attempts ended that were not accepted, by event.
async fn failed_attempts(lab: &Lab) -> HashMap<String, Vec<String>> {
    let query = "select event_id, array_agg(outcome) from attempts join deliveries using (delivery_id)
        where outcome <> 'delivered' group by 1";
    let rows: Vec<(String, Vec<String>)> = sqlx::query_as(query).fetch_all(&mut lab.database().await).await.unwrap();
    rows.into_iter().collect()
}
