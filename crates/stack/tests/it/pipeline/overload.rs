//! Twice as many payments as the machine can take: the API answers in its time or says 503, nothing grows without bound,
//! the sweep adds nothing, and everything that was acknowledged is delivered afterwards.
//!
//! `EVERHOOK_OVERLOAD_FOR=5m` makes it as long as that.

use std::collections::BTreeMap;
use std::sync::Arc;

use chassis::client::{self, Limits};
use serde_json::json;
use stack::bench::usage::Processes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::*;

/// So long, unless the environment says otherwise.
const OVERLOADED_FOR: &str = "60s";
/// Requests under way while the capacity is measured.
const CONCURRENCY: usize = 16;
/// As many as the API takes at once, so that an answer takes at most this, divided by its capacity.
const MOST_UNDER_WAY: usize = 64;
/// So many connections the clients have among them. Each request has one, as soon as one is free, and the wait counts as part
/// of its answer's time: with a new connection for each request above the capacity, what is measured is the client.
const CONNECTIONS: usize = 4 * MOST_UNDER_WAY;
/// An answer that takes longer than twice that is none in time, nor within a second on a machine that others use, too.
const SLACK: Duration = Duration::from_secs(1);
/// What has waited for so long while younger ones went by is looked for by the sweep (data-service's default).
const OVERTAKEN: Duration = Duration::from_secs(60);
/// What no process of ours may need: twice what webhook-consumer, the largest, was seen to need.
const MOST_MEMORY: u64 = 128 << 20;
const OURS: [&str; 5] = ["payments-api", "data-service", "webhook-consumer", "cdc-relay", "portal"];

/// One answer of the API.
struct Answered {
    status: u16,
    retry_after: bool,
    took: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twice_the_load_is_answered_in_time_or_refused_and_the_backlog_drains() {
    let text = std::env::var("EVERHOOK_OVERLOAD_FOR").unwrap_or_else(|_| OVERLOADED_FOR.to_owned());
    let time = chassis::flags::duration(&text).unwrap();
    let mut lab = Lab::start(&[("EVERHOOK_MOST_UNDER_WAY", &MOST_UNDER_WAY.to_string())]).await;
    let ready = lab.set_up(Until::Payments(2_000), Pace::Closed { concurrency: CONCURRENCY }, 0).await;
    let capacity = drive(&ready, &Lifecycle::default()).await.per_second;
    let merchant_id = ready.merchants[0].merchant_id;
    let before = lab.count(COMMITTED).await;

    let (rate, lifecycle) = (2.0 * capacity, Lifecycle::default());
    let processes = Processes::of(&lab.stack).await;
    let (answers, memory) = tokio::join!(
        async {
            let answers =
                overload(&lab, json!({"merchant_id": merchant_id, "amount": 1, "currency": "USD"}), rate, time).await;
            lifecycle.stop();
            answers
        },
        most_memory(&processes, &lifecycle),
    );
    let lag = lab.count(COMMITTED).await - lab.count("select count(*) from routed_events").await;
    let drained = Instant::now();
    until("the backlog to drain", time * 10 + Duration::from_secs(120), || async {
        let unfinished =
            "select (select count(*) from domain_events) - (select count(*) from deliveries where state = 'delivered')";
        let unfinished = lab.count(unfinished).await;
        (unfinished == 0, unfinished)
    })
    .await;
    let drained = drained.elapsed();

    let of = |status: u16| answers.iter().filter(move |answer| answer.status == status);
    let worst = |status| of(status).map(|answer| answer.took).max().unwrap_or_default();
    let (done, refused) = (of(201).count(), of(503).count());
    eprintln!(
        "capacity {capacity:.0}/s, asked {rate:.0}/s for {time:?}: {done} acknowledged within {:?}, {refused} refused within {:?}; \
         {lag} events behind, drained in {drained:.1?}; memory {memory:?}",
        worst(201),
        worst(503),
    );
    assert_eq!(done + refused, answers.len(), "other answers");
    assert!(of(503).all(|answer| answer.retry_after), "a refusal says when to come back");
    let in_time = Duration::from_secs_f64(2.0 * MOST_UNDER_WAY as f64 / capacity) + SLACK;
    assert!(worst(201) < in_time, "an answer took {:?}, and {in_time:?} are allowed", worst(201));
    assert_eq!(lab.count(COMMITTED).await - before, done as i64, "acknowledged, and committed");
    // The sweep brings what has waited for longer than that, and it is right: it can't know where that stands.
    let by_the_sweep = lab.count(BY_THE_SWEEP).await;
    assert!(by_the_sweep == 0 || drained > OVERTAKEN, "the sweep has sent {by_the_sweep} that waited in Kafka");
    assert_eq!(lab.count("select count(*) from attempts").await, before + done as i64, "one attempt for each");
    for (name, bytes) in memory {
        assert!(bytes < MOST_MEMORY || !OURS.contains(&name.as_str()), "{name} needed {} MiB", bytes >> 20);
    }
    let verdict = lab.verdict(Duration::from_secs(60)).await;
    assert_eq!((verdict.lost, verdict.repeated), (0, 0));
    lab.stop().await;
}

/// Posts payments at this pace, whether answers come or not.
async fn overload(lab: &Lab, payment: Value, rate: f64, time: Duration) -> Vec<Answered> {
    let client = client::build(Limits { whole: Duration::from_secs(60), ..Limits::default() }).unwrap();
    let url = lab.url(Door::PaymentsApi).join("/payments").unwrap();
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let (began, mut begun, mut under_way, mut answers) = (Instant::now(), 0, JoinSet::new(), Vec::new());
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    while began.elapsed() < time {
        ticks.tick().await;
        let due = (began.elapsed().as_secs_f64() * rate) as usize;
        for _ in begun..due {
            let (request, asked) = (client.post(url.clone()).json(&payment), Instant::now());
            let connections = Arc::clone(&connections);
            under_way.spawn(async move {
                let _connection = connections.acquire().await.unwrap();
                let response = request.send().await.unwrap();
                let retry_after = response.headers().contains_key("retry-after");
                let status = response.status().as_u16();
                response.bytes().await.unwrap();
                Answered { status, retry_after, took: asked.elapsed() }
            });
        }
        begun = due;
        while let Some(answer) = under_way.try_join_next() {
            answers.push(answer.unwrap());
        }
    }
    answers.extend(under_way.join_all().await);
    answers
}

/// The most that each process needed at any time, in bytes.
async fn most_memory(processes: &Processes, lifecycle: &Lifecycle) -> BTreeMap<String, u64> {
    let mut most = BTreeMap::new();
    while lifecycle.sleep(Duration::from_secs(1)).await {
        for (name, bytes) in processes.memory().unwrap() {
            let seen: &mut u64 = most.entry(name).or_default();
            *seen = bytes.max(*seen);
        }
    }
    most
}
