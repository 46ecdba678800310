//! One trace from the request to the merchant's answer, also where attempts fail and the process that makes them is killed.

use std::collections::BTreeSet;
use std::path::Path;

use stack::doors::Doors;
use stack::spans::{COLLECTOR, SPANS};
use verifier::spans::{self, Spans};
use verifier::traces::{self, Watch, gather};

use super::*;

/// Every hop that each event here has.
const HOPS: [&str; 9] = [
    "payments.create",
    "payments.commit",
    "cdc.capture",
    "kafka.stay",
    "event.route",
    "delivery.attempt",
    "payload.read",
    "webhook.post",
    "webhook.receive",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_hop_of_what_was_delivered_has_its_span_and_one_that_lacks_is_named() {
    let logs = [("EVERHOOK_LOG", "info,webhook_consumer=debug"), ("EVERHOOK_LOG_FORMAT", "json")];
    let mut lab = Lab::start_with(&logs, Tracing::Here).await;
    let began = verifier::now();
    let options = lab.options(Until::Payments(500), Pace::Open { rate: 100.0, most: 256 }, 0);
    let ready = set_up(Options { endpoints_per_merchant: 2, ..options }).await.unwrap();
    let endpoints: HashSet<_> = ready.endpoints.iter().map(|e| e.endpoint_id).collect();
    let (simulator, portal) = (lab.simulator(), Doors::of(&lab.stack).unwrap().portal().unwrap());
    let soon = serde_json::json!({"schedule": ["0s", "2s", "2s", "2s", "2s", "2s", "2s", "2s"]});
    for endpoint in &endpoints {
        portal.change_endpoint(*endpoint, &soon, ANSWER).await.unwrap();
        let failing = serde_json::json!({"mood": "failing", "rate": 0.1});
        simulator.put_mood(*endpoint, &failing, ANSWER).await.unwrap();
    }
    let lifecycle = Lifecycle::default();
    let kill_in_the_middle = async {
        until("half of the webhooks to arrive", LONG, || async {
            let requests = simulator.requests(&endpoints, ANSWER).await.unwrap();
            (requests >= 500, requests)
        })
        .await;
        lab.stack.kill9("webhook-consumer").await.unwrap();
        lab.stack.start("webhook-consumer").await.unwrap();
    };
    tokio::join!(drive(&ready, &lifecycle), kill_in_the_middle);
    let verdict = lab.verdict(LONG).await;
    assert_eq!((verdict.delivered, verdict.lost), (1_000, 0));

    let file = lab.stack.folder().logs().join(SPANS);
    let (from, to) = (began, verifier::now());
    let watch = Watch { files: vec![file.clone()], from, to, wait: Duration::from_secs(60), within: ANSWER };
    let judgement = watch.judge(&portal, traces::Options::default(), &ProgressBar::hidden()).await.unwrap();
    if !judgement.is_well {
        panic!("{judgement}\nthe spans are in {}", lab.scratch.keep_logs().join(SPANS).display());
    }
    assert_eq!(judgement.events, 500);
    // Each of the thousand deliveries, and one in nine once more.
    assert!(judgement.attempts > 1_050, "{judgement}");

    let logged = logged(&lab.stack.folder().log("webhook-consumer"));
    let all = Spans::read([&file]).unwrap();
    let traces: BTreeSet<(String, String)> = all
        .iter()
        .filter(|span| span.name == "webhook.post")
        .map(|span| match &span.attributes["event.id"] {
            spans::Value::Text(event_id) => (format!("{:032x}", span.trace_id), event_id.clone()),
            other => panic!("an event's id is {other:?}"),
        })
        .collect();
    assert_eq!(traces.len(), 500);
    assert_eq!(logged, traces, "the log says the trace of each event that was attempted");

    let ledger = gather(&portal, from, to, ANSWER, &ProgressBar::hidden()).await.unwrap();
    for hop in HOPS {
        let others: Spans = all.iter().filter(|span| span.name != hop).cloned().collect();
        let judgement = traces::judge(&others, &ledger, traces::Options::default());
        assert_eq!(judgement.missing(), BTreeSet::from([hop]), "without {hop}");
        assert_eq!(judgement.faulty.len(), 500, "without {hop}");
    }
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_stands_still_or_is_gone_costs_no_delivery() {
    let mut lab = Lab::start_with(&[], Tracing::Here).await;
    let ready = lab.set_up(Until::Payments(300), Pace::Open { rate: 100.0, most: 256 }, 0).await;
    let frozen = lab.stack.freeze(COLLECTOR).await.unwrap();
    drive(&ready, &Lifecycle::default()).await;
    drop(ready);
    assert_eq!(lab.verdict(LONG).await.delivered, 300);
    drop(frozen);
    lab.stack.kill9(COLLECTOR).await.unwrap();
    let ready = lab.set_up(Until::Payments(300), Pace::Open { rate: 100.0, most: 256 }, 0).await;
    drive(&ready, &Lifecycle::default()).await;
    assert_eq!(lab.verdict(LONG).await.delivered, 600);
    lab.stop().await;
}

/// The trace and the event of each attempt that the log tells of.
fn logged(log: &Path) -> BTreeSet<(String, String)> {
    let log = std::fs::read_to_string(log).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}")));
    let ended = lines.filter(|line| line["message"] == "an attempt has ended");
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    ended.map(|line| (word(&line["span"]["trace_id"]), word(&line["span"]["event.id"]))).collect()
}
