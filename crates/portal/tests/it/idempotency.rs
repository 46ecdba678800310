//! `Idempotency-Key`: what is made is made once for each key.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::ledger::MERCHANT;
use crate::{Lab, SECRET};

const OPERATOR: &str = "of-the-operator";

/// The key goes on to data-service, which remembers it beside the secret that it made; `secret` and data-service's own
/// tests try it.
const PASSED_ON: &str = "/endpoints/{endpoint_id}/secret/rotate";

/// It asks for nothing that could be another request; `tests` tries its key.
const WITHOUT_BODY: &str = "/endpoints/{endpoint_id}/test";

/// Each other POST, with a request and another one.
fn posts() -> Vec<(&'static str, Value, Value)> {
    vec![
        ("/merchants", json!({"name": "Bakery"}), json!({"name": "Café"})),
        ("/merchants/{merchant_id}/tokens", json!({}), json!({"valid_for": "2h"})),
        ("/merchants/{merchant_id}/endpoints", json!({"url": "https://x.test/"}), json!({"url": "https://y.test/"})),
    ]
}

#[sqlx::test(migrations = "../../migrations")]
async fn every_post_is_done_once_for_each_key(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let document = lab.get("/openapi.json").await.body;
    let documented: BTreeSet<&str> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, item)| item.get("post").is_some())
        .map(|(path, _)| path.as_str())
        .filter(|path| ![PASSED_ON, WITHOUT_BODY].contains(path))
        .collect();
    assert_eq!(documented, posts().iter().map(|(path, _, _)| *path).collect());
    for (path, body, other) in posts() {
        let (key, path) = (format!("key of {path}").replace(' ', "-"), path.replace("{merchant_id}", MERCHANT));
        let first = lab.post_with_key(OPERATOR, &key, &path, &body).await;
        assert_eq!((first.status, first.replayed), (201, false), "{path}: {first:?}");
        let again = lab.post_with_key(OPERATOR, &key, &path, &body).await;
        assert_eq!((again.status, again.replayed), (201, true), "{path}");
        assert_eq!((&again.text, &again.content_type), (&first.text, &first.content_type), "{path}: byte for byte");
        let reused = lab.post_with_key(OPERATOR, &key, &path, &other).await;
        assert_eq!((reused.status, reused.text("code").as_str()), (422, "idempotency_key_reuse"), "{path}");
        let new = lab.post_with_key(OPERATOR, &format!("{key}-2"), &path, &other).await;
        assert_eq!((new.status, new.replayed), (201, false), "{path}");
        assert_ne!(new.text, first.text);
    }
    assert_eq!(counts(&lab).await, (3, 3), "one of each was there before");
    // Nothing that is kept tells a secret.
    let kept: Vec<String> =
        sqlx::query_scalar("select response from idempotency_keys").fetch_all(&lab.database).await.unwrap();
    assert_eq!(kept.len(), 6);
    for response in kept {
        assert!(!response.contains(SECRET) && !response.contains("emt_v1."), "{response}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_same_key_at_the_same_time_makes_one_endpoint(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let (path, body) = (format!("/merchants/{MERCHANT}/endpoints"), json!({"url": "https://x.test/"}));
    let post = || lab.post_with_key(OPERATOR, "key-1", &path, &body);
    let (a, b, c, d) = tokio::join!(post(), post(), post(), post());
    for answer in [&a, &b, &c, &d] {
        assert_eq!((answer.status, &answer.text), (201, &a.text));
    }
    assert_eq!([&a, &b, &c, &d].iter().filter(|answer| !answer.replayed).count(), 1, "one is the first");
    assert_eq!(counts(&lab).await, (1, 2));
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_keys_of_one_are_not_those_of_another(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let token = lab.token_of(MERCHANT).await;
    let (path, body) = (format!("/merchants/{MERCHANT}/endpoints"), json!({"url": "https://x.test/"}));
    let of_operator = lab.post_with_key(OPERATOR, "key-1", &path, &body).await;
    let of_merchant = lab.post_with_key(&token, "key-1", &path, &body).await;
    assert_eq!((of_merchant.status, of_merchant.replayed), (201, false));
    assert_ne!(of_merchant.text, of_operator.text);
    // With another token of the same merchant it is the same key.
    let other_token =
        lab.post(&format!("/merchants/{MERCHANT}/tokens"), json!({"valid_for": "2h"})).await.text("token");
    assert_eq!(lab.post_with_key(&other_token, "key-1", &path, &body).await.text, of_merchant.text);
    insta::assert_json_snapshot!("bad_key", lab.post_with_key(OPERATOR, "a b", &path, &body).await.shown());
}

async fn counts(lab: &Lab) -> (i64, i64) {
    sqlx::query_as("select (select count(*) from merchants), (select count(*) from endpoints)")
        .fetch_one(&lab.database)
        .await
        .unwrap()
}
