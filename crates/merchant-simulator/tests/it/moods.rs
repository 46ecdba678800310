//! Each mood, as a sender meets it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{Lab, answer, secret, webhook};

async fn lab_in(mood: serde_json::Value) -> Lab {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    assert_eq!(lab.put("accounts/ep_1/mood", mood).await.status, 204);
    lab
}

#[tokio::test]
async fn slow_answers_200_after_its_delay() {
    let lab = lab_in(json!({"mood": "slow", "delay_ms": 200})).await;
    let start = Instant::now();
    assert_eq!(lab.deliver("ep_1", &secret(1), "evt_1", &webhook(1, 1)).await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_sender_that_gives_up_on_a_slow_endpoint_has_not_arrived() {
    let lab = lab_in(json!({"mood": "slow", "delay_ms": 400})).await;
    let impatient = lab.signed("ep_1", &secret(1), "evt_1", &webhook(1, 1), 0).timeout(Duration::from_millis(50));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    assert_eq!(lab.deliver("ep_1", &secret(1), "evt_2", &webhook(1, 1)).await.status, 200);
    let arrivals = lab.get("accounts/ep_1/arrivals").await.body["arrivals"].clone();
    assert_eq!(arrivals.as_array().unwrap().len(), 1, "{arrivals}");
    assert_eq!(arrivals[0]["webhook_id"], "evt_2");
    assert_eq!(lab.get("stats").await.body["totals"]["unanswered"], 1);
}

#[tokio::test]
async fn failing_answers_500_and_the_attempts_are_counted_until_one_is_accepted() {
    let lab = lab_in(json!({"mood": "failing", "rate": 1.0})).await;
    insta::assert_json_snapshot!("failing", lab.deliver("ep_1", &secret(1), "evt_1", &webhook(1, 1)).await.shown());
    lab.deliver("ep_1", &secret(1), "evt_1", &webhook(1, 1)).await;
    assert_eq!(lab.get("accounts/ep_1/arrivals").await.body["arrivals"], json!([]));
    lab.put("accounts/ep_1/mood", json!({"mood": "failing", "rate": 0.0})).await;
    assert_eq!(lab.deliver("ep_1", &secret(1), "evt_1", &webhook(1, 1)).await.status, 200);
    insta::assert_json_snapshot!("failing_then_accepted", lab.get("accounts/ep_1/arrivals").await.shown());
    insta::assert_json_snapshot!("failing_stats", lab.get("stats").await.shown());
}

#[tokio::test]
async fn failing_at_a_half_refuses_some_and_accepts_some() {
    let lab = lab_in(json!({"mood": "failing", "rate": 0.5})).await;
    for n in 0..100 {
        lab.deliver("ep_1", &secret(1), &format!("evt_{n}"), &webhook(1, 1)).await;
    }
    let totals = lab.get("stats").await.body["totals"].clone();
    let refused = totals["refused_by_mood"].as_u64().unwrap();
    assert!((10..=90).contains(&refused), "{refused} of 100 were refused");
    assert_eq!(totals["accepted_unique"].as_u64().unwrap() + refused, 100);
}

#[tokio::test]
async fn gone_answers_410() {
    let lab = lab_in(json!({"mood": "gone"})).await;
    insta::assert_json_snapshot!("gone", lab.deliver("ep_1", &secret(1), "evt_1", &webhook(1, 1)).await.shown());
}

#[tokio::test]
async fn busy_answers_429_and_says_when_to_come_back() {
    let lab = lab_in(json!({"mood": "busy", "retry_after_s": 7})).await;
    let response = lab.signed("ep_1", &secret(1), "evt_1", &webhook(1, 1), 0).send().await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
}

#[tokio::test]
async fn a_refusing_mood_verifies_the_signature_first() {
    for mood in [json!({"mood": "gone"}), json!({"mood": "dead"}), json!({"mood": "busy", "retry_after_s": 1})] {
        let lab = lab_in(mood).await;
        assert_eq!(lab.deliver("ep_1", &secret(2), "evt_1", &webhook(1, 1)).await.status, 401);
        let totals = lab.get("stats").await.body["totals"].clone();
        assert_eq!((&totals["rejected_signature"], &totals["refused_by_mood"]), (&json!(1), &json!(0)));
    }
}

#[tokio::test]
async fn dead_never_answers_until_it_is_reset() {
    let lab = lab_in(json!({"mood": "dead"})).await;
    let impatient = lab.signed("ep_1", &secret(1), "evt_1", &webhook(1, 1), 0).timeout(Duration::from_millis(300));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    let patient = answer(lab.signed("ep_1", &secret(1), "evt_2", &webhook(1, 1), 0));
    let reset_when_received = async {
        let deadline = Instant::now() + Duration::from_secs(5);
        while lab.get("stats").await.body["totals"]["refused_by_mood"] != 2 {
            assert!(Instant::now() < deadline, "the second request was not received");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        lab.post("reset").await
    };
    let (patient, reset) = tokio::join!(patient, reset_when_received);
    assert_eq!((patient.status, reset.status), (503, 204));
    assert_eq!(lab.get("accounts/ep_1/arrivals").await.body["arrivals"], json!([]));
}

#[tokio::test]
async fn dripping_accepts_and_sends_a_byte_a_second() {
    let lab = lab_in(json!({"mood": "dripping"})).await;
    let start = Instant::now();
    let mut response = lab.signed("ep_1", &secret(1), "evt_1", &webhook(1, 1), 0).send().await.unwrap();
    assert_eq!(response.status(), 200);
    for _ in 0..2 {
        assert_eq!(response.chunk().await.unwrap().unwrap().len(), 1);
    }
    assert!(start.elapsed() >= Duration::from_millis(900), "two bytes came in {:?}", start.elapsed());
    assert_eq!(lab.get("stats").await.body["totals"]["accepted_unique"], 1);
    lab.post("reset").await;
    assert_eq!(response.chunk().await.unwrap(), None, "a reset ends the body");
}

#[tokio::test]
async fn kept_callers_do_not_hold_up_the_stop() {
    let lab = lab_in(json!({"mood": "dead"})).await;
    let dead = answer(lab.signed("ep_1", &secret(1), "evt_1", &webhook(1, 1), 0));
    let stop_when_received = async {
        let deadline = Instant::now() + Duration::from_secs(5);
        while lab.get("stats").await.body["totals"]["requests"] != 1 {
            assert!(Instant::now() < deadline, "the request was not received");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        lab.lifecycle.stop();
    };
    let (dead, ()) = tokio::join!(dead, stop_when_received);
    assert_eq!(dead.status, 503);
    lab.lifecycle.finish(Duration::from_secs(5)).await.unwrap();
}
