//! Endpoints that want the latest of each payment only, and are slower than the payments change.

use std::collections::HashMap;

use serde_json::json;
use verifier::account::Endpoint;

use super::*;

const PAYMENTS: u64 = 100;
const CHANGES: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_state_of_each_payment_arrives_and_what_it_replaced_is_on_the_ledger() {
    let lab = Lab::start(&[]).await;
    let ready = lab.set_up(Until::Payments(PAYMENTS), Pace::Closed { concurrency: 8 }, CHANGES).await;
    let simulator = lab.simulator();
    for Endpoint { endpoint_id, .. } in &ready.endpoints {
        lab.operate(&format!("/endpoints/{endpoint_id}"), json!({"order": "latest_only"})).await;
        simulator.put_mood(*endpoint_id, &json!({"mood": "slow", "delay_ms": 300}), ANSWER).await.unwrap();
    }
    drive(&ready, &Lifecycle::default()).await;
    until("everything to have ended", Duration::from_secs(60), || async {
        let open = lab.count("select count(*) from deliveries where state in ('pending', 'held')").await;
        let routed = lab.count("select count(*) from routed_events").await;
        (open == 0 && routed == 700, (open, routed))
    })
    .await;

    let mut last: HashMap<String, i64> = HashMap::new();
    for Endpoint { endpoint_id, .. } in &ready.endpoints {
        for arrival in simulator.all_arrivals(*endpoint_id, ANSWER).await.unwrap() {
            let (payment, version) = (arrival.payment_id.unwrap(), arrival.event_version.unwrap());
            let before = last.insert(payment.clone(), version);
            assert!(before.is_none_or(|before| before < version), "{payment}: {version} came after {before:?}");
        }
    }
    assert_eq!(last.len(), 100);
    assert!(last.values().all(|version| *version == 7), "the last state did not arrive: {last:?}");
    let delivered = lab.count("select count(*) from deliveries where state = 'delivered'").await;
    let superseded = lab.count("select count(*) from deliveries where state = 'superseded'").await;
    assert_eq!(delivered + superseded, 700);
    assert!(superseded > 100, "only {superseded} were replaced");
    lab.stop().await;
}
