//! Signing secrets: made for the portal, stored by it as ciphertext, opened here alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::signature::{Key, Secret, Version};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::lab::{Lab, Wants, keyring, signed_by};
use crate::service::{CONSUMER, PORTAL, Reply};

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

#[sqlx::test(migrations = "../../migrations")]
async fn a_kept_answer_opens_for_the_portal_alone_and_no_secret_opens_as_one(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let ask = async |token: &str, path: &str, body: Value| {
        lab.service.send(lab.service.request(Method::POST, path).bearer_auth(token).json(&body)).await
    };
    let sealed = ask(PORTAL, "/internal/sealed-answers", json!({"answer": "whsec_answer"})).await;
    assert_eq!(sealed.status, 200);
    assert!(!sealed.text.contains("whsec_answer"));
    let opened = ask(PORTAL, "/internal/sealed-answers/open", sealed.body()).await;
    assert_eq!((opened.status, opened.body()), (200, json!({"answer": "whsec_answer"})));
    for path in ["/internal/sealed-answers", "/internal/sealed-answers/open"] {
        assert_eq!(ask(CONSUMER, path, sealed.body()).await.status, 401, "{path}");
    }
    let secret = make(&lab).await.body();
    let secret = json!({"key_id": secret["key_id"], "ciphertext": secret["ciphertext"]});
    assert_eq!(ask(PORTAL, "/internal/sealed-answers/open", secret).await.status, 503);
    let no_base64 = json!({"key_id": "key-1", "ciphertext": "%"});
    assert_eq!(ask(PORTAL, "/internal/sealed-answers/open", no_base64).await.status, 422);
}

/// The portal changes headers that it can't read, and the webhook carries them.
#[sqlx::test(migrations = "../../migrations")]
async fn an_endpoint_s_own_headers_are_sealed_for_it_and_sent(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let (endpoint, other) = (lab.endpoint(&merchant, Wants::default()).await, "ep_0000000000000000000000000000000f");
    let change = async |endpoint: &str, before: Value, change: Value| {
        let body = json!({"endpoint_id": endpoint, "before": before, "change": change});
        let request = lab.service.request(Method::POST, "/internal/sealed-headers").bearer_auth(PORTAL).json(&body);
        lab.service.send(request).await
    };
    let made = change(&endpoint, json!(null), json!({"authorization": "Bearer hush", "x-team": "orders"})).await;
    let sealed = made.body()["sealed"].clone();
    let changed = change(&endpoint, sealed.clone(), json!({"x-team": null, "x-region": "eu"})).await;
    for reply in [&made, &changed] {
        assert_eq!(reply.status, 200);
        assert!(!reply.text.contains("hush") && !reply.text.contains("orders"), "{}", reply.text);
    }
    assert_eq!(change(other, sealed, json!({})).await.status, 503, "it opens for its own endpoint alone");
    let store = async |sealed: &Value| {
        sqlx::query(
            r#"update endpoints set shown_headers = '{"authorization": null, "x-region": "eu"}', headers_key_id = $2,
                headers_ciphertext = decode($3, 'base64') where endpoint_id = $1"#,
        )
        .bind(&endpoint)
        .bind(sealed["key_id"].as_str().unwrap())
        .bind(sealed["ciphertext"].as_str().unwrap())
        .execute(&lab.database)
        .await
        .unwrap();
    };
    store(&changed.body()["sealed"]).await;
    let event_id = lab.payment(&merchant).await.event_id;
    let request = lab.service.open_one(event_id, "inv_1").await.request;
    let own: Vec<_> =
        request.headers.iter().filter(|(name, _)| name == "authorization" || name.starts_with("x-")).collect();
    assert_eq!(
        own,
        [&("authorization".to_owned(), "Bearer hush".to_owned()), &("x-region".to_owned(), "eu".to_owned())]
    );
    // Headers that can't be opened park, as a secret that can't be opened does.
    let of_other = change(other, json!(null), json!({"authorization": "Bearer hush"})).await;
    store(&of_other.body()["sealed"]).await;
    let event_id = lab.payment(&merchant).await.event_id;
    lab.service.post("/internal/open", &[crate::service::opening(event_id, "inv_2")]).await;
    let parked: (String, String) = sqlx::query_as("select state, reason from deliveries where event_id = $1")
        .bind(event_id.to_string())
        .fetch_one(&lab.database)
        .await
        .unwrap();
    assert_eq!(parked, ("parked".to_owned(), "no_secret".to_owned()));
    let gone =
        change(&endpoint, changed.body()["sealed"].clone(), json!({"authorization": null, "x-region": null})).await;
    assert_eq!(gone.body(), json!({"sealed": null}));
}
