//! Every service is stopped with SIGTERM under load and followed by another process: nobody notices.

use chassis::client::{self, Limits};
use serde_json::json;
use stack::process::Stopped;

use super::rate_limit::advertised;
use super::*;

/// In turn, and twice each.
const SERVICES: [&str; 5] = ["payments-api", "data-service", "cdc-relay", "webhook-consumer", "portal"];
/// Far less than a busy machine takes: above that the API refuses some, and rightly.
const RATE: f64 = 20.0;
/// A POST is under way whenever something is stopped.
const SLOW_MS: u64 = 1_500;
/// A request waits for a process that starts on a busy machine, and is not sent again.
const ONE_TRY: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_and_no_post_is_repeated_while_each_service_is_replaced_twice() {
    // The sweep must not cover for anybody.
    let mut lab = Lab::start(&[("EVERHOOK_UNROUTED_AFTER", "1h"), ("EVERHOOK_OVERTAKEN_AFTER", "1h")]).await;
    let options = Options { one_try: ONE_TRY, ..lab.options(Until::Stopped, Pace::Open { rate: RATE, most: 500 }, 1) };
    let ready = set_up(options).await.unwrap();
    let slow = ready.endpoints[0].endpoint_id;
    lab.simulator().put_mood(slow, &json!({"mood": "slow", "delay_ms": SLOW_MS}), ANSWER).await.unwrap();
    let lifecycle = Lifecycle::default();
    let changes = async {
        for service in SERVICES.iter().chain(&SERVICES) {
            let delivered = lab.count("select count(*) from deliveries where state = 'delivered'").await;
            until("the load goes on", ANSWER, || async {
                let now = lab.count("select count(*) from deliveries where state = 'delivered'").await;
                (now >= delivered + 50, now - delivered)
            })
            .await;
            replace(&lab, service).await;
        }
        lifecycle.stop();
    };
    let (summary, pages, ()) = tokio::join!(drive(&ready, &lifecycle), look_at_the_portal(&lab, &lifecycle), changes);
    eprintln!("{summary}; {pages} answers of the portal");

    let verdict = lab.verdict(Duration::from_secs(120)).await;
    assert_eq!((verdict.lost, verdict.acknowledged as u64), (0, summary.acknowledged));
    if verdict.repeated > 0 {
        panic!("{:#?}\nthe logs are in {}", verdict.lists.repeated, lab.scratch.keep_logs().display());
    }
    let account = Account::read(&lab.account_file()).unwrap();
    let asked_again = account.acknowledged.iter().filter(|done| done.tries > 1).count();
    assert_eq!(asked_again, 0, "requests that failed and were sent again");
    let unknown = lab.count("select count(*) from attempts where outcome = 'unknown'").await;
    assert_eq!(unknown, 0, "attempts that were begun and never recorded");
    let by_the_sweep = lab.count(BY_THE_SWEEP).await;
    assert_eq!(by_the_sweep, 0, "events that Kafka never had");
    let records: i64 = lab.positions().await.iter().map(|(end, _)| end).sum();
    assert_eq!(records, lab.count(COMMITTED).await, "the relay sent none twice");
    let log = std::fs::read_to_string(lab.stack.folder().log("webhook-consumer")).unwrap();
    let unanswered: Vec<&str> = log.lines().filter(|line| line.contains("data-service gave no answer")).collect();
    assert!(unanswered.is_empty(), "{unanswered:#?}");
    lab.stop().await;
}

