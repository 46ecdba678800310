//! A good run is well; then one thing is broken at a time, and the judgement names it.

use std::collections::BTreeSet;
use std::path::Path;

use domain::ids::AttemptId;
use domain::trace::Hop;
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::{Judgement, Kind, Ledger, Options, judge, ledger};
use crate::spans::Spans;
use crate::spans::example::{self, Event, Made, lines, uuid};

/// A retry after five seconds at one of two endpoints; a change that psql has made, whose first attempt died with its
/// process; one without an answer, that the sweep has sent.
fn run() -> Vec<Event> {
    let created = Event::new(1).to(&[(6_800, "status", Some(500)), (5_007_000, "delivered", Some(200))]).to(&[(
        6_900,
        "delivered",
        Some(204),
    )]);
    let mut by_psql = Event::new(2).to(&[(7_000, "unknown", None), (900_000, "delivered", Some(200))]);
    by_psql.traceparent = None;
    let mut swept = Event::new(3).to(&[(7_000, "timeout", None), (5_100_000, "delivered", Some(200))]);
    (swept.is_swept, swept.event_type) = (true, "payment.succeeded");
    vec![created, by_psql, swept]
}

fn spans_of(run: &[Event]) -> Vec<Made> {
    run.iter().zip(0..).flat_map(|(event, n)| event.spans(n * 1_000_000)).collect()
}

fn ledger_of(run: &[Event]) -> Ledger {
    Ledger { events: run.iter().map(on_ledger).collect() }
}

fn on_ledger(event: &Event) -> ledger::Event {
    let delivery = |delivery: &example::Delivery| ledger::Delivery {
        delivery_id: delivery.delivery_id,
        endpoint_id: delivery.endpoint_id,
        is_delivered: true,
        under_way: None,
        log: delivery.attempts.iter().zip(1..).map(|(attempt, number)| logged(attempt, number)).collect(),
    };
    ledger::Event {
        event_id: event.event_id,
        event_type: event.event_type.to_owned(),
        object_type: "payment".to_owned(),
        object_id: event.payment_id.to_string(),
        merchant_id: event.merchant_id,
        traceparent: event.traceparent.map(|traceparent| traceparent.to_string()),
        fan_out: Some(i64::try_from(event.deliveries.len()).unwrap()),
        deliveries: event.deliveries.iter().map(delivery).collect(),
    }
}

fn logged(attempt: &example::Attempt, number: i64) -> ledger::Attempt {
    let (mut attempt_id, outcome, status) = (attempt.attempt_id, attempt.outcome.to_owned(), attempt.status);
    if outcome == "unknown" {
        // Nobody has told the ledger of it, which closes it under an id of its own.
        attempt_id = AttemptId::from_uuid(Uuid::from_u128(attempt_id.uuid().as_u128() ^ 0xffff));
    }
    ledger::Attempt { attempt_id, number, outcome, status }
}

fn read(made: &[Made]) -> Spans {
    let mut spans = Spans::default();
    spans.read_from(lines(made).as_bytes(), Path::new("spans.jsonl")).unwrap();
    spans
}

fn judged(made: &[Made]) -> Judgement {
    judge(&read(made), &ledger_of(&run()), Options::default())
}

/// All faults: their kinds and words.
fn faults(judgement: &Judgement) -> Vec<(Kind, &str)> {
    let faults = judgement.faulty.iter().flat_map(|faulty| &faulty.faults);
    faults.map(|fault| (fault.kind, fault.words.as_str())).collect()
}

fn is_ours(span: &Made) -> bool {
    span.service != "Restate"
}

/// Whether the span may be missing: its attempt's process died.
fn is_optional(span: &Made) -> bool {
    let unknown = run()[1].deliveries[0].attempts[0].attempt_id;
    span.attributes.get("attempt.id") == Some(&json!(unknown))
}

