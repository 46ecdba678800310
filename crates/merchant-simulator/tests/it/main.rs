//! The simulator over real HTTP, on a free port.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod accounts;
mod arrivals;
mod moods;
mod signatures;

use std::sync::Arc;
use std::time::Duration;

use chassis::client::{self, Limits};
use chassis::{Lifecycle, server};
use domain::signature::Secret;
use merchant_simulator::{Simulator, router};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// A running simulator and a client for it.
struct Lab {
    url: String,
    client: reqwest::Client,
    lifecycle: Lifecycle,
}

/// What an HTTP answer looks like in a snapshot: times are masked, since they are never the same.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    fn shown(mut self) -> Value {
        mask_times(&mut self.body);
        json!({"status": self.status, "body": self.body})
    }
}

impl Lab {
    async fn start() -> Self {
        let lifecycle = Lifecycle::default();
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        server::serve(&lifecycle, listener, router(Arc::new(Simulator::new(lifecycle.clone()))));
        let client = client::build(Limits { whole: Duration::from_secs(10), ..Limits::default() }).unwrap();
        Self { url, client, lifecycle }
    }

    async fn with_account(endpoint_id: &str, secret: &Secret) -> Self {
        let lab = Self::start().await;
        let answer = lab.put(&format!("accounts/{endpoint_id}"), json!({"secret": secret.expose()})).await;
        assert_eq!(answer.status, 204);
        lab
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        answer(self.client.put(format!("{}/{path}", self.url)).json(&body)).await
    }

    async fn get(&self, path: &str) -> Answer {
        answer(self.client.get(format!("{}/{path}", self.url))).await
    }

    async fn post(&self, path: &str) -> Answer {
        answer(self.client.post(format!("{}/{path}", self.url))).await
    }

    /// A webhook, signed as it should be.
    async fn deliver(&self, endpoint_id: &str, secret: &Secret, webhook_id: &str, body: &Value) -> Answer {
        answer(self.signed(endpoint_id, secret, webhook_id, body, 0)).await
    }

    /// A webhook that was signed so many seconds from now.
    fn signed(
        &self,
        endpoint_id: &str,
        secret: &Secret,
        webhook_id: &str,
        body: &Value,
        from_now_s: i64,
    ) -> reqwest::RequestBuilder {
        let timestamp = OffsetDateTime::now_utc().unix_timestamp() + from_now_s;
        let bytes = serde_json::to_vec(body).unwrap();
        self.client
            .post(format!("{}/webhooks/{endpoint_id}", self.url))
            .header("webhook-id", webhook_id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", secret.sign(webhook_id, timestamp, &bytes))
            .body(bytes)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.bytes().await.unwrap();
    let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
    Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()) }
}

fn secret(seed: u8) -> Secret {
    Secret::from_bytes(&[seed; 32]).unwrap()
}

/// A body as Everhook sends it.
fn webhook(event_version: i64, object_version: i64) -> Value {
    json!({
        "type": "payment.succeeded",
        "timestamp": "2026-11-23T20:38:00.000001Z",
        "data": {"payment_id": "pay_1", "reference": "order 7", "version": object_version, "amount": 1000},
        "event_id": "evt_1",
        "event_version": event_version,
        "object_version": object_version,
        "observed_at": "2026-11-23T20:38:00.500000Z",
    })
}

fn mask_times(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(mask_times),
        Value::Object(members) => {
            for (name, value) in members {
                match name.as_str() {
                    "first_at" | "received_at" => mask(value),
                    "repeats" if value.is_array() => value.as_array_mut().unwrap().iter_mut().for_each(mask),
                    _ => mask_times(value),
                }
            }
        }
        _ => {}
    }
}

/// Only what is a moment with six digits is masked, so that another format is seen in the snapshot.
fn mask(value: &mut Value) {
    let text = value.as_str().unwrap_or_default();
    let is_moment = text.len() == 27 && text.parse::<domain::time::Timestamp>().is_ok();
    if is_moment {
        *value = json!("[moment]");
    }
}
