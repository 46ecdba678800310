//! Making, replacing, listing and resetting accounts.

use serde_json::json;

use crate::{Lab, secret, webhook};

#[tokio::test]
async fn a_replaced_secret_counts_from_then_on_and_the_counts_stay() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    lab.deliver("ep_1", &secret(1), "evt_1", &webhook(1, 1)).await;
    lab.put("accounts/ep_1", json!({"secret": secret(2).expose()})).await;
    assert_eq!(lab.deliver("ep_1", &secret(1), "evt_2", &webhook(2, 2)).await.status, 401);
    assert_eq!(lab.deliver("ep_1", &secret(2), "evt_2", &webhook(2, 2)).await.status, 200);
    assert_eq!(lab.get("stats").await.body["accounts"]["ep_1"]["accepted_unique"], 2);
}

#[tokio::test]
async fn a_bad_secret_or_mood_is_a_problem_that_names_the_field() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    let shown = vec![
        lab.put("accounts/ep_2", json!({"secret": "hunter2"})).await.shown(),
        lab.put("accounts/ep_2", json!({})).await.shown(),
        lab.put("accounts/ep_1/mood", json!({"mood": "failing", "rate": 1.5})).await.shown(),
        lab.put("accounts/ep_1/mood", json!({"mood": "slow"})).await.shown(),
        lab.put("accounts/ep_1/mood", json!({"mood": "sad"})).await.shown(),
        lab.put("accounts/ep_2/mood", json!({"mood": "well"})).await.shown(),
    ];
    insta::assert_json_snapshot!("account_problems", shown);
    assert_eq!(lab.get("accounts").await.body["accounts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_list_shows_moods_and_never_a_secret() {
    let lab = Lab::with_account("ep_2", &secret(1)).await;
    lab.put("accounts/ep_1", json!({"secret": secret(2).expose()})).await;
    lab.put("accounts/ep_1/mood", json!({"mood": "busy", "retry_after_s": 3})).await;
    insta::assert_json_snapshot!("accounts", lab.get("accounts").await.shown());
}

#[tokio::test]
async fn a_reset_forgets_what_came_and_keeps_the_accounts() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    lab.deliver("ep_1", &secret(1), "evt_1", &webhook(1, 1)).await;
    lab.deliver("ep_1", &secret(2), "evt_1", &webhook(1, 1)).await;
    lab.deliver("ep_9", &secret(1), "evt_1", &webhook(1, 1)).await;
    lab.put("accounts/ep_1/mood", json!({"mood": "gone"})).await;
    assert_eq!(lab.post("reset").await.status, 204);
    insta::assert_json_snapshot!("stats_after_reset", lab.get("stats").await.shown());
    assert_eq!(lab.get("accounts/ep_1/arrivals").await.body["arrivals"], json!([]));
    assert_eq!(lab.deliver("ep_1", &secret(1), "evt_1", &webhook(1, 1)).await.status, 200);
}
