//! webhook-consumer is killed with 500 deliveries under way.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_under_way_arrives_soon_after_the_restart() {
    let mut lab = Lab::start(&[]).await;
    let ready = lab.set_up(Until::Payments(500), Pace::Closed { concurrency: 16 }, 0).await;
    let endpoints: HashSet<_> = ready.endpoints.iter().map(|e| e.endpoint_id).collect();
    let simulator = lab.simulator();
    for endpoint in &endpoints {
        simulator.put_mood(*endpoint, &serde_json::json!({"mood": "dead"}), ANSWER).await.unwrap();
    }
    drive(&ready, &Lifecycle::default()).await;
    until("500 POSTs under way", Duration::from_secs(30), || async {
        let under_way = simulator.requests(&endpoints, ANSWER).await.unwrap();
        (under_way == 500, under_way)
    })
    .await;

    lab.stack.kill9("webhook-consumer").await.unwrap();
    for endpoint in &endpoints {
        simulator.put_mood(*endpoint, &serde_json::json!({"mood": "well"}), ANSWER).await.unwrap();
    }
    let restarted = Instant::now();
    lab.stack.start("webhook-consumer").await.unwrap();
    let verdict = lab.verdict(Duration::from_secs(30)).await;
    let account = Account::read(&lab.account_file()).unwrap();
    let seen = Witness::of(&account).unwrap().look(&account).await.unwrap();
    let last = seen.arrivals.values().flatten().map(|arrival| arrival.first_at).max().unwrap();
    let first_start = verifier::now().unix_micros() - i64::try_from(restarted.elapsed().as_micros()).unwrap();
    let took_ms = (last.unix_micros() - first_start) / 1000;
    // On a machine that does nothing else it takes two; nobody waits for the sweep, which is minutes.
    assert!(took_ms < 20_000, "the last one came {took_ms} ms after the restart");
    assert_eq!(verdict.delivered, 500);
    assert!(verdict.repeated <= 500, "{} repeated, and 500 were under way", verdict.repeated);
    let unknown = lab.count("select count(*) from attempts where outcome = 'unknown'").await;
    assert_eq!(unknown, 500, "attempts that were begun and never recorded");
    lab.stop().await;
}
