//! portal over real HTTP on a real database, whose role has the service's rights and no more; data-service is played.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod audit;
mod deliveries;
mod doors;
mod endpoints;
mod events;
mod health;
mod hops;
mod idempotency;
mod jobs;
mod ledger;
mod merchants;
mod openapi;
mod parked_records;
mod played;
mod secret;
mod tests;
mod tokens;
mod why;

use std::time::Duration;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::client::{self, Limits};
use chassis::egress::EgressFlags;
use chassis::{Lifecycle, Token, server};
use portal::{DataService, Portal, TokenKeys, router};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use store::{Durability, Statements};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A running portal, its client, and a look behind the scenes.
struct Lab {
    url: String,
    client: reqwest::Client,
    lifecycle: Lifecycle,
    /// Sees and may do everything.
    database: PgPool,
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    status: u16,
    content_type: String,
    body: Value,
    text: String,
    replayed: bool,
}

impl Answer {
    /// For a snapshot: without what is different each time.
    fn shown(&self) -> Value {
        let mut body = self.body.clone();
        mask(&mut body);
        json!({"status": self.status, "content_type": self.content_type, "body": body})
    }

    fn text(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member} in {}", self.body)).to_owned()
    }
}

impl Lab {
    async fn start(pool: PgPoolOptions, connect: PgConnectOptions) -> Self {
        Self::start_with(to_loopback(), pool, connect).await
    }

    async fn start_with(egress: EgressFlags, pool: PgPoolOptions, connect: PgConnectOptions) -> Self {
        let lifecycle = Lifecycle::default();
        let data_service = serve(&lifecycle, played::data_service()).await;
        let database = pool.connect_with(connect.clone()).await.unwrap();
        let connect = connect.options([("role", "everhook_portal")]);
        let pool = |statements| store::connect_with(connect.clone(), 3, Durability::Durable, statements);
        let pools = (pool(Statements::Any), pool(Statements::Scans));
        Self::with_egress(egress, lifecycle, database, pools, &data_service).await
    }

    async fn with(lifecycle: Lifecycle, database: PgPool, pool: PgPool, lists: PgPool, data_service: &str) -> Self {
        Self::with_egress(to_loopback(), lifecycle, database, (pool, lists), data_service).await
    }

    async fn with_egress(
        egress: EgressFlags,
        lifecycle: Lifecycle,
        database: PgPool,
        (pool, lists): (PgPool, PgPool),
        data_service: &str,
    ) -> Self {
        let client = client::build(Limits { whole: Duration::from_secs(20), ..Limits::default() }).unwrap();
        let data_service =
            DataService::new(client.clone(), &data_service.parse().unwrap(), Token::new("of-the-portal")).unwrap();
        let token_keys = TokenKeys::from_text("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap();
        let portal = Portal { pool, lists, data_service, token_keys, egress: egress.policy() };
        let url = serve(&lifecycle, router(portal, Token::new("of-the-operator"))).await;
        Self { url, client, lifecycle, database }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth("of-the-operator")
    }

    /// As somebody who has this token.
    async fn ask(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = self
            .client
            .request(method.to_uppercase().parse().unwrap(), format!("{}{path}", self.url))
            .bearer_auth(token);
        answer(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    /// All items of a list, page by page; each page is at most as long as the path says, and none is empty but the last.
    async fn all(&self, path: &str) -> Vec<Value> {
        let (mut items, mut next) = (Vec::new(), path.to_owned());
        loop {
            let page = self.get(&next).await;
            assert_eq!(page.status, 200, "{next}: {}", page.body);
            items.extend(page.body["items"].as_array().unwrap().clone());
            match page.body["next_cursor"].as_str() {
                Some(cursor) => next = format!("{path}{}cursor={cursor}", if path.contains('?') { '&' } else { '?' }),
                None => return items,
            }
        }
    }

    async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    async fn post_with_key(&self, token: &str, key: &str, path: &str, body: &Value) -> Answer {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(token).json(body);
        answer(request.header("Idempotency-Key", key)).await
    }

    async fn patch(&self, path: &str, body: Value) -> Answer {
        answer(self.request(Method::PATCH, path).json(&body)).await
    }

    async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.database).await.unwrap();
    }
}

impl Drop for Lab {
    /// Lets go of the database, which can't be dropped while somebody is connected.
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

/// As on a machine for development.
fn to_loopback() -> EgressFlags {
    EgressFlags { allow_networks: vec!["127.0.0.0/8".parse().unwrap()], allow_http: true }
}

async fn serve(lifecycle: &Lifecycle, router: Router) -> String {
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    server::serve(lifecycle, listener, router);
    url
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
    let replayed = response.headers().get("idempotent-replay").is_some();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.clone()));
    Answer { status, content_type, body, text, replayed }
}

/// Masks moments, and ids that were made in the test. Ids with readable digits stay.
fn mask(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(mask),
        Value::Object(members) => {
            members.values_mut().for_each(mask);
            if let Some(Value::String(cursor)) = members.get_mut("next_cursor") {
                let id = String::from_utf8(URL_SAFE_NO_PAD.decode(&*cursor).unwrap()).unwrap();
                *cursor = format!("[cursor of {}]", mask_word(&id));
            }
        }
        Value::String(text) => {
            *text = text.split(' ').map(mask_word).collect::<Vec<_>>().join(" ");
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Only what has the exact form is masked, so that another form is seen in the snapshot.
fn mask_word(word: &str) -> String {
    let plain = word.trim_end_matches([',', ';', ':', '.']);
    let rest = &word[plain.len()..];
    let is_moment = plain.len() == 27 && plain.parse::<domain::time::Timestamp>().is_ok();
    let (prefix, digits) = plain.split_once('_').map_or(("", ""), |(prefix, digits)| (prefix, digits));
    let is_made = ["ep", "evt"].contains(&prefix) && digits.len() == 32 && !digits.starts_with('0');
    let is_id = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    match (is_moment, is_made || is_id && digits.starts_with("01")) {
        (true, _) => format!("[moment]{rest}"),
        (_, true) => format!("[{prefix}_]{rest}"),
        _ => word.to_owned(),
    }
}
