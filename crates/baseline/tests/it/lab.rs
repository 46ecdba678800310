//! A running old way, a receiver, and a look at both.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use baseline::{Outbox, router};
use chassis::client::{self, Limits};
use chassis::egress::{EgressFlags, Policy};
use chassis::{Lifecycle, server};
use payments_api::Api;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::time::Instant;

pub(crate) struct Lab {
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    /// That of the service.
    pub(crate) lifecycle: Lifecycle,
    pub(crate) database: PgPool,
    pub(crate) receiver: Receiver,
    receivers: Lifecycle,
}

/// Takes every POST, and answers with its status.
#[derive(Clone, Default)]
pub(crate) struct Receiver(Arc<Mutex<Received>>);

#[derive(Default)]
struct Received {
    url: String,
    /// One after the other; the last one stays.
    statuses: VecDeque<u16>,
    requests: Vec<(HeaderMap, Bytes)>,
}

impl Receiver {
    pub(crate) fn answer(&self, status: u16) {
        self.answer_in_turn([status]);
    }

    pub(crate) fn answer_in_turn(&self, statuses: impl Into<VecDeque<u16>>) {
        self.0.lock().unwrap().statuses = statuses.into();
    }

    pub(crate) fn requests(&self) -> Vec<(HeaderMap, Bytes)> {
        self.0.lock().unwrap().requests.clone()
    }

    pub(crate) fn url(&self) -> String {
        self.0.lock().unwrap().url.clone()
    }

    async fn serve(lifecycle: &Lifecycle) -> Self {
        let receiver = Self::default();
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        receiver.0.lock().unwrap().url = format!("http://{}/", listener.local_addr().unwrap());
        receiver.answer(200);
        let router = Router::new().route("/", post(receive)).with_state(receiver.clone());
        server::serve(lifecycle, listener, router);
        receiver
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut received = receiver.0.lock().unwrap();
    received.requests.push((headers, body));
    let status =
        if received.statuses.len() > 1 { received.statuses.pop_front() } else { received.statuses.front().copied() };
    StatusCode::from_u16(status.unwrap()).unwrap()
}

impl Lab {
    pub(crate) async fn start(pool: PgPoolOptions, connect: PgConnectOptions) -> Self {
        let database = pool.connect_with(connect.clone()).await.unwrap();
        let (lifecycle, receivers) = (Lifecycle::default(), Lifecycle::default());
        let connections = || PgPoolOptions::new().max_connections(4).connect_lazy_with(connect.clone());
        let outbox = Outbox::new(&lifecycle, connections(), loopback()).unwrap();
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        server::serve(&lifecycle, listener, router(Api::new(connections(), false), outbox));
        let receiver = Receiver::serve(&receivers).await;
        let client = client::build(Limits { whole: Duration::from_secs(20), ..Limits::default() }).unwrap();
        Self { url, client, lifecycle, database, receiver, receivers }
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.client.post(format!("{}{path}", self.url)).json(&body)).await
    }

    /// A merchant with an endpoint at the receiver: its id, and the endpoint as it was made.
    pub(crate) async fn merchant(&self) -> (String, Value) {
        let (status, merchant) = self.post("/merchants", json!({"name": "Bakery"})).await;
        assert_eq!(status, 201, "{merchant}");
        let merchant_id = merchant["merchant_id"].as_str().unwrap().to_owned();
        let path = format!("/merchants/{merchant_id}/endpoints");
        let new = json!({"url": self.receiver.url(), "event_types": ["payment.*"]});
        let (status, endpoint) = self.post(&path, new).await;
        assert_eq!(status, 201, "{endpoint}");
        (merchant_id, endpoint)
    }

    pub(crate) async fn pay(&self, merchant_id: &str, key: &str) -> Value {
        let body = json!({"merchant_id": merchant_id, "amount": 1000, "currency": "USD", "reference": "order 7"});
        let request = self.client.post(format!("{}/payments", self.url)).header("idempotency-key", key);
        let (status, payment) = answer(request.json(&body)).await;
        assert_eq!(status, 201, "{payment}");
        payment
    }

    pub(crate) async fn in_memory(&self) -> u64 {
        let (_, status) = answer(self.client.get(format!("{}/status", self.url))).await;
        status["in_memory"].as_u64().unwrap()
    }

    /// Polls until so many requests were received.
    pub(crate) async fn until_received(&self, requests: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.receiver.requests().len() < requests {
            assert!(Instant::now() < deadline, "only {} requests were received", self.receiver.requests().len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until_nothing_is_in_memory(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let in_memory = self.in_memory().await;
            if in_memory == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{in_memory} are still in memory");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Lab {
    /// Lets go of the database, which can't be dropped while somebody is connected.
    fn drop(&mut self) {
        self.lifecycle.stop();
        self.receivers.stop();
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn loopback() -> Policy {
    EgressFlags { allow_networks: vec!["127.0.0.0/8".parse().unwrap()], allow_http: true }.policy()
}
