//! Hand-made accounts and arrivals, one for each class.

use std::collections::HashMap;
use std::time::Duration;

use domain::payment::Status;
use domain::time::Timestamp;

use super::*;
use crate::account::{Intent, Line, Merchant};
use crate::simulator::{Rejection, Rejections};

const MINUTE: Duration = Duration::from_secs(60);

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(prefix: &str, n: u32) -> T {
    format!("{prefix}{n:032x}").parse().unwrap()
}

fn at(ms: u64) -> Timestamp {
    let start: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    start.after(Duration::from_millis(ms))
}

fn merchant(n: u32) -> Line {
    Line::Merchant(Merchant { merchant_id: id("mer_", n), name: format!("merchant {n}") })
}

fn endpoint(n: u32, merchant: u32, event_type: &str) -> Line {
    endpoint_in(Order::Any, n, merchant, event_type)
}

fn endpoint_in(order: Order, n: u32, merchant: u32, event_type: &str) -> Line {
    let event_types = vec![event_type.parse().unwrap()];
    Line::Endpoint(Endpoint { endpoint_id: id("ep_", n), merchant_id: id("mer_", merchant), event_types, order })
}

/// Payments belong to merchant 1 and are acknowledged after 100 ms.
fn acknowledged(payment: u32, version: i64) -> Line {
    Line::Acknowledged(Acknowledgement {
        key: format!("load-r-{payment}-{version}"),
        merchant_id: id("mer_", 1),
        reference: format!("load-r-{payment}"),
        payment_id: id("pay_", payment),
        version,
        event_type: event_type(version).to_owned(),
        scheduled_at: at(0),
        requested_at: at(10),
        acknowledged_at: at(100),
        tries: 1,
    })
}

fn event_type(version: i64) -> &'static str {
    if version == 1 { "payment.created" } else { "payment.processing" }
}

/// A fresh arrival after 150 ms.
fn arrival(payment: u32, version: i64) -> Arrival {
    Arrival {
        webhook_id: format!("evt_{payment}_{version}"),
        payment_id: Some(id::<PaymentId>("pay_", payment).to_string()),
        event_type: Some(event_type(version).to_owned()),
        event_version: Some(version),
        object_version: Some(version),
        data_version: Some(version),
        occurred_at: Some(at(50)),
        observed_at: Some(at(120)),
        reference: Some(format!("load-r-{payment}")),
        first_at: at(150),
        repeats: Vec::new(),
        repeat_versions: Vec::new(),
        attempts_seen: 1,
    }
}

fn seen(arrivals: impl IntoIterator<Item = (u32, Vec<Arrival>)>) -> Seen {
    Seen { arrivals: arrivals.into_iter().map(|(n, list)| (id("ep_", n), list)).collect(), ..Seen::default() }
}

fn with_payment(mut seen: Seen, payment: u32, merchant: u32, version: i64) -> Seen {
    let (payment_id, merchant_id) = (id("pay_", payment), id("mer_", merchant));
    seen.payments.insert(payment_id, PaymentState { payment_id, merchant_id, status: Status::Processing, version });
    seen
}

/// One merchant, one endpoint, two acknowledged changes of one payment.
fn account() -> Account {
    Account::from_lines([merchant(1), endpoint(1, 1, "payment.*"), acknowledged(1, 1), acknowledged(1, 2)])
}

