//! payments-api over real HTTP on a real database, whose role has the service's rights and no more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod doors;
mod idempotency;
mod merchants;
mod payments;
mod status;
mod trace;

use std::time::Duration;

use chassis::client::{self, Limits};
use chassis::{Lifecycle, server};
use payments_api::{Api, Door, ensure_demo_merchant, router};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

/// A running service, its client, and a look behind the scenes.
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
    replayed: bool,
    retry_after: Option<String>,
    text: String,
}

impl Answer {
    fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| Value::String(self.text.clone()))
    }

    /// For a snapshot: without what is different each time.
    fn shown(&self) -> Value {
        let mut body = self.body();
        mask(&mut body);
        json!({"status": self.status, "content_type": self.content_type, "body": body})
    }

    fn payment_id(&self) -> String {
        self.body()["payment_id"].as_str().expect("an answer with a payment").to_owned()
    }
}

impl Lab {
    /// Open, and with the demo merchant.
    async fn start(pool: PgPoolOptions, connect: PgConnectOptions) -> Self {
        let database = pool.connect_with(connect.clone()).await.unwrap();
        let service = PgPoolOptions::new()
            .acquire_timeout(Duration::from_secs(2))
            .max_connections(8)
            .connect_lazy_with(connect.options([("role", "everhook_payments")]));
        let lifecycle = Lifecycle::default();
        ensure_demo_merchant(&lifecycle, &service).await;
        Self::serve(lifecycle, database, Api::new(service, true), Door::Open).await
    }

    async fn serve(lifecycle: Lifecycle, database: PgPool, api: Api, door: Door) -> Self {
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        server::serve(&lifecycle, listener, router(api, door));
        let client = client::build(Limits { whole: Duration::from_secs(20), ..Limits::default() }).unwrap();
        Self { url, client, lifecycle, database }
    }

    async fn get(&self, path: &str) -> Answer {
        answer(self.client.get(format!("{}{path}", self.url))).await
    }

    fn request(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).json(body)
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        answer(self.request(path, &body)).await
    }

    async fn post_with_key(&self, key: &str, path: &str, body: Value) -> Answer {
        answer(self.request(path, &body).header("idempotency-key", key)).await
    }

    async fn post_text(&self, path: &str, body: impl Into<String>) -> Answer {
        let request = self.client.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        answer(request.body(body.into())).await
    }

    /// How many payments, events and idempotency keys are committed.
    async fn counts(&self) -> (i64, i64, i64) {
        sqlx::query_as(
            "select (select count(*) from payments), (select count(*) from domain_events),
                (select count(*) from idempotency_keys)",
        )
        .fetch_one(&self.database)
        .await
        .unwrap()
    }
}

impl Drop for Lab {
    /// Lets go of the database, which can't be dropped while somebody is connected.
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    Answer {
        status: response.status().as_u16(),
        content_type: header("content-type").unwrap_or_default(),
        replayed: header("idempotent-replay").is_some_and(|value| value == "true"),
        retry_after: header("retry-after"),
        text: response.text().await.unwrap(),
    }
}

/// Masks ids and moments. Only what has their exact form is masked, so that another form is seen in the snapshot.
fn mask(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(mask),
        Value::Object(members) => members.values_mut().for_each(mask),
        Value::String(text) => {
            let is_moment = text.len() == 27 && text.parse::<domain::time::Timestamp>().is_ok();
            if is_moment {
                *text = "[moment]".to_owned();
            } else if text.parse::<domain::ids::PaymentId>().is_ok() {
                *text = "[pay_]".to_owned();
            } else if text.parse::<domain::ids::MerchantId>().is_ok_and(|id| id != payments_api::DEMO_MERCHANT) {
                *text = "[mer_]".to_owned();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
