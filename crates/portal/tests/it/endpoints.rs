//! Making, listing and changing endpoints.

use chassis::egress::EgressFlags;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::ledger::{ENDPOINT, MERCHANT};
use crate::{Lab, SECRET};

fn of_merchant() -> String {
    format!("/merchants/{MERCHANT}/endpoints")
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_secret_is_shown_once_and_stored_as_ciphertext(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let made = lab.post(&of_merchant(), json!({"url": "https://merchant.test"})).await;
    insta::assert_json_snapshot!("endpoint", made.shown());
    assert_eq!(made.body["secret"], SECRET);
    let read = lab.get(&format!("/endpoints/{}", made.text("endpoint_id"))).await;
    let mut without_secret = made.body.clone();
    without_secret.as_object_mut().unwrap().remove("secret");
    assert_eq!((read.status, &read.body), (200, &without_secret));
    let stored: Vec<(String, Vec<u8>, String)> =
        sqlx::query_as("select endpoint_id, ciphertext, key_id from endpoint_secrets")
            .fetch_all(&lab.database)
            .await
            .unwrap();
    assert_eq!(stored, [(made.text("endpoint_id"), vec![0, 1, 2, 255], "key-1".to_owned())]);
    let newest = lab.get(&format!("{}?limit=1", of_merchant())).await;
    assert_eq!(newest.body["items"], json!([without_secret]));
    let rest = lab.get(&format!("{}?cursor={}", of_merchant(), newest.text("next_cursor"))).await;
    assert_eq!((&rest.body["items"][0]["endpoint_id"], &rest.body["next_cursor"]), (&json!(ENDPOINT), &json!(null)));
}

#[sqlx::test(migrations = "../../migrations")]
async fn all_settings_are_kept_as_they_were_given(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let settings = json!({
        "url": "http://127.0.0.1:4001/webhooks/x?y=z",
        "description": "orders",
        "event_types": ["payment.succeeded", "payment.*"],
        "schedule": ["0s", "250ms", "5m", "1h 30m", "14h"],
        "timeout": "2s 500ms",
        "rate_limit": 50,
        "payload": "as_committed",
        "headers": {"x-team": "orders"},
    });
    let made = lab.post(&of_merchant(), settings.clone()).await;
    for member in settings.as_object().unwrap().keys() {
        assert_eq!(made.body[member], settings[member], "{member}");
    }
    let stored: Vec<i64> = sqlx::query_scalar("select unnest(schedule_ms) from endpoints where endpoint_id = $1")
        .bind(made.text("endpoint_id"))
        .fetch_all(&lab.database)
        .await
        .unwrap();
    assert_eq!(stored, [0, 250, 300_000, 5_400_000, 50_400_000]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_change_leaves_the_rest_as_it_is(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let path = format!("/endpoints/{ENDPOINT}");
    let mut expected = lab.get(&path).await.body;
    for change in [
        json!({}),
        json!({"url": "https://other.test/hook"}),
        json!({"description": "orders"}),
        json!({"schedule": ["0s", "10s"]}),
        json!({"event_types": ["payment.failed"]}),
        json!({"description": null}),
        json!({"schedule": null}),
        json!({"timeout": "1m"}),
        json!({"rate_limit": 1_000}),
        json!({"rate_limit": null}),
        json!({"payload": "as_committed"}),
        json!({"payload": "fresh"}),
    ] {
        let changed = lab.patch(&path, change.clone()).await;
        expected.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!((changed.status, &changed.body), (200, &expected), "{change}");
    }
    assert_eq!(lab.get(&path).await.body, expected);
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_endpoint_is_disabled_with_the_reason_and_enabled_again(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let path = format!("/endpoints/{ENDPOINT}");
    let state = |body: &Value| (body["state"].clone(), body["disabled_reason"].clone());
    let disabled = lab.patch(&path, json!({"state": "disabled"})).await;
    assert_eq!(state(&disabled.body), (json!("disabled"), json!("disabled_by_operator")));
    let untouched = lab.patch(&path, json!({"url": "https://other.test/"})).await;
    assert_eq!(state(&untouched.body), state(&disabled.body));
    let enabled = lab.patch(&path, json!({"state": "enabled"})).await;
    assert_eq!(state(&enabled.body), (json!("enabled"), json!(null)));
}

#[sqlx::test(migrations = "../../migrations")]
async fn bad_settings_name_their_field_and_change_nothing(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let path = format!("/endpoints/{ENDPOINT}");
    let before = lab.get(&path).await.body;
    let url = |url: &str| json!({"url": url});
    let bad = [
        url("merchant.test"),
        url("ftp://merchant.test/"),
        url("https://"),
        url("https://user@merchant.test/"),
        url("https://:word@merchant.test/"),
        url("https://merchant.test/#here"),
        url(&format!("https://merchant.test/{}", "x".repeat(2_000))),
        url(&format!("https://merchant.test/{}", "ö".repeat(500))),
        json!({"url": 7}),
        json!({"url": null}),
        json!({"url": "https://x.test/", "event_types": []}),
        json!({"url": "https://x.test/", "event_types": ["payment.*", "pay*"]}),
        json!({"url": "https://x.test/", "event_types": "payment.*"}),
        json!({"url": "https://x.test/", "event_types": vec!["*"; 101]}),
        json!({"url": "https://x.test/", "schedule": []}),
        json!({"url": "https://x.test/", "schedule": ["0s", "soon"]}),
        json!({"url": "https://x.test/", "schedule": ["1us"]}),
        json!({"url": "https://x.test/", "schedule": ["31d"]}),
        json!({"url": "https://x.test/", "schedule": [5]}),
        json!({"url": "https://x.test/", "description": "a\u{0}b"}),
        json!({"url": "https://x.test/", "timeout": "99ms"}),
        json!({"url": "https://x.test/", "timeout": "61s"}),
        json!({"url": "https://x.test/", "rate_limit": 0}),
        json!({"url": "https://x.test/", "rate_limit": 1_001}),
        json!({"url": "https://x.test/", "rate_limit": "fast"}),
        json!({"url": "https://x.test/", "timeout": null}),
        json!({"url": "https://x.test/", "payload": "stale"}),
        json!({"url": "https://x.test/", "headers": {"Webhook-Id": "1"}}),
        json!({"url": "https://x.test/", "headers": {"x-a": "a\nb"}}),
        json!({"url": "https://x.test/", "headers": {"x a": "b"}}),
        json!({"url": "https://x.test/", "headers": {"x-token": "***"}}),
        json!({"url": "https://x.test/", "headers": {"x-a": 7}}),
        json!({"url": "https://x.test/", "headers": [["x-a", "b"]]}),
        json!({"url": "https://x.test/", "headers": null}),
        json!({"url": "https://x.test/", "secret": SECRET}),
    ];
    let mut shown = Vec::new();
    for settings in bad {
        let made = lab.post(&of_merchant(), settings.clone()).await;
        let changed = lab.patch(&path, settings.clone()).await;
        if settings.get("secret").is_none() {
            assert_eq!(made, changed, "{settings}");
        }
        let short: String = settings.to_string().chars().take(80).collect();
        shown.push((short, made.shown()));
    }
    for change in [
        json!({"state": "paused"}),
        json!({"state": null}),
        json!({"event_types": null}),
        json!({"merchant_id": MERCHANT}),
    ] {
        shown.push((change.to_string(), lab.patch(&path, change).await.shown()));
    }
    insta::assert_json_snapshot!("endpoint_problems", shown);
    assert_eq!(lab.get(&path).await.body, before);
    let endpoints: i64 = sqlx::query_scalar("select count(*) from endpoints").fetch_one(&lab.database).await.unwrap();
    assert_eq!(endpoints, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_url_that_nothing_would_be_sent_to_is_refused_at_once(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start_with(EgressFlags::default(), pool, connect).await.with_endpoint().await;
    let path = format!("/endpoints/{ENDPOINT}");
    let mut shown = Vec::new();
    for url in
        ["http://merchant.test/", "https://127.1/", "https://169.254.169.254/latest", "https://[::ffff:10.0.0.1]/"]
    {
        let made = lab.post(&of_merchant(), json!({"url": url})).await;
        assert_eq!(made, lab.patch(&path, json!({"url": url})).await, "{url}");
        shown.push((url, made.shown()));
    }
    insta::assert_json_snapshot!("endpoint_refused", shown);
    let secrets: i64 =
        sqlx::query_scalar("select count(*) from endpoint_secrets").fetch_one(&lab.database).await.unwrap();
    assert_eq!(secrets, 0, "no secret is made for what is not made");
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_does_not_exist_is_not_found(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let shown = vec![
        lab.post(&of_merchant(), json!({"url": "https://merchant.test/"})).await.shown(),
        lab.get(&format!("/endpoints/{ENDPOINT}")).await.shown(),
        lab.patch(&format!("/endpoints/{ENDPOINT}"), json!({"state": "enabled"})).await.shown(),
    ];
    insta::assert_json_snapshot!("endpoint_not_found", shown);
    let secrets: i64 =
        sqlx::query_scalar("select count(*) from endpoint_secrets").fetch_one(&lab.database).await.unwrap();
    assert_eq!(secrets, 0);
}

/// An endpoint's own headers: names are shown, values that may be secrets are not, anywhere.
#[sqlx::test(migrations = "../../migrations")]
async fn headers_are_merged_and_secret_ones_never_shown(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let settings = json!({"url": "https://x.test/", "headers": {"X-Team": "orders", "Authorization": "Bearer hush-1"}});
    let made = lab.post_with_key("of-the-operator", "key-1", &of_merchant(), &settings).await;
    insta::assert_json_snapshot!("endpoint_with_headers", made.shown());
    let path = format!("/endpoints/{}", made.text("endpoint_id"));
    let changed = lab.patch(&path, json!({"headers": {"x-api-key": "hush-2", "X-TEAM": null, "x-region": "eu"}})).await;
    let expected = json!({"authorization": "***", "x-api-key": "***", "x-region": "eu"});
    assert_eq!((changed.status, &changed.body["headers"]), (200, &expected));
    assert_eq!(lab.get(&path).await.body, changed.body);
    assert_eq!(lab.all(&of_merchant()).await[0], changed.body);
    for answer in [&made, &changed] {
        assert!(!answer.text.contains("hush"), "{}", answer.text);
    }
    let many: serde_json::Map<String, Value> = (0..18).map(|n| (format!("x-{n}"), json!("1"))).collect();
    insta::assert_json_snapshot!("too_many_headers", lab.patch(&path, json!({"headers": many})).await.shown());
    let clear: Vec<(String, Value)> =
        sqlx::query_as("select endpoint_id, to_jsonb(endpoints) - 'headers_ciphertext' from endpoints")
            .fetch_all(&lab.database)
            .await
            .unwrap();
    assert!(clear.iter().all(|(_, row)| !row.to_string().contains("hush")), "{clear:?}");
    let asked: Vec<u8> = sqlx::query_scalar("select headers_ciphertext from endpoints where headers_key_id = 'key-1'")
        .fetch_one(&lab.database)
        .await
        .unwrap();
    let asked: Value = serde_json::from_slice(&asked).unwrap();
    assert_eq!(asked[0], json!({"authorization": "Bearer hush-1", "x-team": "orders"}), "names have one spelling");
    assert_eq!(asked[1], json!({"x-api-key": "hush-2", "x-team": null, "x-region": "eu"}));
    let gone = json!({"headers": {"authorization": null, "x-api-key": null, "x-region": null}});
    assert_eq!(lab.patch(&path, gone).await.body["headers"], json!({}));
}

/// It is gone for whoever asks, and everything that was on its way to it is still there.
#[sqlx::test(migrations = "../../migrations")]
async fn a_deleted_endpoint_is_gone_and_its_deliveries_are_not(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let event_id = lab.pay(1).await;
    lab.route(&event_id, &[1]).await;
    lab.deliver(1, &event_id, "parked", Some("endpoint_disabled"), 0).await;
    let path = format!("/endpoints/{ENDPOINT}");
    let delete = async || lab.ask("of-the-operator", "delete", &path, None).await;
    let deleted = delete().await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(delete().await.status, 404);
    assert_eq!(lab.get(&path).await.status, 404);
    assert_eq!(lab.patch(&path, json!({"state": "enabled"})).await.status, 404);
    assert_eq!(lab.all(&of_merchant()).await, Vec::<Value>::new());
    assert_eq!(lab.all(&format!("/deliveries?merchant_id={MERCHANT}")).await.len(), 1);
    let why = lab.get(&format!("/why/{event_id}")).await;
    assert_eq!(why.body["events"][0]["deliveries"][0]["waits_for"], json!(null));
    assert!(why.text("answer").contains("is deleted; the delivery stays on the ledger"), "{}", why.body);
}
