//! The load, and the account that it keeps.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chassis::Lifecycle;
use indicatif::ProgressBar;
use verifier::account::Account;
use verifier::load::{Options, Pace, Summary, Until, set_up};

use crate::fake::{Faults, Lab};
use crate::{Folder, options};

async fn drive(options: Options) -> Summary {
    let ready = set_up(options).await.unwrap();
    ready.drive(&Lifecycle::default(), &ProgressBar::hidden()).await.unwrap()
}

#[tokio::test]
async fn every_change_is_acknowledged_once_and_is_on_the_account() {
    let (lab, folder) = (Lab::start(Faults::default()).await, Folder::new("once"));
    let summary = drive(options(&lab, &folder)).await;
    assert_eq!((summary.payments, summary.acknowledged, summary.refused, summary.unknown), (20, 60, 0, 0));
    let account = Account::read(&folder.file("account.jsonl")).unwrap();
    assert_eq!((account.runs.len(), account.merchants.len(), account.endpoints.len()), (1, 3, 6));
    let changes: HashSet<_> = account.acknowledged.iter().map(|ack| (ack.payment_id, ack.version)).collect();
    assert_eq!((account.acknowledged.len(), changes.len(), account.unknown.len()), (60, 60, 0));
    assert!(account.acknowledged.iter().all(|ack| ack.scheduled_at <= ack.requested_at));
    assert!(account.acknowledged.iter().all(|ack| ack.requested_at <= ack.acknowledged_at));
    let fake = lab.fake.lock().unwrap();
    assert_eq!(fake.payments.len(), 20);
    assert!(fake.payments.values().all(|payment| payment["version"] == 3));
    let text = std::fs::read_to_string(folder.file("account.jsonl")).unwrap();
    assert!(!text.contains("whsec_"), "a signing secret is on the account");
}

#[tokio::test]
async fn an_unanswered_request_is_repeated_with_its_key_until_it_is_answered() {
    let faults = Faults { first_answer_is_lost: true, ..Faults::default() };
    let (lab, folder) = (Lab::start(faults).await, Folder::new("repeated"));
    let summary = drive(options(&lab, &folder)).await;
    assert_eq!((summary.acknowledged, summary.unknown), (60, 0));
    let account = Account::read(&folder.file("account.jsonl")).unwrap();
    assert!(account.acknowledged.iter().all(|ack| ack.tries == 2));
    let fake = lab.fake.lock().unwrap();
    assert_eq!((fake.payments.len(), fake.answers.len()), (20, 63), "a key was used twice, or a change done twice");
    assert_eq!(fake.tries, 126);
}

#[tokio::test]
async fn a_request_that_nobody_answers_is_known_as_unknown() {
    let faults = Faults { never_answered: Some("-7"), ..Faults::default() };
    let (lab, folder) = (Lab::start(faults).await, Folder::new("unknown"));
    let summary = drive(Options { answer_within: Duration::from_secs(2), ..options(&lab, &folder) }).await;
    assert_eq!((summary.acknowledged, summary.unknown), (57, 1));
    let silence = summary.last_silence.unwrap();
    assert!(silence.contains("POST payments within 2s") && silence.contains("500 internal"), "{silence}");
    let account = Account::read(&folder.file("account.jsonl")).unwrap();
    assert_eq!(account.unknown.len(), 1);
    assert!(account.unknown[0].reference.ends_with("-7"));
}

#[tokio::test]
async fn a_refusal_ends_its_payment_and_is_said() {
    let faults = Faults { changes_are_refused: true, ..Faults::default() };
    let (lab, folder) = (Lab::start(faults).await, Folder::new("refused"));
    let summary = drive(options(&lab, &folder)).await;
    assert_eq!((summary.acknowledged, summary.refused, summary.unknown), (20, 20, 0));
    assert!(summary.first_refusal.unwrap().contains("409 illegal_status"));
    assert_eq!(Account::read(&folder.file("account.jsonl")).unwrap().refused.len(), 20);
}

#[tokio::test]
async fn an_open_loop_keeps_its_rate() {
    let (lab, folder) = (Lab::start(Faults::default()).await, Folder::new("open"));
    let pace = Pace::Open { rate: 100.0, most: 64 };
    let start = Instant::now();
    let summary = drive(Options { pace, ..options(&lab, &folder) }).await;
    assert_eq!(summary.acknowledged, 60);
    // Sixty requests at a hundred a second: the last is due after 590 ms.
    assert!(start.elapsed() >= Duration::from_millis(590), "{:?}", start.elapsed());
    let account = Account::read(&folder.file("account.jsonl")).unwrap();
    let scheduled = || account.acknowledged.iter().map(|ack| ack.scheduled_at);
    let span = scheduled().max().unwrap().since(scheduled().min().unwrap());
    assert!(span >= Duration::from_millis(589), "the requests were due within {span:?}");
}

#[tokio::test]
async fn an_open_loop_measures_from_the_moment_a_request_is_due() {
    let faults = Faults { first_answer_is_lost: true, ..Faults::default() };
    let (lab, folder) = (Lab::start(faults).await, Folder::new("due"));
    // One at a time, and each takes at least the 37 ms of its retry: most of them begin late.
    let pace = Pace::Open { rate: 200.0, most: 1 };
    let summary = drive(Options { pace, changes: 0, ..options(&lab, &folder) }).await;
    assert_eq!(summary.acknowledged, 20);
    let longest = summary.api_latency.max_ms.unwrap();
    assert!(longest > 19.0 * 37.0 - 19.0 * 5.0 - 50.0, "the last request waited for its turn, yet took {longest} ms");
}

#[tokio::test]
async fn a_load_can_run_beside_other_tasks_and_finishes_what_it_began_when_stopped() {
    let (lab, folder) = (Lab::start(Faults::default()).await, Folder::new("stopped"));
    let ready = set_up(Options { until: Until::Stopped, ..options(&lab, &folder) }).await.unwrap();
    let lifecycle = Lifecycle::default();
    let (stop, progress) = (lifecycle.clone(), ProgressBar::hidden());
    let shown = progress.clone();
    let load = lab.lifecycle.spawn(async move { ready.drive(&stop, &progress).await });
    let deadline = Instant::now() + Duration::from_secs(10);
    while shown.position() < 30 {
        assert!(Instant::now() < deadline, "only {} acknowledged", shown.position());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    lifecycle.stop();
    let summary = load.await.unwrap().unwrap();
    assert_eq!(summary.acknowledged, summary.payments * 3);
    assert!(lab.fake.lock().unwrap().payments.values().all(|payment| payment["version"] == 3));
}

#[tokio::test]
async fn a_second_load_adds_to_the_account() {
    let (lab, folder) = (Lab::start(Faults::default()).await, Folder::new("second"));
    drive(options(&lab, &folder)).await;
    drive(options(&lab, &folder)).await;
    let account = Account::read(&folder.file("account.jsonl")).unwrap();
    assert_eq!((account.runs.len(), account.endpoints.len(), account.acknowledged.len()), (2, 12, 120));
}
