//! The account of what arrived.

use domain::time::Timestamp;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{Lab, secret, webhook};

#[tokio::test]
async fn the_first_acceptance_is_the_arrival_and_each_later_one_a_repeat() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    lab.deliver("ep_1", &secret(1), "evt_2", &webhook(2, 3)).await;
    lab.deliver("ep_1", &secret(1), "evt_1", &webhook(1, 3)).await;
    lab.deliver("ep_1", &secret(1), "evt_2", &webhook(2, 4)).await;
    insta::assert_json_snapshot!("arrivals", lab.get("accounts/ep_1/arrivals").await.shown());
    insta::assert_json_snapshot!("arrivals_stats", lab.get("stats").await.shown());
}

#[tokio::test]
async fn arrival_times_are_moments_of_the_reception_in_microseconds() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    let before: Timestamp = OffsetDateTime::now_utc().into();
    lab.put("accounts/ep_1/mood", json!({"mood": "slow", "delay_ms": 300})).await;
    lab.deliver("ep_1", &secret(1), "evt_1", &webhook(1, 1)).await;
    let arrivals = lab.get("accounts/ep_1/arrivals").await.body;
    let first_at: Timestamp = arrivals["arrivals"][0]["first_at"].as_str().unwrap().parse().unwrap();
    let waited_ms = first_at.since(before).as_millis();
    assert!(first_at >= before && waited_ms < 300, "received {waited_ms} ms after the start, not when it was answered");
}

#[tokio::test]
async fn the_cursor_leads_through_all_arrivals_in_their_order() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    for n in 0..25 {
        lab.deliver("ep_1", &secret(1), &format!("evt_{n}"), &webhook(1, 1)).await;
    }
    let (mut next, mut seen) = (0, Vec::new());
    loop {
        let page = lab.get(&format!("accounts/ep_1/arrivals?after={next}&limit=10")).await.body;
        let arrivals = page["arrivals"].as_array().unwrap().clone();
        next = page["next"].as_u64().unwrap();
        if arrivals.is_empty() {
            break;
        }
        seen.extend(arrivals.into_iter().map(|arrival| arrival["webhook_id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(seen, (0..25).map(|n| format!("evt_{n}")).collect::<Vec<_>>());
    assert_eq!(next, 25);
    let behind_the_end = lab.get("accounts/ep_1/arrivals?after=99").await.body;
    assert_eq!(behind_the_end, json!({"arrivals": [], "next": 25}));
}

#[tokio::test]
async fn a_page_that_can_not_be_given_is_a_problem() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    let shown: Vec<Value> = vec![
        lab.get("accounts/ep_1/arrivals?limit=10001").await.shown(),
        lab.get("accounts/ep_1/arrivals?after=soon").await.shown(),
        lab.get("accounts/ep_2/arrivals").await.shown(),
    ];
    insta::assert_json_snapshot!("arrivals_problems", shown);
}

#[tokio::test]
async fn two_endpoints_keep_accounts_of_their_own() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    lab.put("accounts/ep_2", json!({"secret": secret(2).expose()})).await;
    lab.deliver("ep_1", &secret(1), "evt_1", &webhook(1, 1)).await;
    lab.deliver("ep_2", &secret(2), "evt_1", &webhook(1, 1)).await;
    assert_eq!(lab.deliver("ep_2", &secret(1), "evt_2", &webhook(1, 1)).await.status, 401);
    let stats = lab.get("stats").await.body;
    assert_eq!(stats["accounts"]["ep_1"]["accepted_unique"], 1);
    assert_eq!(stats["accounts"]["ep_2"]["accepted_unique"], 1);
    assert_eq!(stats["accounts"]["ep_1"]["rejected_signature"], 0);
    assert_eq!(stats["totals"]["accepted_unique"], 2);
}
