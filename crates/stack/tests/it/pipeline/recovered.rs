//! A job recovers 5,000 deliveries, and is killed half-way: webhook-consumer, which drives it, and data-service, which takes
//! its steps.

use std::collections::HashMap;

use serde_json::json;

use super::*;

const DELIVERIES: u64 = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recover_job_that_is_killed_half_way_finishes_and_sends_each_delivery_once() {
    let settings = [
        ("EVERHOOK_OVERDUE_AFTER", "5s"),
        ("EVERHOOK_LEASE_MARGIN", "2s"),
        // 5,000 failures open it, and the first of the job would try the endpoint alone.
        ("EVERHOOK_CIRCUIT_OPENS_AFTER", "0"),
    ];
    let lab = Lab::start(&settings).await;
    let options = lab.options(Until::Payments(DELIVERIES), Pace::Closed { concurrency: 16 }, 0);
    let ready = set_up(Options { merchants: 1, ..options }).await.unwrap();
    let endpoint_id = ready.endpoints[0].endpoint_id;
    let simulator = lab.simulator();
    lab.operate(&format!("/endpoints/{endpoint_id}"), json!({"schedule": ["0s"]})).await;
    simulator.put_mood(endpoint_id, &json!({"mood": "failing", "rate": 1.0}), ANSWER).await.unwrap();
    drive(&ready, &Lifecycle::default()).await;
    until("5,000 deliveries to be exhausted", Duration::from_secs(120), || async {
        let exhausted = lab.count("select count(*) from deliveries where state = 'exhausted'").await;
        (exhausted == 5_000, exhausted)
    })
    .await;
    assert_eq!(simulator.all_arrivals(endpoint_id, ANSWER).await.unwrap(), []);
    simulator.put_mood(endpoint_id, &json!({"mood": "well"}), ANSWER).await.unwrap();

    let since = json!({"since": "2026-01-01T00:00:00Z"});
    let path = format!("/endpoints/{endpoint_id}/recover");
    let job = lab.ask_portal(Method::POST, &path, Some(since)).await;
    let job = format!("/jobs/{}", job["job_id"].as_str().unwrap());
    until("the job to be a third done", Duration::from_secs(60), || async {
        let done = lab.portal(&job).await["done"].as_u64().unwrap();
        (done >= DELIVERIES / 3, done)
    })
    .await;
    tokio::try_join!(lab.stack.kill9("webhook-consumer"), lab.stack.kill9("data-service")).unwrap();
    let killed_at = lab.portal(&job).await;
    let done = killed_at["done"].as_u64().unwrap();
    assert!((1_000..=4_000).contains(&done), "it was to be killed half-way: {killed_at}");
    assert_eq!(killed_at["state"], "running");
    lab.stack.start("data-service").await.unwrap();
    lab.stack.start("webhook-consumer").await.unwrap();

    until("the job to be done, and everything to be delivered", Duration::from_secs(180), || async {
        let open = lab.count("select count(*) from deliveries where state <> 'delivered'").await;
        let state = lab.portal(&job).await["state"].clone();
        (open == 0 && state == "done", (open, state))
    })
    .await;
    let finished = lab.portal(&job).await;
    let counts = ["total", "done", "skipped"].map(|count| finished[count].as_u64());
    assert_eq!(counts, [Some(5_000), Some(5_000), Some(0)], "{finished}");

    // An attempt that was under way at the kill may be repeated: nobody can know what became of it.
    let unknown: HashMap<String, i64> = sqlx::query_as(
        "select d.event_id, count(*) from attempts a join deliveries d using (delivery_id)
         where a.outcome = 'unknown' group by 1",
    )
    .fetch_all(&mut lab.database().await)
    .await
    .unwrap()
    .into_iter()
    .collect();
    let arrivals = simulator.all_arrivals(endpoint_id, ANSWER).await.unwrap();
    assert_eq!(arrivals.len(), 5_000, "each of them arrived");
    for arrival in &arrivals {
        let doubts = unknown.get(&arrival.webhook_id).copied().unwrap_or(0);
        let repeats = i64::try_from(arrival.repeats.len()).unwrap();
        assert!(repeats <= doubts, "{} was accepted {} times, {doubts} in doubt", arrival.webhook_id, repeats + 1);
    }
    let repeated = arrivals.iter().filter(|arrival| !arrival.repeats.is_empty()).count();
    eprintln!("killed at {done} of 5,000; {} attempts were in doubt, {repeated} were repeated", unknown.len());
    assert!(unknown.len() < 500, "{} were under way", unknown.len());
    let log = "select count(*) from attempts where outcome not in ('delivered', 'status', 'unknown')";
    assert_eq!(lab.count(log).await, 0);
    // And one of them once more: it starts within a moment, and is delivered afterwards as before.
    let resent = &arrivals.iter().find(|arrival| arrival.repeats.is_empty()).unwrap().webhook_id;
    let delivery = lab.portal(&format!("/deliveries?event_id={resent}")).await["items"][0]["delivery_id"].clone();
    let asked = Instant::now();
    lab.ask_portal(Method::POST, &format!("/deliveries/{}/resend", delivery.as_str().unwrap()), None).await;
    until("the resent one to arrive", Duration::from_secs(10), || async {
        let arrivals = simulator.all_arrivals(endpoint_id, ANSWER).await.unwrap();
        let seen = arrivals.into_iter().find(|arrival| arrival.webhook_id == *resent).unwrap();
        (seen.repeats.len() == 1, seen.repeats.len())
    })
    .await;
    let took = asked.elapsed();
    eprintln!("a resent delivery arrived after {took:?}");
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    lab.stop().await;
}
