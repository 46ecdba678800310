//! A change of secrets: the new one signs at once, the old ones for a while, and a repeated request changes nothing more.

use data_service::maintenance::delete_expired_secrets;
use domain::ids::EventId;
use domain::signature::{Key, Secret, Version};
use domain::time::Timestamp;
use domain::webhook::Request;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::answers::attempt;
use crate::lab::{Lab, Wants, header, secret, signed_by};
use crate::service::{FAILED, PORTAL, Reply, Service};

/// A merchant with one endpoint, whose first secret is `lab::secret()`.
pub(crate) struct One {
    pub(crate) lab: Lab,
    pub(crate) merchant: String,
    pub(crate) endpoint: String,
}

impl One {
    pub(crate) async fn start(pool: PgPoolOptions, connect: PgConnectOptions) -> Self {
        let lab = Lab::start(pool, connect).await;
        let merchant = lab.merchant().await;
        let endpoint = lab.endpoint(&merchant, Wants::default()).await;
        Self { lab, merchant, endpoint }
    }

    /// Rotates and answers what was answered.
    pub(crate) async fn rotate(&self, asked: Value) -> Value {
        let reply = self.ask(&self.lab.service, None, &asked).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.body()
    }

    pub(crate) async fn ask(&self, service: &Service, key: Option<&str>, asked: &Value) -> Reply {
        let path = format!("/internal/endpoints/{}/secret/rotate", self.endpoint);
        let request = service.request(Method::POST, &path).bearer_auth(PORTAL).json(asked);
        service.send(key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key))).await
    }

    pub(crate) async fn current(&self) -> Reply {
        let path = format!("/internal/endpoints/{}/secret", self.endpoint);
        self.lab.service.send(self.lab.service.request(Method::GET, &path).bearer_auth(PORTAL)).await
    }

    /// The request of the first attempt for a new payment, as data-service composes it.
    pub(crate) async fn request(&self) -> Request {
        self.lab.service.open_one(self.event().await, "inv_1").await.request
    }

    async fn event(&self) -> EventId {
        self.lab.payment(&self.merchant).await.event_id
    }

    async fn live(&self) -> i64 {
        self.lab.count("select count(*) from endpoint_secrets where coalesce(expires_at > now(), true)").await
    }
}

/// What the merchant was given to verify with.
pub(crate) fn key(shown: &Value) -> Key {
    let text = shown["secret"].as_str().or(shown["public_key"].as_str());
    text.unwrap_or_else(|| panic!("there is no key in {shown}")).parse().unwrap()
}

fn signatures(request: &Request) -> Vec<&str> {
    header(request, "webhook-signature").split(' ').collect()
}