/// Each of our spans once: with one thing done to it, the judgement has a fault of this kind that names its hop.
fn each(kind: Kind, does: impl Fn(&mut Vec<Made>, usize) -> bool) {
    let good = spans_of(&run());
    let mut seen = BTreeSet::new();
    for n in (0..good.len()).filter(|n| is_ours(&good[*n])) {
        let mut made = good.clone();
        if !does(&mut made, n) {
            continue;
        }
        let judgement = judged(&made);
        let named = faults(&judgement).into_iter().any(|(of, words)| of == kind && words.starts_with(&good[n].name));
        assert!(!judgement.is_well && named, "{kind:?} of {:?}: {judgement}", good[n]);
        assert!(judgement.faulty.len() == 1, "one event has the fault: {judgement}");
        seen.insert(good[n].name.clone());
    }
    assert!(!seen.is_empty());
}

#[test]
fn a_good_run_is_well() {
    let judgement = judged(&spans_of(&run()));
    assert!(judgement.is_well, "{judgement}");
    insta::assert_snapshot!("a_good_run_in_words", judgement.to_string());
    insta::assert_json_snapshot!("a_good_run_as_json", judgement);
}

#[test]
fn with_an_instrumentation_removed_its_hop_is_named_and_no_other() {
    let all = read(&spans_of(&run()));
    for hop in Hop::ALL {
        let left: Spans = all.iter().filter(|span| span.hop() != Some(hop)).cloned().collect();
        let judgement = judge(&left, &ledger_of(&run()), Options::default());
        assert_eq!(judgement.missing(), [hop.name()].into(), "{judgement}");
    }
}

#[test]
fn each_single_span_that_is_missing_is_named() {
    each(Kind::Missing, |made, n| {
        let is_demanded = !is_optional(&made[n]);
        made.remove(n);
        is_demanded
    });
    let without_unknown: Vec<_> = spans_of(&run()).into_iter().filter(|span| !is_optional(span)).collect();
    assert!(judged(&without_unknown).is_well);
}

#[test]
fn each_single_span_that_is_there_twice_is_named() {
    each(Kind::Twice, |made, n| {
        let mut again = made[n].clone();
        again.to_us += 1;
        // The commit's and the receiver's ids are drawn anew.
        if ["payments.commit", "webhook.receive"].contains(&again.name.as_str()) {
            again.id ^= 2;
        }
        made.push(again);
        true
    });
    // The same once more is no other.
    let made = spans_of(&run());
    assert!(judged(&[made.clone(), made].concat()).is_well);
}

#[test]
fn each_single_span_that_hangs_on_another_is_named() {
    each(Kind::Parent, |made, n| {
        made[n].parent ^= 0xf0f0;
        !["payments.create", "payments.change"].contains(&made[n].name.as_str())
    });
}

#[test]
fn each_single_span_that_begins_before_its_parent_is_named_but_for_the_skew() {
    let begin = |made: &mut Vec<Made>, n: usize, earlier_us: u64| {
        let parent = made.iter().find(|span| span.id == made[n].parent && span.trace == made[n].trace).cloned();
        parent.is_some_and(|parent| {
            // Not before noon.
            for span in &mut *made {
                (span.from_us, span.to_us) = (span.from_us + 100_000, span.to_us + 100_000);
            }
            made[n].from_us = parent.from_us + 100_000 - earlier_us;
            // What lies in it must not be before it.
            true
        })
    };
    each(Kind::Time, |made, n| begin(made, n, 5_001));
    let good = spans_of(&run());
    for n in (0..good.len()).filter(|n| is_ours(&good[*n])) {
        let mut made = good.clone();
        begin(&mut made, n, 5_000);
        let judgement = judged(&made);
        assert!(judgement.is_well, "{judgement}");
    }
}

#[test]
fn each_single_span_that_ends_before_it_begins_or_after_what_it_lies_in_is_named() {
    each(Kind::Time, |made, n| {
        let by_two_clocks = ["cdc.capture", "kafka.stay"].contains(&made[n].name.as_str());
        let off_us = if by_two_clocks { 5_001 } else { 1 };
        (made[n].from_us, made[n].to_us) = (made[n].to_us + off_us, made[n].to_us);
        true
    });
    let mut made = spans_of(&run());
    let stay = made.iter_mut().find(|span| span.name == "kafka.stay").unwrap();
    stay.to_us = stay.from_us - 3_000;
    assert!(judged(&made).is_well, "two clocks may be off by the skew");
    each(Kind::Time, |made, n| {
        made[n].to_us += 20_000;
        made[n].name == "webhook.post"
    });
}

