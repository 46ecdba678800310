//! A real Prometheus reads our services and docs/alerts.yml while one thing after the other goes wrong: each alert's
//! expression becomes true for that, and none is true before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;
use stack::doors::Doors;
use stack::spans::{COLLECTOR, METRICS};
use verifier::account::Endpoint;

use super::*;

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/alerts.yml");

/// Seconds instead of minutes.
const SOON: [(&str, &str); 4] = [
    ("EVERHOOK_OBSERVE_EVERY", "1s"),
    ("EVERHOOK_AUDIT_AFTER", "5s"),
    ("EVERHOOK_OTLP_METRICS_EVERY", "2s"),
    ("EVERHOOK_OVERTAKEN_AFTER", "10s"),
];

/// What each of our services says of itself, at least.
const OF_EACH: [(&str, &str); 6] = [
    ("cdc-relay", "cdc.capture"),
    ("data-service", "everhook.events.unrouted"),
    ("webhook-consumer", "everhook.delivery.commit_to_arrival"),
    ("payments-api", "everhook.spans.sent"),
    ("portal", "everhook.spans.sent"),
    ("merchant-simulator", "everhook.spans.sent"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_alert_becomes_true_when_what_it_is_for_happens_and_not_before() {
    let mut lab = Lab::start_with(&SOON, Tracing::Here).await;
    let prometheus = Prometheus::start(&lab).await;
    let names = prometheus.names().await;
    assert_eq!(names.len(), 16, "{names:?}");
    let mut seen = BTreeSet::new();

    // Well.
    lab.pay(25).await;
    assert_eq!(lab.verdict(LONG).await.delivered, 50);
    prometheus.all_quiet().await;
    prometheus.says("sum(everhook_delivery_attempts_total{outcome=\"delivered\"})", 50.0).await;
    prometheus.says("sum(everhook_delivery_commit_to_arrival_seconds_count{attempt=\"first\"})", 50.0).await;
    prometheus.says("sum(everhook_audited_deliveries_total{state=\"delivered\"})", 50.0).await;
    prometheus.says("sum(everhook_audited_events_total{fate=\"fanned_out\"})", 50.0).await;
    for quiet in [
        "sum(everhook_deliveries)",
        "max(everhook_events_unrouted)",
        "max(everhook_subscription_lag)",
        "sum(everhook_ledger_differences)",
        "max(everhook_retries_waiting)",
        "max(everhook_slot_behind_seconds)",
    ] {
        prometheus.says(quiet, 0.0).await;
    }

    // An endpoint that takes nothing, one that is slow and whose invocation somebody pauses, a record that names nothing, a
    // service that is gone, and a collector that stands still.
    let collector = lab.stack.freeze(COLLECTOR).await.unwrap();
    let failing = lab.endpoint(json!({"mood": "failing", "rate": 1.0}), 60).await;
    let slow = lab.endpoint(json!({"mood": "slow", "delay_ms": 10_000}), 1).await;
    let paused = lab.pause_one().await;
    lab.produce(b"this is not JSON").await;
    lab.stack.stop("portal").await.unwrap();
    let now = ["AttemptsFailing", "CircuitOpen", "InvocationsPaused", "RecordsParked", "ServiceDown"];
    prometheus.all_true(&now, &mut seen).await;
    prometheus.above("max(everhook_retries_waiting)", 0.0).await;
    prometheus.above("sum(everhook_deliveries{state=\"pending\"})", 0.0).await;
    lab.stack.start("portal").await.unwrap();
    for endpoint in [failing, slow] {
        lab.is_well(&endpoint).await;
    }

    // Restate stands still, while retries are soon due, and then cdc-relay.
    let retried = lab.endpoint(json!({"mood": "failing", "rate": 1.0}), 3).await;
    lab.has_had(&retried, 3).await;
    let restate = lab.stack.freeze("restate").await.unwrap();
    lab.pay(5).await;
    lab.all_in_kafka().await;
    let relay = lab.stack.freeze("cdc-relay").await.unwrap();
    lab.pay(5).await;
    let now = [
        "DeliveriesOverdue",
        "EventsUnrouted",
        "LedgerDifference",
        "SlotBehind",
        "SpansDropped",
        "SubscriptionBehind",
        "Unseen",
    ];
    prometheus.all_true(&now, &mut seen).await;
    prometheus.above("max(everhook_events_unrouted)", 9.0).await;
    prometheus.above("max(everhook_subscription_lag)", 9.0).await;
    prometheus.above("max(everhook_slot_lag_bytes)", 0.0).await;

    // The relay dies, and PostgreSQL gives its slot up.
    drop(relay);
    lab.stack.kill9("cdc-relay").await.unwrap();
    lab.pay(5).await;
    prometheus.all_true(&["SlotUnread"], &mut seen).await;
    lab.keep_little_log().await;
    lab.lose_slot().await;
    prometheus.all_true(&["SlotNearlyLost"], &mut seen).await;

    // All comes back: what was late arrives, and is late.
    lab.is_well(&retried).await;
    drop((restate, collector));
    lab.stack.start("cdc-relay").await.unwrap();
    lab.resume(&paused).await;
    lab.pay(5).await;
    prometheus.all_true(&["CaptureGap", "ArrivalsLate"], &mut seen).await;
    let began = Instant::now();
    assert_eq!(lab.verdict(LONG).await.lost, 0);
    eprintln!("all has arrived after {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(seen, names, "each has been seen to be true");
    let healed = [
        "DeliveriesOverdue",
        "EventsUnrouted",
        "InvocationsPaused",
        "LedgerDifference",
        "ServiceDown",
        "SlotBehind",
        "SlotUnread",
        "SubscriptionBehind",
        "Unseen",
    ];
    prometheus.quiet(&healed).await;

    let sent = std::fs::read_to_string(lab.stack.folder().logs().join(METRICS)).unwrap();
    let sent = by_service(&sent);
    for (service, metric) in OF_EACH {
        assert!(sent.get(service).is_some_and(|all| all.contains(metric)), "{service} has not sent {metric}: {sent:?}");
    }
    drop(prometheus);
    lab.stop().await;
}

impl Lab {
    /// A merchant's endpoint in this mood, and so many payments for it.
    async fn endpoint(&self, mood: Value, payments: u64) -> Endpoint {
        let ready = self.set_up_for(1, Until::Payments(payments), Pace::Closed { concurrency: 8 }, 0).await;
        let endpoint = ready.endpoints[0].clone();
        let portal = Doors::of(&self.stack).unwrap().portal().unwrap();
        portal
            .change_endpoint(endpoint.endpoint_id, &json!({"schedule": ["0s", "5s", "5s", "5s"]}), ANSWER)
            .await
            .unwrap();
        self.simulator().put_mood(endpoint.endpoint_id, &mood, ANSWER).await.unwrap();
        drive(&ready, &Lifecycle::default()).await;
        endpoint
    }

    async fn is_well(&self, endpoint: &Endpoint) {
        self.simulator().put_mood(endpoint.endpoint_id, &json!({"mood": "well"}), ANSWER).await.unwrap();
    }

    async fn has_had(&self, endpoint: &Endpoint, requests: u64) {
        let (simulator, endpoint) = (self.simulator(), HashSet::from([endpoint.endpoint_id]));
        until("requests", LONG, || async {
            let had = simulator.requests(&endpoint, ANSWER).await.unwrap();
            (had >= requests, had)
        })
        .await;
    }

    async fn produce(&self, value: &[u8]) {
        let brokers = format!("127.0.0.1:{}", self.stack.ports().of(Door::Kafka));
        let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        let record = FutureRecord::to(TOPIC).key(b"key".as_slice()).payload(value);
        producer.send(record, Duration::from_secs(10)).await.map_err(|(error, _)| error).unwrap();
    }

    /// Pauses an invocation that is running; answers its id.
    async fn pause_one(&self) -> String {
        let running = "select id from sys_invocation where status = 'running'";
        until("an invocation to run", LONG, || async {
            let running = self.restate(Method::POST, "/query", Some(json!({"query": running}))).await;
            (running["rows"][0].is_object(), running)
        })
        .await;
        let running = self.restate(Method::POST, "/query", Some(json!({"query": running}))).await;
        let id = running["rows"][0]["id"].as_str().unwrap().to_owned();
        self.restate(Method::PATCH, &format!("/invocations/{id}/pause"), None).await;
        id
    }

    async fn resume(&self, invocation_id: &str) {
        self.restate(Method::PATCH, &format!("/invocations/{invocation_id}/resume"), None).await;
    }
}

/// The names of the metrics that each service has sent.
fn by_service(lines: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for line in lines.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        for of_service in list(&request["resourceMetrics"]) {
            let attributes = list(&of_service["resource"]["attributes"]);
            let name = attributes.iter().find(|attribute| attribute["key"] == "service.name").unwrap();
            let of_service = list(&of_service["scopeMetrics"]);
            let metrics = of_service.iter().flat_map(|scope| list(&scope["metrics"]));
            let names = metrics.map(|metric| metric["name"].as_str().unwrap().to_owned());
            all.entry(name["value"]["stringValue"].as_str().unwrap().to_owned()).or_default().extend(names);
        }
    }
    all
}

/// A Prometheus of the test's own.
struct Prometheus {
    child: Child,
    url: Url,
    client: reqwest::Client,
}

impl Prometheus {
    /// It looks every second.
    async fn start(lab: &Lab) -> Self {
        let doors = [
            Door::PaymentsApi,
            Door::DataService,
            Door::Portal,
            Door::MerchantSimulator,
            Door::CdcRelay,
            Door::WebhookConsumerMetrics,
        ];
        let targets = doors.map(|door| format!("127.0.0.1:{}", lab.stack.ports().of(door)));
        // JSON is YAML.
        let configuration = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [Path::new(RULES).canonicalize().unwrap()],
            "scrape_configs": [{"job_name": "everhook", "static_configs": [{"targets": targets}]}],
        });
        let file = lab.stack.folder().of("prometheus.yml");
        std::fs::write(&file, configuration.to_string()).unwrap();
        let program = std::env::var_os("EVERHOOK_PROMETHEUS").unwrap_or_else(|| "prometheus".into());
        let listen = format!("127.0.0.1:{}", stack::ports::free_port().unwrap());
        let log = std::fs::File::create(lab.stack.folder().log("prometheus")).unwrap();
        let child = Command::new(&program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", lab.stack.folder().of("prometheus").display()))
            .arg(format!("--web.listen-address={listen}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}; scripts/run-tests.sh e2e gets it, or name one with EVERHOOK_PROMETHEUS",
                    program.display()
                )
            });
        let client = chassis::client::build(chassis::client::Limits::default()).unwrap();
        let prometheus = Self { child, url: format!("http://{listen}").parse().unwrap(), client };
        until("Prometheus to be ready", LONG, || async {
            let ready = prometheus.client.get(prometheus.url.join("-/ready").unwrap()).send().await;
            (ready.as_ref().is_ok_and(|ready| ready.status().is_success()), ready.map(|ready| ready.status()))
        })
        .await;
        prometheus
    }

    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let mut url = self.url.join(path).unwrap();
        url.query_pairs_mut().extend_pairs(query);
        let answer: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["status"], "success", "{path} {query:?}: {answer}");
        answer["data"].clone()
    }

    /// The state of each alert, by its name without our own: `inactive`, or its expression is true.
    async fn states(&self) -> BTreeMap<String, String> {
        let rules = self.ask("api/v1/rules", &[]).await;
        let rules = rules["groups"][0]["rules"].as_array().unwrap().clone();
        let state = |rule: &Value| {
            let name = rule["name"].as_str().unwrap().strip_prefix("Everhook").unwrap();
            // None has been evaluated at the start.
            let state = match rule["health"].as_str().unwrap() {
                "ok" => rule["state"].as_str().unwrap(),
                health => health,
            };
            (name.to_owned(), state.to_owned())
        };
        rules.iter().map(state).collect()
    }

    async fn names(&self) -> BTreeSet<String> {
        self.states().await.into_keys().collect()
    }

    async fn all_quiet(&self) {
        let names = self.names().await;
        self.quiet(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }

    async fn quiet(&self, names: &[&str]) {
        let began = Instant::now();
        until(&format!("{names:?} to be inactive"), LONG, || async {
            let mut states = self.states().await;
            states.retain(|name, state| names.contains(&name.as_str()) && state != "inactive");
            (states.is_empty(), states)
        })
        .await;
        eprintln!("{names:?} are inactive after {:.1} s", began.elapsed().as_secs_f64());
    }

    /// Each has become true, be it only for a moment, and not all at the same time.
    async fn all_true(&self, names: &[&str], seen: &mut BTreeSet<String>) {
        let began = Instant::now();
        let states = std::sync::Mutex::new(seen);
        until(&format!("{names:?} to become true"), LONG, || async {
            let now = self.states().await.into_iter().filter(|(_, state)| state == "pending" || state == "firing");
            let mut seen = states.lock().unwrap();
            seen.extend(now.map(|(name, _)| name));
            let missing: Vec<&str> = names.iter().copied().filter(|name| !seen.contains(*name)).collect();
            (missing.is_empty(), missing)
        })
        .await;
        eprintln!("{names:?} are true after {:.1} s", began.elapsed().as_secs_f64());
    }

    async fn value(&self, expression: &str) -> Option<f64> {
        let answer = self.ask("api/v1/query", &[("query", expression)]).await;
        answer["result"][0]["value"][1].as_str().map(|text| text.parse().unwrap())
    }

    async fn says(&self, expression: &str, expected: f64) {
        until(&format!("{expression} to be {expected}"), LONG, || async {
            let value = self.value(expression).await;
            (value == Some(expected), value)
        })
        .await;
    }

    async fn above(&self, expression: &str, bound: f64) {
        until(&format!("{expression} to be above {bound}"), LONG, || async {
            let value = self.value(expression).await;
            (value.is_some_and(|value| value > bound), value)
        })
        .await;
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
