//! The verdict, from the account of a load and what the doors say.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chassis::Lifecycle;
use indicatif::ProgressBar;
use serde_json::json;
use verifier::account::Account;
use verifier::latency::{self, Durations};
use verifier::load::{Options as LoadOptions, set_up};
use verifier::portal::Portal;
use verifier::simulator::Simulator;
use verifier::verdict::{Options, Seen, Verdict, Witness};

use crate::fake::{Faults, Lab};
use crate::{Folder, options};

const QUICK: Options = Options {
    wait: Duration::from_millis(300),
    settle: Duration::from_millis(100),
    late_after: Duration::from_secs(60),
};

async fn load(options: LoadOptions) -> Account {
    let path = options.account.clone();
    let ready = set_up(options).await.unwrap();
    ready.drive(&Lifecycle::default(), &ProgressBar::hidden()).await.unwrap();
    Account::read(&path).unwrap()
}

async fn verdict(account: &Account, options: Options) -> (Verdict, Seen) {
    Witness::of(account).unwrap().verdict(account, options, &ProgressBar::hidden()).await.unwrap()
}

#[tokio::test]
async fn what_arrived_balances_without_waiting_for_the_whole_time() {
    let (lab, folder) = (Lab::start(Faults::default()).await, Folder::new("balances"));
    let account = load(options(&lab, &folder)).await;
    let start = Instant::now();
    let (verdict, seen) = verdict(&account, Options { wait: Duration::from_secs(60), ..QUICK }).await;
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(verdict.balanced, "{verdict}");
    assert_eq!((verdict.acknowledged, verdict.expected, verdict.delivered), (60, 120, 120));
    let durations = Durations::join(&account, seen.arrivals.values().flatten(), &[]);
    assert_eq!(durations.api_to_arrival.len(), 120);
}

#[tokio::test]
async fn what_does_not_come_within_the_wait_is_lost_by_id() {
    let faults = Faults { not_delivered: Some("-7"), ..Faults::default() };
    let (lab, folder) = (Lab::start(faults).await, Folder::new("lost"));
    let account = load(options(&lab, &folder)).await;
    let (verdict, _) = verdict(&account, QUICK).await;
    assert_eq!((verdict.balanced, verdict.lost, verdict.delivered), (false, 6, 114));
    assert!(verdict.lists.lost.iter().all(|lost| lost.reference.ends_with("-7")));
}

#[tokio::test]
async fn what_comes_during_the_wait_is_not_lost() {
    let faults = Faults { not_delivered: Some("-7"), ..Faults::default() };
    let (lab, folder) = (Lab::start(faults).await, Folder::new("waited"));
    let account = load(LoadOptions { changes: 0, ..options(&lab, &folder) }).await;
    let ack = account.acknowledged.iter().find(|ack| ack.reference.ends_with("-7")).unwrap().clone();
    let fake = lab.fake.clone();
    lab.lifecycle.spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut fake = fake.lock().unwrap();
        let owner = json!(ack.merchant_id);
        let owned = fake.endpoints.iter().filter(|(_, endpoint)| endpoint["merchant_id"] == owner);
        for endpoint_id in owned.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            let mut arrival = fake.arrivals[&endpoint_id][0].clone();
            arrival["webhook_id"] = json!("evt_late");
            arrival["payment_id"] = json!(ack.payment_id);
            fake.arrivals.get_mut(&endpoint_id).unwrap().push(arrival);
        }
    });
    let (verdict, _) = verdict(&account, Options { wait: Duration::from_secs(20), ..QUICK }).await;
    assert!(verdict.balanced, "{verdict}");
}

#[tokio::test]
async fn an_arrival_beyond_the_account_is_looked_up_at_payments_api() {
    let faults = Faults { never_answered: Some("-7"), ..Faults::default() };
    let (lab, folder) = (Lab::start(faults).await, Folder::new("beyond"));
    let mut account = load(LoadOptions { answer_within: Duration::from_millis(200), ..options(&lab, &folder) }).await;
    {
        let mut fake = lab.fake.lock().unwrap();
        let arrivals = fake.arrivals.values_mut().next().unwrap();
        let mut phantom = arrivals[0].clone();
        phantom["webhook_id"] = json!("evt_phantom");
        phantom["payment_id"] = json!(format!("pay_{:032x}", 0xdead));
        arrivals.push(phantom);
    }
    let (first, _) = verdict(&account, QUICK).await;
    // The unanswered payment was made and delivered to both endpoints of its merchant.
    assert_eq!((first.lost, first.unacknowledged, first.unknown), (0, 2, 1));
    assert_eq!((first.phantom, first.lists.phantom[0].webhook_id.as_str()), (1, "evt_phantom"));
    // An acknowledgement that the account does not have makes its arrivals unacknowledged, not phantoms.
    account.acknowledged.pop();
    let (second, _) = verdict(&account, QUICK).await;
    assert_eq!((second.phantom, second.unacknowledged), (1, 4));
}