#[test]
fn each_attribute_that_is_missing_or_says_something_else_is_named() {
    let good = spans_of(&run());
    for key in good.iter().filter(|span| is_ours(span)).flat_map(|span| span.attributes.keys()).collect::<BTreeSet<_>>()
    {
        // By these an attempt that nobody has recorded is known: without them it is another's.
        let is_known_by = |span: &Made| {
            is_optional(span) && ["event.id", "endpoint.id", "attempt.id", "delivery.attempt"].contains(&key.as_str())
        };
        each(Kind::Attribute, |made, n| !is_known_by(&made[n]) && made[n].attributes.remove(key).is_some());
        each(Kind::Attribute, |made, n| match made[n].attributes.get_mut(key) {
            _ if is_known_by(&good[n]) => false,
            // A number where a text should be, and the reverse.
            Some(value) => {
                *value = if value.as_str().is_some_and(|text| text.parse::<u64>().is_ok()) {
                    json!("x")
                } else {
                    json!("1")
                };
                // The source says whether CDC's hops are demanded.
                key != "event.source" || !run()[2].trace().trace_id.eq(&made[n].trace)
            }
            None => false,
        });
    }
}

#[test]
fn what_a_span_says_instead_of_the_ledger_is_not_repeated() {
    let mut made = spans_of(&run());
    let post = made.iter_mut().find(|span| span.name == "webhook.post").unwrap();
    post.attributes.insert("endpoint.id".to_owned(), json!("not to be shown"));
    let words = judged(&made).to_string();
    assert!(words.contains("webhook.post of attempt 1 at ep_") && !words.contains("not to be shown"), "{words}");
}

#[test]
fn each_single_span_of_another_service_is_named() {
    each(Kind::Service, |made, n| {
        made[n].service = "portal".to_owned();
        true
    });
}

#[test]
fn each_id_that_does_not_follow_is_named() {
    each(Kind::Id, |made, n| {
        let drawn = ["payments.create", "payments.change", "payments.commit", "webhook.receive"];
        let id = made[n].id ^ 0xff00;
        made[n].id = id;
        !drawn.contains(&made[n].name.as_str())
    });
}

#[test]
fn a_span_in_another_trace_is_named_with_the_trace() {
    let good = spans_of(&run());
    for n in (0..good.len()).filter(|n| is_ours(&good[*n]) && good[*n].attributes.contains_key("event.id")) {
        let mut made = good.clone();
        made[n].trace = 0xabc;
        let judgement = judged(&made);
        let words = format!("trace {:032x} has spans that name it, too: {}", 0xabc, good[n].name);
        assert!(faults(&judgement).contains(&(Kind::OtherTrace, &words)), "{judgement}");
    }
    let elsewhere: Vec<_> = good.into_iter().map(|span| Made { trace: span.trace ^ 1, ..span }).collect();
    let judgement = judged(&elsewhere);
    assert_eq!(faults(&judgement)[0].0, Kind::NoTrace, "{judgement}");
}

#[test]
fn an_attempt_that_the_ledger_does_not_have_is_named_unless_it_is_under_way() {
    let made = spans_of(&run());
    let mut ledger = ledger_of(&run());
    let gone = ledger.events[0].deliveries[0].log.pop().unwrap();
    let judgement = judge(&read(&made), &ledger, Options::default());
    let words = format!(
        "the ledger has no attempt {}, and there are its spans: delivery.attempt, payload.read, webhook.post",
        gone.attempt_id
    );
    assert_eq!(faults(&judgement), [(Kind::NotOnLedger, words.as_str())], "{judgement}");
    ledger.events[0].deliveries[0].under_way = Some(2);
    assert!(judge(&read(&made), &ledger, Options::default()).is_well);
}

