//! What is accepted as signed, and what is not.

use domain::signature::Version;
use serde_json::{Value, json};

use crate::{Lab, answer, secret, webhook};

#[tokio::test]
async fn a_wrong_secret_is_refused_and_counted_as_unsigned() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    let refused = lab.deliver("ep_1", &secret(2), "evt_1", &webhook(1, 1)).await;
    insta::assert_json_snapshot!("wrong_secret", refused.shown());
    insta::assert_json_snapshot!("wrong_secret_rejections", lab.get("accounts/ep_1/rejections").await.shown());
    insta::assert_json_snapshot!("wrong_secret_stats", lab.get("stats").await.shown());
    assert_eq!(lab.get("accounts/ep_1/arrivals").await.body, json!({"arrivals": [], "next": 0}));
}

#[tokio::test]
async fn a_timestamp_more_than_five_minutes_away_is_refused_both_ways() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    let sent = async |from_now_s| answer(lab.signed("ep_1", &secret(1), "evt_1", &webhook(1, 1), from_now_s)).await;
    insta::assert_json_snapshot!("old_timestamp", sent(-310).await.shown());
    assert_eq!(sent(310).await.body["code"], "timestamp_out_of_tolerance");
    assert_eq!(sent(-290).await.status, 200);
    assert_eq!(sent(290).await.status, 200);
    assert_eq!(lab.get("stats").await.body["totals"]["rejected_signature"], 2);
}

#[tokio::test]
async fn a_changed_body_or_id_is_refused() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    let changed_body = lab.signed("ep_1", &secret(1), "evt_1", &webhook(1, 1), 0).body("{}");
    assert_eq!(answer(changed_body).await.body["code"], "bad_signature");
    let two_ids = lab.signed("ep_1", &secret(1), "evt_1", &webhook(1, 1), 0);
    let mut request = two_ids.build().unwrap();
    request.headers_mut().insert("webhook-id", "evt_2".parse().unwrap());
    assert_eq!(lab.client.execute(request).await.unwrap().status(), 401);
}

#[tokio::test]
async fn without_the_three_headers_nothing_is_accepted() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    let bare = answer(lab.client.post(format!("{}/webhooks/ep_1", lab.url)).body("{}")).await;
    insta::assert_json_snapshot!("missing_headers", bare.shown());
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut request = lab.signed("ep_1", &secret(1), "evt_1", &webhook(1, 1), 0).build().unwrap();
        request.headers_mut().remove(name);
        assert_eq!(lab.client.execute(request).await.unwrap().status(), 401, "without {name}");
    }
    assert_eq!(lab.get("accounts/ep_1/rejections").await.body["rejected_signature"], 4);
}

#[tokio::test]
async fn one_matching_signature_of_several_is_enough() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    let mut request = lab.signed("ep_1", &secret(1), "evt_1", &webhook(1, 1), 0).build().unwrap();
    let good = request.headers()["webhook-signature"].to_str().unwrap().to_owned();
    request.headers_mut().insert("webhook-signature", format!("v1,AAAA {good}").parse().unwrap());
    assert_eq!(lab.client.execute(request).await.unwrap().status(), 200);
}

/// During a rotation the sender signs with both, and the merchant knows one or both.
#[tokio::test]
async fn one_matching_key_of_several_is_enough_for_v1_and_v1a() {
    let pair = Version::V1a.secret([3; 32]);
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    assert_eq!(lab.deliver("ep_1", &pair, "evt_1", &webhook(1, 1)).await.status, 401);
    let keys = json!({"secrets": [secret(2).expose(), pair.key().expose()]});
    assert_eq!(lab.put("accounts/ep_1", keys).await.status, 204);
    for signs in [&pair, &secret(2)] {
        assert_eq!(lab.deliver("ep_1", signs, "evt_1", &webhook(1, 1)).await.status, 200);
    }
    for stranger in [&secret(1), &Version::V1a.secret([4; 32])] {
        assert_eq!(lab.deliver("ep_1", stranger, "evt_1", &webhook(1, 1)).await.status, 401);
    }
    assert_eq!(lab.put("accounts/ep_1", json!({"secret": pair.key().expose()})).await.status, 204);
    assert_eq!(lab.deliver("ep_1", &pair, "evt_1", &webhook(1, 1)).await.status, 200);
    assert_eq!(lab.deliver("ep_1", &secret(2), "evt_1", &webhook(1, 1)).await.status, 401);
}

#[tokio::test]
async fn keys_that_are_none_are_named_and_not_repeated() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    let private = Version::V1a.secret([3; 32]).expose();
    let mut shown = Vec::new();
    for body in [
        json!({}),
        json!({"secrets": []}),
        json!({"secret": private}),
        json!({"secrets": [secret(1).expose(), private]}),
        json!({"secret": secret(1).expose(), "secrets": [secret(1).expose()]}),
    ] {
        shown.push(lab.put("accounts/ep_1", body).await.shown());
    }
    insta::assert_json_snapshot!("no_keys", shown);
    assert_eq!(lab.deliver("ep_1", &secret(1), "evt_1", &webhook(1, 1)).await.status, 200);
}

#[tokio::test]
async fn a_webhook_without_an_account_is_not_found_and_counted() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    let unknown = lab.deliver("ep_2", &secret(1), "evt_1", &webhook(1, 1)).await;
    insta::assert_json_snapshot!("unknown_account", unknown.shown());
    assert_eq!(lab.get("stats").await.body["totals"]["unknown_account"], 1);
}

#[tokio::test]
async fn a_body_of_another_shape_arrives_with_null_fields() {
    let lab = Lab::with_account("ep_1", &secret(1)).await;
    for (id, body) in [("msg_1", json!({"type": "invoice.paid", "data": "text"})), ("msg_2", json!([1, 2]))] {
        assert_eq!(lab.deliver("ep_1", &secret(1), id, &body).await.status, 200);
    }
    let not_json = lab.signed("ep_1", &secret(1), "msg_3", &Value::Null, 0);
    assert_eq!(answer(not_json).await.status, 200);
    insta::assert_json_snapshot!("foreign_bodies", lab.get("accounts/ep_1/arrivals").await.shown());
}
