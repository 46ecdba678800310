//! A report made by hand, as words and as a page.

use std::time::Duration;

use verifier::account::Account;
use verifier::latency::Spread;
use verifier::verdict::{Repeated, Seen, judge};

use super::*;
use crate::chaos::plan::Fault;

fn at(ms: u64) -> verifier::Timestamp {
    let start: verifier::Timestamp = "2026-11-26T04:00:00Z".parse().unwrap();
    start.after(Duration::from_millis(ms))
}

fn struck(line: &str, outcome: Outcome) -> Struck {
    let fault: Fault = line.parse().unwrap();
    let (began_at, ended_at) = (at(fault.at_ms), at(fault.at_ms + fault.for_ms));
    Struck { fault, began_at, ended_at, outcome }
}

fn repeated(n: u32, cause: Cause) -> Repeated {
    let (endpoint_id, webhook_id) = (format!("ep_{n:032x}").parse().unwrap(), format!("evt_{n:032x}"));
    Repeated { endpoint_id, webhook_id, first_at: at(1_000), repeats: vec![at(2_500)], causes: vec![cause] }
}

fn report() -> Report {
    let struck = vec![
        struck("at 3 s kill webhook-consumer for 1.5 s", Outcome::Done),
        struck("at 8 s freeze postgres for 4 s", Outcome::Done),
        struck("at 9 s slow restate>kafka for 2 s late 100 ms most 8000 bytes/s beside", Outcome::Done),
        struck(
            "at 14 s point post.before_record for 20 s",
            Outcome::Hit { process: Some("webhook-consumer-2".to_owned()) },
        ),
        struck("at 15 s point claim.before_send for 20 s", Outcome::NotHit),
        struck(
            "at 40 s kill kafka for 1 s",
            Outcome::NotReady { problem: "kafka was not ready within 90 s".to_owned() },
        ),
    ];
    let faults = struck.iter().map(|struck| struck.fault.clone()).collect();
    let mut verdict = judge(&Account::default(), &Seen::default(), Duration::from_secs(30));
    (verdict.balanced, verdict.acknowledged, verdict.expected, verdict.delivered) = (true, 900, 2_100, 2_100);
    (verdict.superseded, verdict.repeated, verdict.unexplained) = (600, 3, Some(1));
    let unknown = || Cause::Attempt { number: 1, outcome: "unknown".to_owned() };
    let fault = Cause::Fault { what: "freeze postgres".to_owned() };
    verdict.lists.repeated = vec![repeated(1, unknown()), repeated(2, fault), repeated(3, Cause::Unexplained)];
    let machine = Setting {
        began_at: "2026-11-26T04:00:00.000000Z".to_owned(),
        cores: 2,
        cpu: "a processor".to_owned(),
        memory_mib: 24_105,
        kernel: "Linux 6.1".to_owned(),
        commit: Some("0123456789".to_owned()),
        debug_build: true,
        versions: vec!["postgres (PostgreSQL) 18.4".to_owned(), "Apache Kafka 4.4.0".to_owned()],
    };
    let load = Summary {
        run: "r".to_owned(),
        payments: 150,
        acknowledged: 900,
        refused: 0,
        first_refusal: None,
        unknown: 0,
        last_silence: None,
        seconds: 60.0,
        per_second: 15.0,
        api_latency: Spread::of(vec![10_000, 20_000]),
    };
    let ledger = serde_json::from_value(serde_json::json!({
        "from": "2026-11-26T04:00:00Z", "to": "2026-11-26T04:02:00Z", "committed": 900, "unrouted": 0, "filtered": 0,
        "fanned_out": 900, "deliveries": 2700, "delivered": 2100, "pending": 0, "held": 0, "parked": 0, "exhausted": 0,
        "superseded": 600, "parked_records": 0, "difference": [],
    }));
    let plan = Plan { seed: 7, duration_ms: 60_000, rate: 20.0, faults };
    Report::new(machine, plan, struck, Vec::new(), load, verdict, ledger.unwrap())
}

#[test]
fn the_report_is_told_in_words_and_as_a_page() {
    let report = report();
    assert!(!report.well, "one repeat has no reason");
    insta::assert_snapshot!("words", report.to_string());
    insta::assert_snapshot!("page", report.page().to_string());
}

#[test]
fn all_is_well_only_without_deaths_and_unexplained_repeats() {
    let with = |unexplained, deaths: Vec<Death>| {
        let Report { machine, plan, struck, load, mut verdict, ledger, .. } = report();
        verdict.unexplained = Some(unexplained);
        Report::new(machine, plan, struck, deaths, load, verdict, ledger).well
    };
    let death =
        Death { process: "kafka".to_owned(), at: at(1), ended_at: at(2), how: "ended with status 1".to_owned() };
    assert!(with(0, vec![]) && !with(1, vec![]) && !with(0, vec![death]));
}

#[test]
fn the_page_names_what_was_not_ready_and_what_died_also_when_nothing_was_repeated() {
    let Report { machine, plan, struck, load, mut verdict, ledger, .. } = report();
    verdict.lists.repeated.clear();
    let death = Death { process: "kafka".to_owned(), at: at(1), ended_at: at(2), how: "ended".to_owned() };
    let page = Report::new(machine, plan, struck, vec![death], load, verdict, ledger).page().to_string();
    let (_, beside) = page.split_once("## Repeats\n\nNone.\n\n## Beside the plan\n").unwrap();
    let (beside, _) = beside.split_once("## The plan").unwrap();
    assert!(beside.contains("kafka was not ready within 90 s") && beside.contains("nobody struck it"), "{beside}");
}

#[test]
fn a_report_in_json_can_be_played_again() {
    let report = report();
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(Plan::read(&json), Ok(report.plan));
}