#[test]
fn the_spans_of_an_unknown_attempt_are_known_by_its_endpoint_and_number_and_belong_to_one_only() {
    let mut made = spans_of(&run());
    let read = made.iter().find(|span| is_optional(span)).unwrap().clone();
    let another = AttemptId::from_uuid(uuid(4_242));
    let id = domain::trace::of_attempt(another, Hop::Read);
    let parent = domain::trace::of_attempt(another, Hop::Attempt);
    let attributes = read.attributes.clone().into_iter().chain([("attempt.id".to_owned(), json!(another))]).collect();
    made.push(Made { id, parent, attributes, ..read });
    let judgement = judged(&made);
    assert_eq!(faults(&judgement).iter().map(|fault| fault.0).collect::<Vec<_>>(), [Kind::NotOnLedger], "{judgement}");
}

#[test]
fn an_attempt_without_a_link_to_restate_is_named_if_restate_has_spans() {
    each(Kind::Link, |made, n| {
        made[n].links.clear();
        made[n].name == "delivery.attempt"
    });
    let ours: Vec<_> =
        spans_of(&run()).into_iter().filter(is_ours).map(|span| Made { links: Vec::new(), ..span }).collect();
    assert!(judged(&ours).is_well, "no span of Restate's is there, so none can be linked to");
}

#[test]
fn a_receiver_that_is_not_ours_needs_no_span() {
    let made: Vec<_> = spans_of(&run()).into_iter().filter(|span| span.name != "webhook.receive").collect();
    let options = Options { receiver_is_ours: false, ..Options::default() };
    assert!(judge(&read(&made), &ledger_of(&run()), options).is_well);
}

#[test]
fn a_trace_that_should_not_be_kept_is_not_looked_for_and_named_if_it_is_there() {
    let mut run = run();
    run[0].traceparent.as_mut().unwrap().is_sampled = false;
    let made = spans_of(&run);
    let judgement = judge(&read(&made), &ledger_of(&run), Options::default());
    assert_eq!((judgement.not_sampled, faults(&judgement)[0].0), (1, Kind::NotSampled));
    let left: Vec<_> = made.into_iter().filter(|span| span.trace != run[0].trace().trace_id).collect();
    let judgement = judge(&read(&left), &ledger_of(&run), Options::default());
    assert!(judgement.is_well && judgement.events == 2, "{judgement}");
}

#[test]
fn a_test_event_is_of_no_payment() {
    let event = Event::new(4).to(&[(7_000, "delivered", Some(200))]);
    let mut made = event.spans(0);
    made.iter_mut().filter(|span| span.service == "data-service").for_each(|span| {
        span.attributes.remove("payment.id");
    });
    let mut ledger = ledger_of(std::slice::from_ref(&event));
    assert!(!judge(&read(&made), &ledger, Options::default()).is_well);
    ledger.events[0].object_type = "test".to_owned();
    let judgement = judge(&read(&made), &ledger, Options::default());
    assert!(judgement.is_well, "{judgement}");
}

#[test]
fn nothing_to_check_is_not_well() {
    let judgement = judge(&read(&spans_of(&run())), &Ledger::default(), Options::default());
    assert!(!judgement.is_well);
    insta::assert_snapshot!("nothing_to_check", judgement.to_string());
}

#[test]
fn what_is_secret_is_named_by_its_place_and_never_repeated() {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    type Put = fn(&mut Made);
    let places: [(&str, Put); 4] = [
        ("its attribute http.request.header.x holds", |span| {
            span.attributes.insert("http.request.header.x".to_owned(), json!(SECRET));
        }),
        ("its name holds", |span| span.name = SECRET.to_owned()),
        ("its status message holds", |span| span.error = Some(format!("refused: {SECRET}"))),
        ("its attribute db.query.summary holds a JSON body", |span| {
            span.attributes.insert("db.query.summary".to_owned(), json!("{\"data\": {}}"));
        }),
    ];
    let good = spans_of(&run());
    for (place, put) in places {
        // One of ours, and one of Restate's.
        for n in [1, good.iter().position(|span| !is_ours(span)).unwrap()] {
            let mut made = good.clone();
            put(&mut made[n]);
            let judgement = judged(&made);
            let words = judgement.to_string();
            assert!(!judgement.is_well && judgement.leaks.len() == 1 && words.contains(place), "{place}: {words}");
            assert!(
                !words.contains("whsec") && !serde_json::to_string(&judgement).unwrap().contains("whsec"),
                "{words}"
            );
        }
    }
    let mut made = good;
    made[0].service = SECRET.to_owned();
    assert!(!judged(&made).is_well);
}