fn seconds_from_now(moment: &Value) -> i64 {
    let moment: Timestamp = serde_json::from_value(moment.clone()).unwrap();
    moment.unix_seconds() - time::OffsetDateTime::now_utc().unix_timestamp()
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_new_secret_signs_at_once_and_the_old_one_beside_it_for_a_day(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let one = One::start(pool, connect).await;
    let before = one.lab.service.open_one(one.event().await, "inv_1").await;
    assert_eq!(key(&one.current().await.body()), secret().key());
    let rotated = one.rotate(json!({})).await;
    assert_ne!(key(&rotated), secret().key());
    assert_eq!(one.current().await.body(), rotated);
    let ends_in = seconds_from_now(&rotated["older"][0]["expires_at"]);
    assert!((86_400 - 60..=86_400).contains(&ends_in), "{rotated}");

    let request = one.request().await;
    assert_eq!(signatures(&request).len(), 2);
    for keys in [[key(&rotated)], [secret().key()]] {
        assert!(signed_by(&keys, &request));
    }
    let by = |secret: &Secret| {
        let timestamp = header(&request, "webhook-timestamp").parse().unwrap();
        secret.sign(header(&request, "webhook-id"), timestamp, request.body.as_bytes())
    };
    let newest: Secret = rotated["secret"].as_str().unwrap().parse().unwrap();
    assert_eq!(signatures(&request), [by(&newest), by(&secret())], "the newest first");

    // Also a retry of what was opened before.
    let later = crate::answers::later(one.lab.service.record(&before, FAILED).await);
    one.lab.execute("update deliveries set due_at = now() - interval '1 s'").await;
    let retry = attempt(one.lab.service.next(later.delivery_id, later.claim, "inv_2").await);
    assert_eq!(signatures(&retry.request).len(), 2);
    assert!(signed_by(&[key(&rotated)], &retry.request));
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_older_secret_signs_until_it_expires_and_is_deleted_then(pool: PgPoolOptions, connect: PgConnectOptions) {
    let one = One::start(pool, connect).await;
    let rotated = one.rotate(json!({"expires_in": "1h 30m"})).await;
    assert!(signed_by(&[secret().key()], &one.request().await));
    one.lab.execute("update endpoint_secrets set expires_at = now() where expires_at is not null").await;
    let request = one.request().await;
    assert_eq!(signatures(&request).len(), 1);
    assert!(signed_by(&[key(&rotated)], &request));
    assert_eq!(one.current().await.body()["older"], json!([]));

    let at_once = one.rotate(json!({"expires_in": "0s"})).await;
    assert_eq!(at_once["older"], json!([]));
    assert_eq!(signatures(&one.request().await).len(), 1);
    assert_eq!(one.lab.count("select count(*) from endpoint_secrets").await, 3);
    assert!(delete_expired_secrets(&one.lab.app()).await);
    assert_eq!(one.lab.count("select count(*) from endpoint_secrets").await, 1);
    assert_eq!(key(&one.current().await.body()), key(&at_once));
}

/// Whoever ends a secret soon wants nothing older to sign for longer.
#[sqlx::test(migrations = "../../migrations")]
async fn a_rotation_shortens_what_older_secrets_have_left_and_never_lengthens_it(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let one = One::start(pool, connect).await;
    one.rotate(json!({"expires_in": "2h"})).await;
    let longer = one.rotate(json!({"expires_in": "7d"})).await;
    let left = |shown: &Value| -> Vec<i64> {
        let older = shown["older"].as_array().unwrap().iter();
        older.map(|older| (seconds_from_now(&older["expires_at"]) + 60) / 3600).collect()
    };
    assert_eq!(left(&longer), [7 * 24, 2]);
    let shorter = one.rotate(json!({"expires_in": "1h"})).await;
    assert_eq!(left(&shorter), [1, 1, 1]);
    let ids = |shown: &Value| -> Vec<Value> {
        let older = shown["older"].as_array().unwrap().iter();
        std::iter::once(shown).chain(older).map(|shown| shown["secret_id"].clone()).collect()
    };
    assert_eq!(ids(&shorter)[1..], ids(&longer), "the newest first");
}

#[sqlx::test(migrations = "../../migrations")]
async fn ten_secrets_sign_at_most(pool: PgPoolOptions, connect: PgConnectOptions) {
    let one = One::start(pool, connect).await;
    for _ in 0..9 {
        one.rotate(json!({})).await;
    }
    let request = one.request().await;
    assert_eq!(signatures(&request).len(), 10);
    assert!(signed_by(&[secret().key()], &request));
    let before = one.current().await.body();
    let refused = one.ask(&one.lab.service, None, &json!({})).await;
    insta::assert_json_snapshot!("too_many_secrets", refused.shown());
    assert_eq!(one.current().await.body(), before, "nothing has changed");
    one.rotate(json!({"expires_in": "0s"})).await;
    assert_eq!(one.live().await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_secret_from_elsewhere_is_imported(pool: PgPoolOptions, connect: PgConnectOptions) {
    let one = One::start(pool, connect).await;
    for bytes in [&[3; 24][..], &[4; 64]] {
        let own = Secret::from_bytes(bytes).unwrap();
        let rotated = one.rotate(json!({"secret": own.expose()})).await;
        assert_eq!(rotated["secret"], own.expose());
        assert!(signed_by(&[own.key()], &one.request().await));
    }
    let pair = Version::V1a.secret([5; 32]);
    let rotated = one.rotate(json!({"secret": pair.expose(), "signature": "v1a"})).await;
    assert_eq!((rotated.get("secret"), key(&rotated)), (None, pair.key()));
    assert!(signed_by(&[pair.key()], &one.request().await));
}

/// The merchant's code need not change on the same day.
#[sqlx::test(migrations = "../../migrations")]
async fn a_change_to_v1a_is_a_rotation_and_both_sign_meanwhile(pool: PgPoolOptions, connect: PgConnectOptions) {
    let one = One::start(pool, connect).await;
    let to_v1a = json!({"signature": "v1a", "unless_current": true});
    let pair = one.rotate(to_v1a.clone()).await;
    assert_eq!(pair["older"][0]["signature"], "v1");
    let request = one.request().await;
    let versions: Vec<&str> = signatures(&request).iter().map(|entry| entry.split_once(',').unwrap().0).collect();
    assert_eq!(versions, ["v1a", "v1"]);
    assert!(signed_by(&[key(&pair)], &request) && signed_by(&[secret().key()], &request));
    assert_eq!(one.rotate(to_v1a).await, pair, "it signs so already");
    assert_eq!(one.lab.count("select count(*) from endpoints where signature = 'v1a'").await, 1);
    let next = one.rotate(json!({"expires_in": "0s"})).await;
    assert_eq!(next["signature"], "v1a", "a rotation keeps what the endpoint signs with");
    assert!(signed_by(&[key(&next)], &one.request().await));
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_same_key_gets_the_same_secret_for_a_day(pool: PgPoolOptions, connect: PgConnectOptions) {
    let one = One::start(pool, connect).await;
    let app = one.lab.app();
    let ask = async |key: &str, asked: Value| one.ask(&one.lab.service, Some(key), &asked).await;
    let first = ask("key-1", json!({})).await;
    let again = ask("key-1", json!({"expires_in": "1d"})).await;
    assert_eq!((again.status, again.body()), (200, first.body()));
    assert_eq!(one.live().await, 2);

    // It is answered as it was even when it signs no more.
    one.rotate(json!({"expires_in": "0s"})).await;
    assert!(delete_expired_secrets(&app).await);
    let late = ask("key-1", json!({})).await;
    assert_eq!((key(&late.body()), late.body()["expires_at"].is_string()), (key(&first.body()), true));
    assert_eq!(one.live().await, 1);

    let reused = ask("key-1", json!({"expires_in": "1h"})).await;
    insta::assert_json_snapshot!("rotation_key_reused", reused.shown());
    let own = |byte| json!({"secret": Secret::from_bytes(&[byte; 32]).unwrap().expose()});
    assert_eq!(ask("key-1", own(1)).await.status, 422);
    let imported = ask("key-2", own(1)).await;
    assert_eq!(ask("key-2", own(1)).await.body(), imported.body());
    assert_eq!(ask("key-2", own(2)).await.body()["code"], "idempotency_key_reuse");
    assert_eq!(ask("a key", json!({})).await.status, 422);

    one.lab.execute("update endpoint_secrets set created_at = created_at - interval '24 hours'").await;
    assert!(delete_expired_secrets(&app).await);
    assert_ne!(key(&ask("key-1", json!({})).await.body()), key(&first.body()));
    assert_ne!(key(&ask("key-2", own(2)).await.body()), key(&imported.body()));
}

/// What is kept for a repeated request is the ciphertext that signs.
#[sqlx::test(migrations = "../../migrations")]
async fn no_row_holds_a_secret_in_clear(pool: PgPoolOptions, connect: PgConnectOptions) {
    let one = One::start(pool, connect).await;
    let own = Version::V1a.secret([6; 32]);
    let asked = json!({"secret": own.expose(), "signature": "v1a"});
    let made = one.ask(&one.lab.service, Some("key-1"), &json!({})).await.body();
    assert_eq!(one.ask(&one.lab.service, Some("key-2"), &asked).await.status, 200);
    let rows: String = sqlx::query_scalar("select string_agg(s::text, '') from endpoint_secrets s")
        .fetch_one(&one.lab.database)
        .await
        .unwrap();
    let made: Secret = made["secret"].as_str().unwrap().parse().unwrap();
    for secret in [own, made] {
        let hex: String = secret.expose_bytes()[..32].iter().map(|byte| format!("{byte:02x}")).collect();
        let text = secret.expose();
        assert!(!rows.contains(&hex) && !rows.contains(text.split_once('_').unwrap().1), "{rows}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn of_many_requests_at_once_under_one_key_one_makes_a_secret(pool: PgPoolOptions, connect: PgConnectOptions) {
    let one = One::start(pool, connect).await;
    let other = one.lab.another().await;
    let asked = json!({});
    let asks = (0..8).map(|n| one.ask(if n % 2 == 0 { &one.lab.service } else { &other }, Some("key-1"), &asked));
    let replies = futures_util::future::join_all(asks).await;
    let first = key(&replies[0].body());
    assert!(replies.iter().all(|reply| reply.status == 200 && key(&reply.body()) == first), "{replies:?}");
    assert_eq!(one.live().await, 2);
    let without = (0..4).map(|n| one.ask(if n % 2 == 0 { &one.lab.service } else { &other }, None, &asked));
    assert!(futures_util::future::join_all(without).await.iter().all(|reply| reply.status == 200));
    assert_eq!(one.live().await, 6, "each of them is a rotation of its own");
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_can_t_be_done_is_told_and_changes_nothing(pool: PgPoolOptions, connect: PgConnectOptions) {
    let one = One::start(pool, connect).await;
    let before = one.current().await.body();
    let pair = Version::V1a.secret([5; 32]).expose();
    let mut shown = Vec::new();
    for (asked, name) in [
        (json!({"secret": pair}), "a secret for v1a at an endpoint with v1"),
        (json!({"secret": secret().expose(), "signature": "v1a"}), "the other way round"),
        (json!({"secret": "whsec_c2hvcnQ="}), "too short"),
        (json!({"secret": pair.replace("whsk_", "whpk_")}), "a public key"),
        (json!({"secret": [pair]}), "a list"),
        (json!({"signature": "v2"}), "no such signature"),
        (json!({"expires_in": "8d"}), "too long"),
        (json!({"expires_in": 60}), "a number"),
        (json!({"expires_in": pair}), "a secret in the wrong place"),
        (json!({"signature": pair}), "a secret in the wrong place"),
        (json!({"overlap": "1h"}), "a misspelt member"),
    ] {
        shown.push((name, one.ask(&one.lab.service, None, &asked).await.shown()));
    }
    insta::assert_json_snapshot!("rotation_problems", shown);
    assert!(!serde_json::to_string(&shown).unwrap().contains(&pair[5..]), "a secret is repeated");
    assert_eq!(one.current().await.body(), before);

    let nobody = "/internal/endpoints/ep_019a0b1c2d3e7f00a1b2c3d4e5f60718/secret";
    let service = &one.lab.service;
    let asked = [
        service.send(service.request(Method::GET, nobody).bearer_auth(PORTAL)).await.shown(),
        service
            .send(service.request(Method::POST, &format!("{nobody}/rotate")).bearer_auth(PORTAL).json(&json!({})))
            .await
            .shown(),
    ];
    insta::assert_json_snapshot!("rotation_of_nobody", asked);
}

/// What can't be opened is not shown, is replaced by a rotation, and does not keep the new one from signing.
#[sqlx::test(migrations = "../../migrations")]
async fn a_secret_whose_key_is_gone_can_be_rotated(pool: PgPoolOptions, connect: PgConnectOptions) {
    let one = One::start(pool, connect).await;
    one.lab.execute("update endpoint_secrets set key_id = 'deadbeef'").await;
    assert_eq!(one.current().await.status, 503);
    let rotated = one.rotate(json!({})).await;
    let request = one.request().await;
    assert_eq!(signatures(&request).len(), 1);
    assert!(signed_by(&[key(&rotated)], &request));
    // As a row of the other version, too, a ciphertext is none.
    one.lab.execute("update endpoint_secrets set signature = 'v1a' where expires_at is null").await;
    let event_id = one.event().await;
    one.lab.service.open(event_id, "inv_9").await;
    assert_eq!(one.lab.delivery(event_id).await.reason.as_deref(), Some("no_secret"));
}
