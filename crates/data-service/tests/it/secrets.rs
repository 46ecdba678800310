//! Signing secrets: made for the portal, stored by it as ciphertext, opened here alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::signature::{Key, Secret, Version};
use reqwest::Method;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::lab::{Lab, Wants, keyring, signed_by};
use crate::service::{PORTAL, Reply};

async fn make(lab: &Lab) -> Reply {
    lab.service.send(lab.service.request(Method::POST, "/internal/secrets").bearer_auth(PORTAL)).await
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_new_secret_comes_in_clear_and_as_a_ciphertext_that_opens(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (first, second) = (make(&lab).await, make(&lab).await);
    assert_eq!(first.status, 200);
    assert_ne!(first.body()["secret"], second.body()["secret"]);
    let text = |member: &str| first.body()[member].as_str().unwrap().to_owned();
    let secret: Secret = text("secret").parse().unwrap();
    let ciphertext = STANDARD.decode(text("ciphertext")).unwrap();
    assert_eq!(secret.expose_bytes().len(), 32);
    assert_eq!(keyring().open(Version::V1, &text("key_id"), &ciphertext).unwrap(), secret);
    assert!(!ciphertext.windows(8).any(|window| secret.expose_bytes().starts_with(window)));
}

/// Whoever made the endpoint gets what verifies; what signs was never outside.
#[sqlx::test(migrations = "../../migrations")]
async fn of_a_new_key_pair_only_the_public_half_comes_in_clear(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let request = lab.service.request(Method::POST, "/internal/secrets?signature=v1a").bearer_auth(PORTAL);
    let made = lab.service.send(request).await;
    let text = |member: &str| made.body()[member].as_str().unwrap().to_owned();
    assert!(made.body().get("secret").is_none(), "{}", made.text);
    let opened = keyring().open(Version::V1a, &text("key_id"), &STANDARD.decode(text("ciphertext")).unwrap()).unwrap();
    assert_eq!(opened.key().expose(), text("public_key"));
    let unknown = lab.service.request(Method::POST, "/internal/secrets?signature=v2").bearer_auth(PORTAL);
    insta::assert_json_snapshot!("no_such_signature", lab.service.send(unknown).await.shown());
}

/// What the portal stores signs what the merchant then verifies.
#[sqlx::test(migrations = "../../migrations")]
async fn what_was_made_signs(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let made = make(&lab).await.body();
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, Wants { has_secret: false, ..Wants::default() }).await;
    sqlx::query(
        "insert into endpoint_secrets (secret_id, endpoint_id, key_id, ciphertext)
         values (new_id('sec_', now()), $1, $2, decode($3, 'base64'))",
    )
    .bind(&endpoint)
    .bind(made["key_id"].as_str().unwrap())
    .bind(made["ciphertext"].as_str().unwrap())
    .execute(&lab.database)
    .await
    .unwrap();
    let event_id = lab.payment(&merchant).await.event_id;
    let request = lab.service.open_one(event_id, "inv_1").await.request;
    let key: Key = made["secret"].as_str().unwrap().parse().unwrap();
    assert!(signed_by(&[key], &request));
}

/// Whoever has the consumer's token gets signatures, and never what signs.
#[sqlx::test(migrations = "../../migrations")]
async fn no_answer_to_the_consumer_holds_a_secret(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let event_id = lab.payment(&merchant).await.event_id;
    let opened = lab.service.post("/internal/open", &[crate::service::opening(event_id, "inv_1")]).await;
    lab.execute("update endpoint_secrets set ciphertext = '\\x00'").await;
    let spoiled = lab.service.post("/internal/open", &[crate::service::opening(event_id, "inv_1")]).await;
    let secret = crate::lab::secret();
    let sealed = keyring().seal(&secret, [9; 24]).unwrap();
    for reply in [&opened, &spoiled] {
        assert_eq!(reply.status, 200);
        for hidden in [secret.expose(), STANDARD.encode(secret.expose_bytes()), STANDARD.encode(&sealed.ciphertext)] {
            assert!(!reply.text.contains(hidden.trim_start_matches("whsec_")), "{}", reply.text);
        }
    }
}
