//! Three consumers deliver to an endpoint that takes 50 a second.

use serde_json::json;
use verifier::account::Endpoint;

use super::*;

const RATE: usize = 50;
const EVENTS: u64 = 1_000;
const CONSUMERS: [&str; 3] = ["webhook-consumer", "webhook-consumer-2", "webhook-consumer-3"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_consumers_together_keep_within_the_endpoint_s_rate() {
    let mut lab = Lab::start(&[]).await;
    for further in &CONSUMERS[1..] {
        lab.stack.start(further).await.unwrap();
    }
    let ready = lab.set_up_for(1, Until::Payments(EVENTS), Pace::Open { rate: 80.0, most: 64 }, 0).await;
    let endpoint = &ready.endpoints[0];
    lab.operate(&format!("/endpoints/{}", endpoint.endpoint_id), json!({"rate_limit": RATE})).await;
    let before = ticks_of_all(&lab).await;
    let lifecycle = Lifecycle::default();
    tokio::select! {
        () = in_turns(&lab) => {}
        () = async {
            drive(&ready, &lifecycle).await;
            let arrived = || async {
                let arrived = arrivals(&lab, endpoint).await.len();
                (arrived as u64 == EVENTS, arrived)
            };
            until("every event to arrive", Duration::from_secs(60), arrived).await;
        } => {}
    }
    let worked: Vec<u64> = ticks_of_all(&lab).await.iter().zip(&before).map(|(after, before)| after - before).collect();
    assert!(worked.iter().all(|ticks| ticks * 10 >= worked.iter().sum()), "all of them are to work: {worked:?}");
    lab.verdict(Duration::from_secs(10)).await;

    let mut at = arrivals(&lab, endpoint).await;
    at.sort_unstable();
    let within_a_second = |from: usize| at[from..].iter().take_while(|moment| **moment < at[from] + 1_000_000).count();
    let most = (0..at.len()).map(within_a_second).max().unwrap();
    let mut began: Vec<i64> =
        sqlx::query_scalar("select (extract(epoch from began_at) * 1000000)::bigint from attempts order by 1")
            .fetch_all(&mut lab.database().await)
            .await
            .unwrap();
    began.sort_unstable();
    let w = |from: usize| began[from..].iter().take_while(|moment| **moment < began[from] + 1_000_000).count();
    let worst = (0..began.len()).max_by_key(|f| w(*f)).unwrap();
    let gaps: Vec<i64> = began[worst..worst + w(worst)].windows(2).map(|p| (p[1] - p[0]) / 1000).collect();
    eprintln!("by senders: most {} gaps {gaps:?}", w(worst));
    let worst = (0..at.len()).max_by_key(|f| within_a_second(*f)).unwrap();
    let gaps: Vec<i64> = at[worst..worst + within_a_second(worst)].windows(2).map(|p| (p[1] - p[0]) / 1000).collect();
    eprintln!("by receiver: gaps {gaps:?}");
    let seconds = (at[at.len() - 1] - at[0]) as f64 / 1e6;
    let average = (at.len() - 1) as f64 / seconds;
    eprintln!("at most {most} in any second, {average:.1} a second on average, {} in all, CPU {worked:?}", at.len());
    assert!(most <= RATE + 2, "{most} arrived within one second, and {RATE} are allowed");
    assert!(average >= 45.0, "only {average:.1} a second on average");
    lab.stop().await;
}

/// When each was accepted, by the receiver's clock, in microseconds.
async fn arrivals(lab: &Lab, endpoint: &Endpoint) -> Vec<i64> {
    let arrivals = lab.simulator().all_arrivals(endpoint.endpoint_id, ANSWER).await.unwrap();
    arrivals.iter().map(|arrival| arrival.first_at.unix_micros()).collect()
}

/// Restate sends what begins to the deployment that was registered last, so each consumer has work in turn.
async fn in_turns(lab: &Lab) {
    let client = chassis::client::build(chassis::client::Limits::default()).unwrap();
    let deployments = lab.url(Door::RestateAdmin).join("/deployments").unwrap();
    let mut urls = Vec::new();
    for consumer in CONSUMERS {
        urls.push(advertised(lab.stack.pid(consumer).await.unwrap()));
    }
    for url in urls.iter().cycle() {
        let request = client.post(deployments.clone()).json(&json!({"uri": url, "force": true}));
        let status = request.send().await.unwrap().status();
        assert!(status.is_success(), "{url} could not be registered: {status}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Where Restate reaches a consumer: of its command line.
fn advertised(pid: u32) -> String {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let mut words = line.split('\0').skip_while(|word| *word != "--advertised-url");
    words.nth(1).unwrap().to_owned()
}

/// The CPU time of each consumer, in the system's ticks.
async fn ticks_of_all(lab: &Lab) -> Vec<u64> {
    let mut all = Vec::new();
    for consumer in CONSUMERS {
        let pid = lab.stack.pid(consumer).await.unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        all.push(fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap());
    }
    all
}
