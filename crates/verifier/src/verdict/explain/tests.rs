//! Hand-made repeats, faults and logs.

use super::*;
use crate::account::Account;
use crate::verdict::{Seen, judge};

fn at(ms: u64) -> Timestamp {
    let start: Timestamp = "2026-11-26T00:00:00Z".parse().unwrap();
    start.after(Duration::from_millis(ms))
}

fn endpoint() -> EndpointId {
    format!("ep_{:032x}", 1).parse().unwrap()
}

fn window(from: u64, to: u64, repeats: bool) -> Window {
    Window { what: format!("kill webhook-consumer at {from}"), from: at(from), to: at(to), repeats }
}

fn attempt(number: i64, begun_ms: u64, outcome: &str) -> Attempt {
    let outcome = Some(outcome.to_owned());
    Attempt { number, begun_at: at(begun_ms), outcome, status: None, duration_ms: Some(1) }
}

/// A webhook that was accepted at 10 s and at these times again.
fn verdict(repeats: &[u64]) -> Verdict {
    let mut verdict = judge(&Account::default(), &Seen::default(), Duration::from_secs(60));
    let repeats = repeats.iter().map(|ms| at(*ms)).collect();
    let (webhook_id, first_at) = ("evt_1".to_owned(), at(10_000));
    verdict.lists.repeated.push(Repeated {
        endpoint_id: endpoint(),
        webhook_id,
        first_at,
        repeats,
        causes: Vec::new(),
    });
    verdict.repeated = 1;
    verdict
}

fn causes(repeats: &[u64], windows: Vec<Window>, log: Vec<Attempt>) -> Vec<Cause> {
    let attempts = HashMap::from([((endpoint(), "evt_1".to_owned()), log)]);
    let verdict = verdict(repeats).explained(&Evidence { windows, attempts }, Duration::from_secs(60));
    let causes = verdict.lists.repeated[0].causes.clone();
    assert_eq!(verdict.unexplained, Some(usize::from(causes.contains(&Cause::Unexplained))));
    causes
}

fn in_doubt(number: i64, outcome: &str) -> Cause {
    Cause::Attempt { number, outcome: outcome.to_owned() }
}

#[test]
fn an_earlier_attempt_in_doubt_explains_a_repeat() {
    let log = || vec![attempt(2, 29_900, "delivered"), attempt(1, 9_990, "unknown")];
    assert_eq!(causes(&[30_000], vec![], log()), [in_doubt(1, "unknown")]);
    let timed_out = vec![attempt(1, 9_990, "timeout"), attempt(2, 29_900, "delivered")];
    assert_eq!(causes(&[30_000], vec![], timed_out), [in_doubt(1, "timeout")]);
}

#[test]
fn an_attempt_whose_result_is_known_or_that_came_later_explains_none() {
    for outcome in ["delivered", "status", "connect_refused", "busy"] {
        let log = vec![attempt(1, 9_990, outcome), attempt(2, 29_990, "delivered")];
        assert_eq!(causes(&[30_000], vec![], log), [Cause::Unexplained], "{outcome}");
    }
    let later = vec![attempt(1, 9_990, "delivered"), attempt(2, 40_000, "unknown")];
    assert_eq!(causes(&[30_000], vec![], later), [Cause::Unexplained]);
}

#[test]
fn the_attempt_that_made_a_repeat_does_not_explain_it() {
    let log = || vec![attempt(1, 9_990, "delivered"), attempt(2, 29_990, "timeout")];
    assert_eq!(causes(&[30_000], vec![], log()), [Cause::Unexplained]);
    assert_eq!(causes(&[30_000, 50_000], vec![], log()), [Cause::Unexplained, in_doubt(2, "timeout")]);
}

#[test]
fn an_attempt_that_no_repeat_has_used_explains_a_later_one() {
    let log = vec![attempt(1, 9_990, "delivered"), attempt(2, 29_990, "broken"), attempt(3, 49_990, "delivered")];
    let first = window(10_500, 12_000, true);
    let fault = Cause::Fault { what: first.what.clone() };
    assert_eq!(causes(&[30_000, 50_000], vec![first], log), [fault, in_doubt(2, "broken")]);
}

#[test]
fn each_repeat_needs_an_attempt_of_its_own() {
    let one = vec![attempt(1, 9_990, "unknown"), attempt(2, 29_990, "delivered")];
    assert_eq!(causes(&[30_000, 31_000], vec![], one), [in_doubt(1, "unknown"), Cause::Unexplained]);
    let two = vec![attempt(1, 9_990, "unknown"), attempt(2, 29_990, "broken"), attempt(3, 30_990, "delivered")];
    assert_eq!(causes(&[30_000, 31_000], vec![], two), [in_doubt(1, "unknown"), in_doubt(2, "broken")]);
}

#[test]
fn a_fault_that_overlaps_either_arrival_explains_a_repeat_and_no_other_does() {
    let explained = |from, to| causes(&[30_000], vec![window(from, to, true)], vec![]) != [Cause::Unexplained];
    assert!(explained(10_500, 12_000), "the first one's result was lost");
    assert!(explained(25_000, 29_000), "who held the second one was let go");
    assert!(!explained(11_500, 12_000) && !explained(5_000, 7_500), "not during the first");
    assert!(!explained(31_500, 32_000) && !explained(15_000, 27_500), "not during the second");
}

#[test]
fn a_fault_before_the_ledger_explains_no_repeat() {
    let kafka = window(9_000, 12_000, false);
    assert_eq!(causes(&[30_000], vec![kafka], vec![]), [Cause::Unexplained]);
}

#[test]
fn only_what_is_late_without_the_faults_is_late() {
    let late = |after_ms| Late {
        endpoint_id: endpoint(),
        webhook_id: "evt_1".to_owned(),
        payment_id: format!("pay_{:032x}", 1).parse().unwrap(),
        version: 1,
        acknowledged_at: at(10_000),
        after_ms,
    };
    // Of the 90 s after the promise, 15 and 20 s were disturbed, 5 s of them twice.
    let windows = [window(0, 15_000, true), window(20_000, 35_000, false), window(30_000, 35_000, true)];
    assert_eq!(undisturbed(&late(90_000), &windows), Duration::from_secs(70));
    assert_eq!(undisturbed(&late(3_000), &windows), Duration::ZERO);
    let mut verdict = verdict(&[]);
    verdict.lists.late = vec![late(90_000), late(80_000)];
    let evidence = Evidence { windows: windows.to_vec(), ..Evidence::default() };
    assert_eq!(verdict.explained(&evidence, Duration::from_secs(65)).late, 1);
}