/// The counts that are not zero, so that a test sees whatever else was counted.
fn counts(verdict: &Verdict) -> Vec<(&'static str, usize)> {
    let unsigned = usize::try_from(verdict.unsigned).unwrap();
    let all = [
        ("lost", verdict.lost),
        ("repeated", verdict.repeated),
        ("phantom", verdict.phantom),
        ("stale", verdict.stale),
        ("unsigned", unsigned),
        ("superseded", verdict.superseded),
        ("out of order", verdict.out_of_order),
        ("late", verdict.late),
        ("unacknowledged", verdict.unacknowledged),
        ("unknown", verdict.unknown),
    ];
    assert_eq!(verdict.expected, verdict.delivered + verdict.lost);
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn everything_delivered_once_balances() {
    let verdict = judge(&account(), &seen([(1, vec![arrival(1, 2), arrival(1, 1)])]), MINUTE);
    assert_eq!(counts(&verdict), []);
    assert_eq!((verdict.acknowledged, verdict.expected, verdict.delivered), (2, 2, 2));
    assert!(verdict.balanced);
}

#[test]
fn what_did_not_arrive_is_lost() {
    let verdict = judge(&account(), &seen([(1, vec![arrival(1, 1)])]), MINUTE);
    assert_eq!(counts(&verdict), [("lost", 1)]);
    assert!(!verdict.balanced);
    assert_eq!((verdict.lists.lost[0].payment_id, verdict.lists.lost[0].version), (id("pay_", 1), 2));
}

#[test]
fn a_duplicate_beside_a_loss_hides_nothing() {
    let twice = Arrival { repeats: vec![at(200)], repeat_versions: vec![Some(1)], ..arrival(1, 1) };
    let verdict = judge(&account(), &seen([(1, vec![twice])]), MINUTE);
    assert_eq!(counts(&verdict), [("lost", 1), ("repeated", 1)]);
    assert!(!verdict.balanced);
    let second_event = Arrival { webhook_id: "evt_other".to_owned(), ..arrival(1, 1) };
    let verdict = judge(&account(), &seen([(1, vec![arrival(1, 1), second_event])]), MINUTE);
    assert_eq!(counts(&verdict), [("lost", 1), ("phantom", 1)]);
    assert_eq!(verdict.lists.phantom[0].reason, Wrong::SecondEvent);
}

#[test]
fn every_endpoint_of_the_merchant_must_be_told_and_only_of_what_it_wants() {
    let lines = [merchant(1), endpoint(1, 1, "*"), endpoint(2, 1, "payment.created"), endpoint(3, 1, "payment.failed")];
    let account = Account::from_lines(lines.into_iter().chain([acknowledged(1, 1), acknowledged(1, 2)]));
    let verdict = judge(&account, &seen([(1, vec![arrival(1, 1), arrival(1, 2)])]), MINUTE);
    assert_eq!((verdict.expected, verdict.lost), (3, 1));
    assert_eq!(verdict.lists.lost[0].endpoint_id, id("ep_", 2));
    let unwanted = seen([(1, vec![arrival(1, 1), arrival(1, 2)]), (2, vec![arrival(1, 1), arrival(1, 2)])]);
    let verdict = judge(&account, &unwanted, MINUTE);
    assert_eq!(counts(&verdict), [("phantom", 1)]);
    assert_eq!(verdict.lists.phantom[0].reason, Wrong::UnwantedType);
}

#[test]
fn a_repeat_is_listed_and_allowed() {
    let twice = Arrival { repeats: vec![at(200)], repeat_versions: vec![Some(2)], ..arrival(1, 1) };
    let verdict = judge(&account(), &seen([(1, vec![twice, arrival(1, 2)])]), MINUTE);
    assert_eq!(counts(&verdict), [("repeated", 1)]);
    assert!(verdict.balanced);
    assert_eq!(verdict.lists.repeated[0].repeats, [at(200)]);
}

#[test]
fn a_test_that_somebody_asked_for_is_no_phantom() {
    let test = Arrival { payment_id: None, event_type: Some("everhook.test".to_owned()), ..arrival(9, 1) };
    let forged = Arrival { event_type: Some("everhook.test".to_owned()), ..arrival(9, 1) };
    let with = |other| judge(&account(), &seen([(1, vec![arrival(1, 1), arrival(1, 2), other])]), MINUTE);
    assert_eq!(counts(&with(test)), []);
    assert_eq!(counts(&with(forged)), [("phantom", 1)], "a payment's event is judged, whatever it is called");
}

#[test]
fn an_arrival_of_no_payment_or_of_a_version_not_reached_is_a_phantom() {
    let all = || vec![arrival(1, 1), arrival(1, 2)];
    let no_payment = seen([(1, [all(), vec![arrival(9, 1)]].concat())]);
    let verdict = judge(&account(), &no_payment, MINUTE);
    assert_eq!(counts(&verdict), [("phantom", 1)]);
    assert_eq!(verdict.lists.phantom[0].reason, Wrong::NoSuchPayment);
    assert!(!verdict.balanced);

    let no_version = with_payment(seen([(1, [all(), vec![arrival(1, 3)]].concat())]), 1, 1, 2);
    let verdict = judge(&account(), &no_version, MINUTE);
    assert_eq!(counts(&verdict), [("phantom", 1)]);
    assert_eq!(verdict.lists.phantom[0].reason, Wrong::NoSuchVersion);
}

#[test]
fn an_arrival_that_names_no_change_or_the_wrong_type_is_a_phantom() {
    let foreign = Arrival { payment_id: Some("order 7".to_owned()), ..arrival(9, 1) };
    let another_type = Arrival { event_type: Some("payment.failed".to_owned()), ..arrival(1, 2) };
    let verdict = judge(&account(), &seen([(1, vec![arrival(1, 1), another_type, foreign])]), MINUTE);
    let reasons: Vec<_> = verdict.lists.phantom.iter().map(|phantom| phantom.reason).collect();
    assert_eq!(reasons, [Wrong::AnotherType, Wrong::NamesNoChange]);
}

#[test]
fn another_merchants_payment_is_a_phantom_wherever_it_is_known_from() {
    let lines = [merchant(1), merchant(2), endpoint(1, 1, "*"), endpoint(2, 2, "*"), acknowledged(1, 1)];
    let misdirected = seen([(1, vec![arrival(1, 1)]), (2, vec![arrival(1, 1), arrival(5, 1)])]);
    let verdict = judge(&Account::from_lines(lines), &with_payment(misdirected, 5, 1, 1), MINUTE);
    assert_eq!(counts(&verdict), [("phantom", 2)]);
    assert!(verdict.lists.phantom.iter().all(|phantom| phantom.reason == Wrong::AnotherMerchant));
}

#[test]
fn an_older_object_than_the_event_is_stale() {
    let said = Arrival { object_version: Some(1), ..arrival(1, 2) };
    let shown = Arrival { data_version: Some(1), ..arrival(1, 2) };
    let repeated = Arrival { repeats: vec![at(200)], repeat_versions: vec![Some(1)], ..arrival(1, 2) };
    let observed_before = Arrival { observed_at: Some(at(49)), ..arrival(1, 2) };
    let not_said = Arrival { observed_at: None, ..arrival(1, 2) };
    let no_version = Arrival { object_version: None, ..arrival(1, 2) };
    for stale in [said, shown, repeated, observed_before, not_said, no_version] {
        let verdict = judge(&account(), &seen([(1, vec![arrival(1, 1), stale.clone()])]), MINUTE);
        assert_eq!((verdict.stale, verdict.lost, verdict.balanced), (1, 0, false), "{stale:?}");
    }
}

#[test]
fn a_newer_object_than_the_event_is_fresh() {
    let newer = Arrival { object_version: Some(2), data_version: Some(2), ..arrival(1, 1) };
    assert!(judge(&account(), &seen([(1, vec![newer, arrival(1, 2)])]), MINUTE).balanced);
}

#[test]
fn a_rejected_signature_does_not_balance_and_is_listed() {
    let mut seen = seen([(1, vec![arrival(1, 1), arrival(1, 2)])]);
    let rejection =
        Rejection { webhook_id: Some("evt_1".to_owned()), reason: "signature".to_owned(), received_at: at(1) };
    seen.rejections.insert(id("ep_", 1), Rejections { rejected_signature: 3, rejections: vec![rejection] });
    let verdict = judge(&account(), &seen, MINUTE);
    assert_eq!(counts(&verdict), [("unsigned", 3)]);
    assert_eq!(verdict.lists.unsigned.len(), 1);
    assert!(!verdict.balanced);
}

/// Three acknowledged versions of a payment, and an endpoint that wants them in this order.
fn three_versions(order: Order) -> Account {
    let lines = [merchant(1), endpoint(1, 1, "*"), endpoint_in(order, 1, 1, "*")];
    Account::from_lines(lines.into_iter().chain((1..=3).map(|version| acknowledged(1, version))))
}

#[test]
fn an_earlier_version_after_a_later_one_is_out_of_order_where_order_is_wanted() {
    let arrivals = || seen([(1, vec![arrival(1, 1), arrival(1, 3), arrival(2, 1), arrival(1, 2)])]);
    let arrivals = || with_payment(arrivals(), 2, 1, 1);
    let verdict = judge(&three_versions(Order::PerObject), &arrivals(), MINUTE);
    assert_eq!(counts(&verdict), [("out of order", 1), ("unacknowledged", 1)]);
    let OutOfOrder { version, after_version, .. } = verdict.lists.out_of_order[0];
    assert_eq!((version, after_version, verdict.balanced), (2, 3, false));
    let verdict = judge(&three_versions(Order::Any), &arrivals(), MINUTE);
    assert_eq!((counts(&verdict), verdict.balanced), (vec![("unacknowledged", 1)], true));
    let repeated_late = Arrival { repeats: vec![at(900)], repeat_versions: vec![Some(3)], ..arrival(1, 1) };
    let in_order = seen([(1, vec![repeated_late, arrival(1, 2), arrival(1, 3)])]);
    let verdict = judge(&three_versions(Order::PerObject), &in_order, MINUTE);
    assert_eq!((counts(&verdict), verdict.balanced), (vec![("repeated", 1)], true), "first arrivals count");
}

#[test]
fn where_the_latest_only_is_wanted_the_last_one_must_come_and_the_others_may_give_way() {
    let of = |arrivals| judge(&three_versions(Order::LatestOnly), &seen([(1, arrivals)]), MINUTE);
    let verdict = of(vec![arrival(1, 1), arrival(1, 3)]);
    assert_eq!((counts(&verdict), verdict.expected, verdict.balanced), (vec![("superseded", 1)], 1, true));
    let verdict = of(vec![arrival(1, 1), arrival(1, 2), arrival(1, 3)]);
    assert_eq!((counts(&verdict), verdict.balanced), (vec![], true));
    let verdict = of(vec![arrival(1, 1), arrival(1, 2)]);
    assert_eq!((counts(&verdict), verdict.lists.lost[0].version), (vec![("lost", 1)], 3));
    let verdict = of(vec![arrival(1, 3), arrival(1, 2)]);
    assert_eq!((counts(&verdict), verdict.balanced), (vec![("superseded", 1), ("out of order", 1)], false));
}

#[test]
fn a_change_that_nobody_was_told_of_may_take_the_place_of_the_last_one() {
    let arrivals = with_payment(seen([(1, vec![arrival(1, 1), arrival(1, 4)])]), 1, 1, 4);
    let verdict = judge(&three_versions(Order::LatestOnly), &arrivals, MINUTE);
    assert_eq!(counts(&verdict), [("superseded", 1), ("unacknowledged", 1)]);
    assert!(verdict.balanced);
}

#[test]
fn an_arrival_after_the_limit_is_late_and_allowed() {
    let late = Arrival { first_at: at(100 + 60_001), ..arrival(1, 2) };
    let in_time = Arrival { first_at: at(100 + 60_000), ..arrival(1, 1) };
    let verdict = judge(&account(), &seen([(1, vec![in_time, late])]), MINUTE);
    assert_eq!(counts(&verdict), [("late", 1)]);
    assert_eq!((verdict.lists.late[0].version, verdict.lists.late[0].after_ms), (2, 60_001));
    assert!(verdict.balanced);
}

#[test]
fn an_unanswered_request_that_was_done_is_neither_lost_nor_phantom() {
    let intent = |n: u32| {
        Line::Intent(Intent {
            key: format!("load-r-{n}-1"),
            merchant_id: id("mer_", 1),
            reference: format!("load-r-{n}"),
            payment_id: None,
            status: None,
        })
    };
    let lines = [merchant(1), endpoint(1, 1, "*"), intent(1), acknowledged(1, 1), intent(7)];
    let arrivals = with_payment(seen([(1, vec![arrival(1, 1), arrival(7, 1)])]), 7, 1, 1);
    let verdict = judge(&Account::from_lines(lines), &arrivals, MINUTE);
    assert_eq!(counts(&verdict), [("unacknowledged", 1), ("unknown", 1)]);
    assert_eq!(verdict.lists.unknown[0].key, "load-r-7-1");
    assert!(verdict.balanced);
}

#[test]
fn two_promises_of_one_version_are_not_both_kept() {
    let Line::Acknowledged(first) = acknowledged(1, 1) else { unreachable!() };
    let second = Acknowledgement { key: "load-r-1-other".to_owned(), ..first.clone() };
    let lines = [merchant(1), endpoint(1, 1, "*"), Line::Acknowledged(first), Line::Acknowledged(second)];
    let verdict = judge(&Account::from_lines(lines), &seen([(1, vec![arrival(1, 1)])]), MINUTE);
    assert_eq!(counts(&verdict), [("lost", 1)]);
}

#[test]
fn where_nothing_was_expected_nothing_balances() {
    let verdict = judge(&Account::from_lines([merchant(1), endpoint(1, 1, "*")]), &seen([]), MINUTE);
    assert!(!verdict.balanced);
}

#[test]
fn only_changes_beyond_the_account_are_looked_up() {
    let unreadable = Arrival { payment_id: None, ..arrival(4, 1) };
    let arrivals = HashMap::from([(id("ep_", 1), vec![arrival(1, 1), arrival(1, 3), arrival(2, 1), unreadable])]);
    assert_eq!(to_look_up(&account(), &arrivals), [id("pay_", 1), id("pay_", 2)].into());
}

#[test]
fn the_verdict_is_told_in_words_and_as_json() {
    let twice = Arrival { repeats: vec![at(200)], repeat_versions: vec![Some(0)], ..arrival(1, 1) };
    let mut seen = seen([(1, vec![twice, arrival(9, 1)])]);
    let rejection = Rejection { webhook_id: None, reason: "headers".to_owned(), received_at: at(1) };
    seen.rejections.insert(id("ep_", 1), Rejections { rejected_signature: 1, rejections: vec![rejection] });
    let verdict = judge(&account(), &seen, MINUTE);
    insta::assert_snapshot!("verdict_in_words", verdict.to_string());
    insta::assert_json_snapshot!("verdict_as_json", verdict);
}