#[test]
fn a_faulty_run_is_told_by_event() {
    let mut made = spans_of(&run());
    made.retain(|span| span.name != "kafka.stay");
    let second = run()[0].deliveries[0].attempts[1].attempt_id;
    made.retain(|span| span.name != "webhook.post" || span.attributes["attempt.id"] != json!(second));
    made[0].error = Some("can't reach postgres://api:pw@db/everhook".to_owned());
    let route = made.iter_mut().rfind(|span| span.name == "event.route").unwrap();
    (route.from_us, route.attributes) = (route.from_us - 30_000, route.attributes.clone());
    route.attributes.remove("payment.id");
    let judgement = judged(&made);
    insta::assert_snapshot!("a_faulty_run_in_words", judgement.to_string());
    insta::assert_json_snapshot!("a_faulty_run_as_json", judgement);
}

fn any_attempts() -> impl Strategy<Value = Vec<(u64, &'static str, Option<u16>)>> {
    let failed = prop_oneof![
        Just(("status", Some(500))),
        Just(("timeout", None)),
        Just(("busy", Some(503))),
        Just(("unknown", None)),
    ];
    prop::collection::vec(failed, 0..4).prop_map(|mut outcomes| {
        outcomes.push(("delivered", Some(200)));
        let times = (0..).map(|n: u64| 7_000 + n * 5_000_000);
        outcomes.into_iter().zip(times).map(|((outcome, status), at_us)| (at_us, outcome, status)).collect()
    })
}

prop_compose! {
    fn any_run()(events in prop::collection::vec((prop::collection::vec(any_attempts(), 1..3), any::<bool>(), any::<bool>()), 1..4)) -> Vec<Event> {
        events.into_iter().zip(1_u64..).map(|((deliveries, is_swept, by_psql), n)| {
            let mut event = deliveries.iter().fold(Event::new(n), |event, attempts| event.to(attempts));
            event.is_swept = is_swept;
            event.traceparent = event.traceparent.filter(|_| !by_psql);
            event
        }).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_good_run_is_well_in_any_order_and_nothing_may_be_taken_from_it(run in any_run(), turn: prop::sample::Index, gone: prop::sample::Index) {
        let mut made = spans_of(&run);
        let ledger = ledger_of(&run);
        let turn = turn.index(made.len());
        made.rotate_left(turn);
        let judgement = judge(&read(&made), &ledger, Options::default());
        prop_assert!(judgement.is_well, "{}", judgement);
        let gone = made.remove(gone.index(made.len()));
        prop_assume!(is_ours(&gone));
        let attempts = run.iter().flat_map(|event| &event.deliveries).flat_map(|delivery| &delivery.attempts);
        let unknown: BTreeSet<String> = attempts
            .filter(|attempt| attempt.outcome == "unknown").map(|attempt| attempt.attempt_id.to_string()).collect();
        let is_demanded = gone.attributes.get("attempt.id").is_none_or(|id| !unknown.contains(id.as_str().unwrap()));
        let judgement = judge(&read(&made), &ledger, Options::default());
        prop_assert_eq!(judgement.is_well, !is_demanded, "{:?}: {}", gone, judgement);
    }

    #[test]
    fn spans_that_another_event_has_are_no_ones_fault(run in any_run(), n in 5_u64..50) {
        let mut made = spans_of(&run);
        made.extend(Event::new(n).to(&[(7_000, "delivered", Some(200))]).spans(0));
        let judgement = judge(&read(&made), &ledger_of(&run), Options::default());
        prop_assert!(judgement.is_well && uuid(n) != uuid(n + 1), "{}", judgement);
    }
}
