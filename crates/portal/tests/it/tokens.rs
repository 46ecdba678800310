//! Making merchants' tokens.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;
use crate::ledger::MERCHANT;

#[sqlx::test(migrations = "../../migrations")]
async fn a_token_is_valid_for_an_hour_or_as_long_as_is_said(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let path = format!("/merchants/{MERCHANT}/tokens");
    for (body, minutes) in [(json!({}), 60), (json!({"valid_for": "1m"}), 1), (json!({"valid_for": "24h"}), 24 * 60)] {
        let made = lab.post(&path, body).await;
        assert_eq!((made.status, made.text("merchant_id").as_str()), (201, MERCHANT));
        assert!(made.text("token").starts_with("emt_v1."));
        let expires_at: time::OffsetDateTime =
            made.text("expires_at").parse::<domain::time::Timestamp>().unwrap().into_inner();
        let left = (expires_at - time::OffsetDateTime::now_utc()).whole_seconds();
        assert!((minutes * 60 - 30..=minutes * 60).contains(&left), "{left} s");
        assert_eq!(lab.ask(&made.text("token"), "get", "/event-types", None).await.status, 200);
    }
    let mut shown = Vec::new();
    for body in [
        json!({"valid_for": "59s"}),
        json!({"valid_for": "24h 1s"}),
        json!({"valid_for": "soon"}),
        json!({"for": 1}),
        json!([]),
    ] {
        shown.push((body.to_string(), lab.post(&path, body).await.shown()));
    }
    let nobody = "/merchants/mer_00000000000000000000000000000009/tokens";
    shown.push((nobody.to_owned(), lab.post(nobody, json!({})).await.shown()));
    insta::assert_json_snapshot!("token_problems", shown);
}

/// Signed with the key of this test, long ago.
#[sqlx::test(migrations = "../../migrations")]
async fn an_expired_token_says_so(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let old = portal::TokenKeys::from_text("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap().sign(
        MERCHANT.parse().unwrap(),
        "2026-11-24T00:00:00Z".parse().unwrap(),
        std::time::Duration::from_secs(60),
    );
    insta::assert_json_snapshot!("token_expired", lab.ask(&old.0, "get", "/event-types", None).await.shown());
}