/// Work waits in Restate's timers, and POSTs are under way, when a new version is registered at another URL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_goes_on_with_the_new_deployment_and_what_is_under_way_ends_with_the_old() {
    const PAYMENTS: i64 = 100;
    const WAITING: &str =
        "select count(*) from deliveries where state = 'pending' and attempts = 1 and begun_at is null
        and due_at > clock_timestamp()";
    const UNDER_WAY: &str = "select count(*) from deliveries where begun_at is not null";
    let mut lab = Lab::start(&[("EVERHOOK_CIRCUIT_OPENS_AFTER", "0"), ("EVERHOOK_OVERDUE_AFTER", "1h")]).await;
    // Stands by, and gets nothing before it is registered: its start takes none of the time in which POSTs are under way.
    lab.stack.start("webhook-consumer-2").await.unwrap();
    let new = advertised(lab.stack.pid("webhook-consumer-2").await.unwrap());
    let ready = lab.set_up(Until::Payments(PAYMENTS as u64), Pace::Closed { concurrency: 16 }, 0).await;
    let simulator = lab.simulator();
    for endpoint in &ready.endpoints {
        lab.operate(&format!("/endpoints/{}", endpoint.endpoint_id), json!({"schedule": ["0s", "60s"]})).await;
        simulator.put_mood(endpoint.endpoint_id, &json!({"mood": "failing", "rate": 1.0}), ANSWER).await.unwrap();
    }
    drive(&ready, &Lifecycle::default()).await;
    until("every first attempt to have failed", ANSWER, || async {
        let waiting = lab.count(WAITING).await;
        (waiting == PAYMENTS, waiting)
    })
    .await;
    for endpoint in &ready.endpoints {
        simulator.put_mood(endpoint.endpoint_id, &json!({"mood": "well"}), ANSWER).await.unwrap();
    }
    drop(ready);
    let under_way = lab.set_up(Until::Payments(20), Pace::Closed { concurrency: 20 }, 0).await;
    for endpoint in &under_way.endpoints {
        // Before what waits is due, and long enough for a registration on a busy machine.
        let slow = json!({"mood": "slow", "delay_ms": 25_000});
        lab.operate(&format!("/endpoints/{}", endpoint.endpoint_id), json!({"timeout": "60s"})).await;
        simulator.put_mood(endpoint.endpoint_id, &slow, ANSWER).await.unwrap();
    }
    drive(&under_way, &Lifecycle::default()).await;
    until("20 POSTs under way", ANSWER, || async {
        let begun = lab.count(UNDER_WAY).await;
        (begun >= 20, begun)
    })
    .await;

    assert_ne!(latest(&lab).await, new);
    register(&lab, &new).await;
    assert_eq!(latest(&lab).await, new);
    assert_eq!((lab.count(WAITING).await, lab.count(UNDER_WAY).await), (PAYMENTS, 20), "the new version was too late");
    // Whatever Restate still has for the old one would hang from now on.
    stop_cleanly(&lab, "webhook-consumer").await;
    let verdict = lab.verdict(Duration::from_secs(180)).await;
    assert_eq!((verdict.delivered, verdict.lost, verdict.repeated), (120, 0, 0));
    let unknown = lab.count("select count(*) from attempts where outcome = 'unknown'").await;
    assert_eq!(unknown, 0, "what was under way was finished and recorded by the old version");
    lab.stop().await;
}

/// Stops it with SIGTERM, and starts another process in its place.
async fn replace(lab: &Lab, service: &str) {
    stop_cleanly(lab, service).await;
    lab.stack.start(service).await.unwrap();
}

async fn stop_cleanly(lab: &Lab, service: &str) {
    let began = Instant::now();
    match lab.stack.stop(service).await.unwrap() {
        Stopped::Cleanly(status) if status.success() => eprintln!("{service} stopped within {:?}", began.elapsed()),
        other => panic!("{service} did not stop cleanly: {other:?}"),
    }
}

/// Asks the portal, again and again and never twice for the same; answers how often.
async fn look_at_the_portal(lab: &Lab, lifecycle: &Lifecycle) -> usize {
    let client = client::build(Limits { whole: ONE_TRY, ..Limits::default() }).unwrap();
    let token = Token::from_file(&lab.stack.secrets().file("operator-token").unwrap()).unwrap();
    let url = lab.url(Door::Portal).join("/deliveries?limit=1").unwrap();
    let mut answers = 0;
    while lifecycle.sleep(Duration::from_millis(20)).await {
        let response = client.get(url.clone()).bearer_auth(token.expose()).send().await.unwrap();
        assert!(response.status().is_success(), "{response:?}");
        answers += 1;
    }
    answers
}

/// As an operator does it: with the command.
async fn register(lab: &Lab, url: &str) {
    let mut command = std::process::Command::new(binaries().join("webhook-consumer"));
    command.args(["register", "--advertised-url", url, "--restate-admin-url", lab.url(Door::RestateAdmin).as_str()]);
    command.args(["--kafka", &format!("127.0.0.1:{}", lab.stack.ports().of(Door::Kafka))]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Where Restate sends what begins.
async fn latest(lab: &Lab) -> String {
    let service = lab.restate(Method::GET, "/services/Delivery", None).await;
    let deployment = service["deployment_id"].as_str().unwrap();
    let deployment = lab.restate(Method::GET, &format!("/deployments/{deployment}"), None).await;
    deployment["uri"].as_str().unwrap().trim_end_matches('/').to_owned()
}
