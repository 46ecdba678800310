//! Every sentence once, so that a reader sees what an operator will read.

use store::why::{Event, Routed};
use time::OffsetDateTime;

use super::*;

fn at(seconds: i64) -> OffsetDateTime {
    let noon: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    Timestamp::from_unix_micros(noon.unix_micros() + seconds * 1_000_000).unwrap().into_inner()
}

fn now() -> Timestamp {
    at(0).into()
}

fn pending_delivery() -> Delivery {
    Delivery {
        delivery_id: "dlv_1".to_owned(),
        event_id: "evt_1".to_owned(),
        endpoint_id: "ep_1".to_owned(),
        state: "pending".to_owned(),
        reason: None,
        claim: 1,
        attempts: 0,
        due_at: at(-30),
        at_gate: false,
        owner: None,
        begun_at: None,
        lease_until: None,
        ended_at: None,
        disabled_reason: None,
        is_paused: false,
    }
}

fn under_way(lease_until: i64) -> Delivery {
    Delivery {
        attempts: 1,
        owner: Some("inv_1".to_owned()),
        begun_at: Some(at(-10)),
        lease_until: Some(at(lease_until)),
        ..pending_delivery()
    }
}

fn in_state(state: &str, reason: Option<&str>) -> Delivery {
    Delivery { state: state.to_owned(), reason: reason.map(str::to_owned), ..pending_delivery() }
}

fn ended(number: i32, outcome: &str, status: Option<i16>) -> Attempt {
    Attempt {
        delivery_id: "dlv_1".to_owned(),
        number,
        began_at: at(-60),
        outcome: outcome.to_owned(),
        status,
        duration_ms: Some(12),
        detail: None,
        attempt_id: "att_1".to_owned(),
        address: None,
        next_at: None,
    }
}

fn story(routed_to: Option<&[&str]>, deliveries: Vec<Told>) -> Story {
    let routed = routed_to.map(|ids| Routed {
        from_cdc: true,
        delivery_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        committed_at: None,
        captured_at: None,
        handled_at: at(-100),
        routed_at: at(-99),
    });
    let event = Event {
        event_id: "evt_1".to_owned(),
        event_type: "payment.created".to_owned(),
        object_version: 1,
        merchant_id: "mer_1".to_owned(),
        occurred_at: at(-100),
        below_horizon: false,
        routed,
    };
    Story { event, deliveries }
}

fn told(delivery: Delivery, attempts: Vec<Attempt>) -> Told {
    Told { delivery, attempts }
}

#[test]
fn a_delivery_in_each_state_says_what_it_waits_for() {
    let failed = || vec![ended(1, "timeout", None), ended(2, "status", Some(500))];
    let disabled = |reason: &str| Delivery {
        disabled_reason: Some("disabled_by_receiver".to_owned()),
        ..in_state("parked", Some(reason))
    };
    let cases = [
        told(under_way(10), Vec::new()),
        told(under_way(-1), vec![ended(1, "busy", Some(429))]),
        told(Delivery { attempts: 2, due_at: at(300), ..pending_delivery() }, failed()),
        told(Delivery { attempts: 2, claim: 3, ..pending_delivery() }, failed()),
        told(pending_delivery(), Vec::new()),
        told(Delivery { at_gate: true, due_at: at(3_600), ..pending_delivery() }, failed()),
        told(in_state("held", None), Vec::new()),
        told(in_state("delivered", None), vec![ended(1, "unknown", None), ended(2, "delivered", Some(204))]),
        told(in_state("delivered", None), Vec::new()),
        told(disabled("endpoint_disabled"), vec![ended(1, "gone", Some(410))]),
        told(in_state("parked", Some("endpoint_disabled")), Vec::new()),
        told(in_state("parked", Some("no_secret")), Vec::new()),
        told(Delivery { is_paused: true, ..in_state("parked", Some("endpoint_paused")) }, Vec::new()),
        told(in_state("parked", Some("endpoint_paused")), Vec::new()),
        told(in_state("parked", Some("declined")), Vec::new()),
        told(in_state("exhausted", Some("schedule_used_up")), vec![ended(10, "connect", None)]),
        told(in_state("exhausted", Some("aborted_by_receiver")), vec![ended(1, "aborted", Some(400))]),
        told(in_state("superseded", None), Vec::new()),
        told(in_state("forgotten", None), Vec::new()),
    ];
    let words = cases.iter().map(|told| {
        let waits_for = waits_for(told, now()).unwrap_or_else(|| "nothing".to_owned());
        format!("{}\n  waits for: {waits_for}", delivery(told, now()))
    });
    insta::assert_snapshot!("deliveries", words.collect::<Vec<_>>().join("\n"));
}

#[test]
fn an_event_says_whose_turn_it_is() {
    let of = |ages: i64| {
        let mut story = story(None, Vec::new());
        story.event.occurred_at = at(-ages);
        story
    };
    let mut below_horizon = of(1_000);
    below_horizon.event.below_horizon = true;
    let delivered = || told(in_state("delivered", None), vec![ended(1, "delivered", Some(200))]);
    let cases = [
        of(20),
        of(301),
        below_horizon,
        story(Some(&[]), Vec::new()),
        story(Some(&["dlv_1"]), vec![told(under_way(10), Vec::new())]),
        story(Some(&["dlv_0", "dlv_1"]), vec![delivered(), told(under_way(10), Vec::new())]),
        story(Some(&["dlv_1"]), Vec::new()),
    ];
    let words: Vec<String> = cases.iter().map(|story| event(story, now())).collect();
    insta::assert_snapshot!("events", words.join("\n"));
}

#[test]
fn a_payment_tells_of_its_first_unfinished_event() {
    let delivered = || told(in_state("delivered", None), vec![ended(1, "delivered", Some(200))]);
    let cases = [
        vec![story(Some(&["dlv_1"]), vec![delivered()]), story(Some(&[]), Vec::new())],
        vec![story(Some(&[]), Vec::new())],
        vec![
            story(Some(&["dlv_1"]), vec![delivered()]),
            story(Some(&["dlv_1"]), vec![told(under_way(10), Vec::new())]),
        ],
        vec![story(Some(&["dlv_1"]), Vec::new())],
        vec![story(None, Vec::new())],
    ];
    let words: Vec<String> = cases.iter().map(|stories| payment("pay_1", stories, now())).collect();
    insta::assert_snapshot!("payments", words.join("\n"));
}
