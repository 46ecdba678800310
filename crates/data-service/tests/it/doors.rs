//! Who may come in, what is at no path, and what a wrong body is told.

use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::lab::{Lab, Wants};
use crate::service::{CONSUMER, PORTAL};

const DOORS: [(&str, &str, &str); 9] = [
    ("GET", "/payload/pay_019a0b1c2d3e7f00a1b2c3d4e5f60718", CONSUMER),
    ("POST", "/internal/open", CONSUMER),
    ("POST", "/internal/next", CONSUMER),
    ("POST", "/internal/record", CONSUMER),
    ("POST", "/internal/parked-records", CONSUMER),
    ("POST", "/internal/overdue", CONSUMER),
    ("POST", "/internal/secrets", PORTAL),
    ("GET", "/internal/endpoints/ep_019a0b1c2d3e7f00a1b2c3d4e5f60718/secret", PORTAL),
    ("POST", "/internal/endpoints/ep_019a0b1c2d3e7f00a1b2c3d4e5f60718/secret/rotate", PORTAL),
];

#[sqlx::test(migrations = "../../migrations")]
async fn each_door_opens_with_its_own_token_only(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    for (method, path, token) in DOORS {
        let request = || lab.service.request(method.parse().unwrap(), path).json(&json!([]));
        let other = if token == CONSUMER { PORTAL } else { CONSUMER };
        let cut = &token[..token.len() - 1];
        for wrong in [
            request(),
            request().bearer_auth("guess"),
            request().bearer_auth(other),
            request().bearer_auth(cut),
            request().bearer_auth(""),
            request().header("authorization", token),
            request().basic_auth("consumer", Some(token)),
        ] {
            let reply = lab.service.send(wrong).await;
            assert_eq!(reply.status, 401, "{method} {path}");
            assert_eq!(reply.content_type, "application/problem+json", "{method} {path}");
        }
        let reply = lab.service.send(request().bearer_auth(token)).await;
        assert_ne!(reply.status, 401, "{method} {path}");
    }
    let reply = lab.service.send(lab.service.request(Method::POST, "/internal/open").json(&json!([]))).await;
    insta::assert_json_snapshot!("no_token", reply.shown());
    assert_eq!(lab.service.send(lab.service.request(Method::GET, "/health")).await.status, 200);
}

#[sqlx::test(migrations = "../../migrations")]
async fn nothing_is_at_other_paths_and_other_methods_are_refused(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    insta::assert_json_snapshot!("no_such_path", lab.service.get("/internal").await.shown());
    insta::assert_json_snapshot!("no_such_method", lab.service.get("/internal/open").await.shown());
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_body_that_is_not_understood_is_told_the_field(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let event_id = "evt_019a0b1c2d3e7f00a1b2c3d4e5f60718";
    let delivery_id = "dlv_019a0b1c2d3e7f00a1b2c3d4e5f60718";
    let mut problems = Vec::new();
    for (path, body) in [
        ("/internal/open", json!({"event_id": event_id})),
        ("/internal/open", json!([{"event_id": "evt_1", "invocation_id": "i"}])),
        ("/internal/open", json!([{"event_id": event_id, "from_cdc": true, "handled_at": "2026-11-23T20:00:00Z"}])),
        ("/internal/next", json!([{"delivery_id": delivery_id, "claim": -1, "invocation_id": "i"}])),
        ("/internal/record", json!([{"delivery_id": delivery_id, "claim": 1, "attempt": 1}])),
        ("/internal/overdue", json!({})),
        ("/internal/parked-records", json!({"reason": "bored", "value_base64": ""})),
        ("/internal/parked-records", json!({"reason": "unreadable", "value_base64": "not base64!"})),
        ("/internal/parked-records", json!({"reason": "unreadable", "value_base64": "", "key_base64": "?"})),
    ] {
        let reply = lab.service.post(path, &body).await;
        assert!((400..500).contains(&reply.status), "{path} {body}: {}", reply.status);
        problems.push(json!({"path": path, "body": body, "reply": reply.shown()}));
    }
    insta::assert_json_snapshot!("wrong_bodies", problems);
}

/// PostgreSQL's text has no NUL. One caller's must not fail the batch of all.
#[sqlx::test(migrations = "../../migrations")]
async fn a_text_that_the_database_can_t_hold_fails_nobody_else(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let event_id = lab.payment(&merchant).await.event_id;
    let reply = lab.service.post("/internal/open", &[crate::service::opening(event_id, "a\0b")]).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(lab.fan_out(event_id).await, Some(1), "{}", reply.text);
    let attempt = lab.service.open_one(event_id, "a\0b").await;
    let result = domain::protocol::Recorded {
        detail: Some("connection \0 reset".to_owned()),
        ..crate::service::result(&attempt, crate::service::FAILED)
    };
    crate::answers::later(lab.service.record_all(&[result]).await.remove(0));
    let record = json!({"reason": "unreadable", "detail": "at \0", "topic": "t\0", "value_base64": "AAAA"});
    assert_eq!(lab.service.post("/internal/parked-records", &record).await.status, 204);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_payment_is_read_as_it_is_now(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let payment = lab.payment(&merchant).await;
    lab.change(&payment, "processing").await;
    let reply = lab.service.get(&format!("/payload/{}", payment.payment_id)).await;
    let mut shown = reply.shown();
    for (member, value) in [("payment_id", &payment.payment_id), ("merchant_id", &merchant)] {
        assert_eq!(&shown["body"][member], value.as_str());
        shown["body"][member] = "[id]".into();
    }
    for moment in ["created_at", "updated_at", "observed_at"] {
        let text = shown["body"][moment].as_str().unwrap();
        assert!(text.len() == 27 && text.ends_with('Z'), "{text}");
        shown["body"][moment] = "[moment]".into();
    }
    insta::assert_json_snapshot!("payload", shown);
    insta::assert_json_snapshot!(
        "no_payload",
        [
            lab.service.get("/payload/pay_019a0b1c2d3e7f00a1b2c3d4e5f60718").await.shown(),
            lab.service.get("/payload/nonsense").await.shown(),
        ]
    );
}
