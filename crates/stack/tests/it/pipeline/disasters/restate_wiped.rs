//! Restate's data is wiped under load, with deliveries in it that wait for their next attempt, and with events that it has
//! taken from Kafka and nobody has routed.

use serde_json::json;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_wiped_restate_had_is_taken_over_by_the_sweep() {
    let mut lab = Lab::start(&SOON).await;
    // These fail once, and wait in Restate's timers.
    let failing = lab.set_up(Until::Payments(20), Pace::Closed { concurrency: 4 }, 0).await;
    for endpoint in &failing.endpoints {
        let schedule = json!({"schedule": ["0s", "10s", "1s", "1s"]});
        lab.operate(&format!("/endpoints/{}", endpoint.endpoint_id), schedule).await;
        lab.simulator().put_mood(endpoint.endpoint_id, &json!({"mood": "failing", "rate": 1.0}), ANSWER).await.unwrap();
    }
    drive(&failing, &Lifecycle::default()).await;
    let waiting = "select count(*) from deliveries where state = 'pending' and attempts = 1 and begun_at is null";
    until("20 deliveries to wait", LONG, || async {
        let now = lab.count(waiting).await;
        (now == 20, now)
    })
    .await;
    let endpoints: Vec<_> = failing.endpoints.iter().map(|endpoint| endpoint.endpoint_id).collect();
    drop(failing);
    // These are taken from Kafka, and nobody routes them.
    lab.stack.kill9("webhook-consumer").await.unwrap();
    let (from, to) = lab.pay_into_kafka(100).await;
    lab.all_taken_from_kafka().await;

    let strike = async |lab: &Lab| {
        lab.stack.kill9("restate").await.unwrap();
        lab.stack.wipe("restate").await.unwrap();
        lab.grows(COMMITTED, 50).await;
        lab.stack.start("restate").await.unwrap();
        for endpoint_id in &endpoints {
            lab.simulator().put_mood(*endpoint_id, &json!({"mood": "well"}), ANSWER).await.unwrap();
        }
        lab.stack.start("webhook-consumer").await.unwrap();
        lab.grows(BY_CDC, 100).await;
    };
    lab.under_load(220, strike).await;
    let (events, by_the_sweep) = lab.between(&from, &to).await;
    assert_eq!((events, by_the_sweep), (200, 200), "what Restate alone had");
    let taken_over = "select count(*) from deliveries where claim > 1 and attempts > 1 and state = 'delivered'";
    assert_eq!(lab.count(taken_over).await, 20, "what had waited in Restate");
    lab.stop().await;
}