#[tokio::test]
async fn a_door_that_answers_something_else_is_an_error_that_names_it() {
    let (lab, folder) = (Lab::start(Faults::default()).await, Folder::new("silent"));
    let mut account = load(options(&lab, &folder)).await;
    account.runs[0].simulator_url = lab.url("nowhere");
    let witness = Witness::of(&account).unwrap();
    let error = witness.verdict(&account, QUICK, &ProgressBar::hidden()).await.unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains("merchant-simulator") && said.contains("404 not_found"), "{said}");
}

#[tokio::test]
async fn all_pages_of_the_hops_are_read() {
    let (lab, folder) = (Lab::start(Faults::default()).await, Folder::new("hops"));
    let account = load(options(&lab, &folder)).await;
    let token = chassis::Token::new("operator-token");
    let portal = Portal::new(&lab.url("portal"), token, Duration::from_secs(5)).unwrap();
    let hops = latency::hops_of(&account, &portal, Duration::from_secs(5)).await.unwrap();
    assert_eq!(hops.len(), 2);
}

#[tokio::test]
async fn a_door_that_does_not_answer_is_asked_until_the_deadline_and_said_with_the_last_try() {
    // The port was free a moment ago, and nobody listens on it.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let simulator = Simulator::new(&url, Duration::from_secs(5)).unwrap();
    let error = simulator.requests(&HashSet::new(), Duration::from_millis(400)).await.unwrap_err().to_string();
    assert!(error.starts_with("merchant-simulator gave no answer to GET stats within 400ms (tries: "), "{error}");
    assert!(error.to_lowercase().contains("connection refused"), "{error}");
    assert!(!error.contains("(tries: 1)"), "{error}");
}

#[tokio::test]
async fn after_a_restore_what_is_undone_is_no_loss_and_a_phantom_where_it_has_arrived() {
    let faults = Faults { not_delivered: Some("-7"), ..Faults::default() };
    let (lab, folder) = (Lab::start(faults).await, Folder::new("restored"));
    let account = load(options(&lab, &folder)).await;
    let payment_of =
        |end: &str| account.acknowledged.iter().find(|ack| ack.reference.ends_with(end)).unwrap().payment_id;
    let (gone, back, silent) = (payment_of("-1"), payment_of("-2"), payment_of("-7"));
    {
        // Two payments were made after the backup, and one has been changed since.
        let mut fake = lab.fake.lock().unwrap();
        fake.payments.retain(|id, _| ![gone, silent].map(|id| id.to_string()).contains(id));
        fake.payments.get_mut(&back.to_string()).unwrap()["version"] = json!(1);
    }
    let witness = Witness::of(&account).unwrap();
    let (restored, _) = witness.verdict_after_restore(&account, QUICK, &ProgressBar::hidden()).await.unwrap();
    let mut undone: Vec<_> = restored.undone.iter().map(|undone| (undone.payment_id, undone.version)).collect();
    undone.sort_unstable();
    let mut expected: Vec<_> =
        [(gone, 1), (gone, 2), (gone, 3), (back, 2), (back, 3), (silent, 1), (silent, 2), (silent, 3)].into();
    expected.sort_unstable();
    assert_eq!(undone, expected);
    // Both endpoints of a merchant were told of what has arrived.
    let verdict = &restored.verdict;
    assert_eq!((verdict.lost, verdict.phantom, verdict.acknowledged), (0, 10, 52), "{restored}");
    let words = restored.to_string();
    assert!(words.starts_with("undone                 8   promised, and no longer committed\n  pay_"), "{words}");
    assert_eq!(serde_json::to_value(&restored).unwrap()["undone"].as_array().unwrap().len(), 8);
}
