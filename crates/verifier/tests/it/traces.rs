//! `traces` and `trace`: the spans of a file, held against the ledger that the portal shows, and drawn.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Output;
use std::time::Duration;

use serde_json::json;

use crate::Folder;
use crate::cli::{json, said, verifier, words};
use crate::example::{Event, Made, lines};
use crate::fake::{Fake, Faults, Lab};

/// One with a retry and two endpoints, one that psql has made, one that has reached nobody yet.
fn run() -> Vec<Event> {
    let retried = [(6_800, "status", Some(500)), (5_007_000, "delivered", Some(200))];
    let mut by_psql = Event::new(2).to(&[(7_000, "delivered", Some(200))]);
    by_psql.traceparent = None;
    let waiting = Event::new(3).to(&[(7_000, "connect_refused", None)]);
    vec![Event::new(1).to(&retried).to(&[(6_900, "delivered", Some(204))]), by_psql, waiting]
}

fn spans() -> Vec<Made> {
    run().iter().zip(0..).flat_map(|(event, n)| event.spans(n * 1_000_000)).collect()
}

/// Puts the run on the fake's ledger.
fn enter(fake: &mut Fake) {
    for event in run() {
        let mut deliveries = Vec::new();
        for delivery in &event.deliveries {
            let log = delivery.attempts.iter().enumerate().map(|(n, attempt)| {
                json!({"attempt_id": attempt.attempt_id, "number": n + 1, "outcome": attempt.outcome, "status": attempt.status, "detail": null})
            });
            fake.attempts.insert(delivery.delivery_id.to_string(), log.rev().collect());
            let is_delivered = delivery.attempts.iter().any(|attempt| attempt.outcome == "delivered");
            deliveries.push(json!({
                "delivery_id": delivery.delivery_id, "endpoint_id": delivery.endpoint_id,
                "state": if is_delivered { "delivered" } else { "pending" }, "attempts": delivery.attempts.len(),
                "attempting_since": null, "accepted_at": null,
            }));
        }
        let shown = json!({
            "event_id": event.event_id, "event_type": event.event_type, "object_type": "payment",
            "object_id": event.payment_id, "object_version": 1, "merchant_id": event.merchant_id,
            "fan_out": deliveries.len(), "traceparent": event.traceparent.map(|traceparent| traceparent.to_string()),
            "deliveries": {"items": deliveries, "next_cursor": null},
        });
        fake.events.insert(event.event_id.to_string(), shown);
    }
}

async fn judged(lab: &Lab, folder: &Folder, more: &str) -> Output {
    let (spans, token) = (folder.file("spans.jsonl"), folder.file("operator-token"));
    let (spans, token, portal) = (spans.display(), token.display(), lab.url("portal"));
    verifier(words(&format!("traces --spans {spans} --portal-url {portal} --operator-token-file {token} {more}"))).await
}

#[tokio::test]
async fn a_run_with_all_its_spans_exits_0() {
    let (lab, folder) = (Lab::start(Faults::default()).await, Folder::new("traces-good"));
    enter(&mut lab.fake.lock().unwrap());
    std::fs::write(folder.file("spans.jsonl"), lines(&spans())).unwrap();
    let good = judged(&lab, &folder, "--json").await;
    assert_eq!(good.status.code(), Some(0), "{}", said(&good));
    let judgement = json(&good);
    assert_eq!(
        (&judgement["events"], &judgement["attempts"], &judgement["is_well"]),
        (&2.into(), &4.into(), &true.into())
    );
}

#[tokio::test]
async fn a_hop_that_is_missing_exits_1_and_is_named() {
    let (lab, folder) = (Lab::start(Faults::default()).await, Folder::new("traces-missing"));
    enter(&mut lab.fake.lock().unwrap());
    let mut made = spans();
    made.retain(|span| span.name != "payload.read");
    let text = lines(&made);
    // The writer was killed.
    std::fs::write(folder.file("spans.jsonl"), format!("{text}{}", &text[..99])).unwrap();
    let bad = judged(&lab, &folder, "--wait 100ms").await;
    assert_eq!(bad.status.code(), Some(1), "{}", said(&bad));
    insta::assert_snapshot!("traces_without_a_hop", String::from_utf8_lossy(&bad.stdout));
    let as_json = json(&judged(&lab, &folder, "--wait 100ms --json").await);
    assert_eq!(as_json["faulty"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_comes_during_the_wait_is_not_missing() {
    let (lab, folder) = (Lab::start(Faults::default()).await, Folder::new("traces-waited"));
    enter(&mut lab.fake.lock().unwrap());
    let text = lines(&spans());
    let (first, last) = text.split_at(text.len() / 2);
    std::fs::write(folder.file("spans.jsonl"), first).unwrap();
    let (path, last) = (folder.file("spans.jsonl"), last.to_owned());
    lab.lifecycle.spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        OpenOptions::new().append(true).open(path).unwrap().write_all(last.as_bytes()).unwrap();
    });
    let good = judged(&lab, &folder, "--wait 60s").await;
    assert_eq!(good.status.code(), Some(0), "{}", String::from_utf8_lossy(&good.stdout));
}

#[tokio::test]
async fn nothing_delivered_exits_1_and_a_file_that_is_not_there_exits_2() {
    let (lab, folder) = (Lab::start(Faults::default()).await, Folder::new("traces-nothing"));
    std::fs::write(folder.file("spans.jsonl"), lines(&spans())).unwrap();
    let nothing = judged(&lab, &folder, "").await;
    assert_eq!(nothing.status.code(), Some(1), "{}", said(&nothing));
    assert!(String::from_utf8_lossy(&nothing.stdout).contains("nothing to check"));
    std::fs::remove_file(folder.file("spans.jsonl")).unwrap();
    let absent = judged(&lab, &folder, "").await;
    assert_eq!(absent.status.code(), Some(2));
    assert!(said(&absent).starts_with("verifier: can't read the spans in "), "{}", said(&absent));
}

#[tokio::test]
async fn a_trace_is_drawn_as_text_json_or_svg_and_an_id_that_is_none_says_what_to_write() {
    let folder = Folder::new("trace");
    std::fs::write(folder.file("spans.jsonl"), lines(&spans())).unwrap();
    let event_id = run()[0].event_id;
    let trace = async |more: &str| {
        let spans = folder.file("spans.jsonl");
        verifier(words(&format!("trace {more} --spans {}", spans.display()))).await
    };
    let text = trace(&event_id.to_string()).await;
    assert_eq!(text.status.code(), Some(0), "{}", said(&text));
    insta::assert_snapshot!("trace_as_text", String::from_utf8_lossy(&text.stdout));
    assert_eq!(
        json(&trace(&format!("{event_id} --json")).await)["traces"][0]["events"][0]["event_id"],
        json!(event_id)
    );
    let svg = trace(&format!("{event_id} --svg")).await;
    assert!(svg.stdout.starts_with(b"<svg ") && svg.stdout.ends_with(b"</svg>\n"));
    let none = trace("dlv_1").await;
    assert_eq!(none.status.code(), Some(2));
    assert!(said(&none).contains("write a payment's (pay_…), an event's (evt_…) or a trace's"), "{}", said(&none));
    let unknown = trace("evt_019a0b1c2d3e7f00a1b2c3d4e5f60718").await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(said(&unknown).starts_with("verifier: no span names evt_"), "{}", said(&unknown));
}
