//! The whole way of an event on the real components: it arrives, and it still arrives when a service was killed.
//!
//! The services' binaries lie beside `stack`: build the workspace before this test.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use stack::components::{self, Cache, Installed};
use stack::ports::{Door, Ports};
use stack::progress::Progress;
use stack::scratch::Scratch;
use stack::services::{self, OPERATOR_TOKEN};
use stack::{Kit, Stack};

async fn everything() -> (Stack, Scratch) {
    let progress = Progress::silent();
    let binaries = Path::new(env!("CARGO_BIN_EXE_stack")).parent().unwrap().to_owned();
    services::check(&binaries).unwrap();
    let cache = Cache::choose(std::env::var_os("EVERHOOK_CACHE_DIR").map(Into::into)).unwrap();
    let components = components::all(&cache, &Installed::from_environment(), &progress).await.unwrap();
    let (scratch, folder) = Scratch::new().await.unwrap();
    let stack = Stack::new(folder, Ports::free().unwrap(), Kit::Everything(components, binaries), progress).unwrap();
    stack.start_all().await.unwrap();
    (stack, scratch)
}

struct Doors<'a> {
    stack: &'a Stack,
    client: Client,
}

impl Doors<'_> {
    fn url(&self, door: Door, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.stack.ports().of(door))
    }

    async fn post(&self, door: Door, path: &str, body: Value) -> Value {
        let request = self.client.post(self.url(door, path)).json(&body);
        let token = self.stack.secrets().text(OPERATOR_TOKEN).unwrap();
        let response = request.bearer_auth(token).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{path} answered {status}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A merchant with an endpoint at the simulator; answers both ids.
    async fn merchant(&self) -> (String, String) {
        let merchant = self.post(Door::PaymentsApi, "/merchants", json!({"name": "Way"})).await;
        let merchant_id = merchant["merchant_id"].as_str().unwrap().to_owned();
        // The endpoint's id is part of its URL at the simulator, so the URL is set once the id is known.
        let path = format!("/merchants/{merchant_id}/endpoints");
        let url = self.url(Door::MerchantSimulator, "/webhooks/later");
        let endpoint = self.post(Door::Portal, &path, json!({"url": url})).await;
        let endpoint_id = endpoint["endpoint_id"].as_str().unwrap().to_owned();
        let url = self.url(Door::MerchantSimulator, &format!("/webhooks/{endpoint_id}"));
        let token = self.stack.secrets().text(OPERATOR_TOKEN).unwrap();
        let patch = self.client.patch(self.url(Door::Portal, &format!("/endpoints/{endpoint_id}")));
        let patched = patch.bearer_auth(token).json(&json!({"url": url})).send().await.unwrap();
        assert!(patched.status().is_success(), "{}", patched.text().await.unwrap());
        let account = self.url(Door::MerchantSimulator, &format!("/accounts/{endpoint_id}"));
        let put = self.client.put(account).json(&json!({"secret": endpoint["secret"]})).send().await.unwrap();
        assert!(put.status().is_success(), "{}", put.text().await.unwrap());
        (merchant_id, endpoint_id)
    }

    /// As a client does it: a request that was not answered, or with 503, is made again with its key.
    async fn pay(&self, merchant_id: &str, key: &str) -> String {
        let body = json!({"merchant_id": merchant_id, "amount": 1000, "currency": "USD"});
        let url = self.url(Door::PaymentsApi, "/payments");
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = self.client.post(&url).header("idempotency-key", key).json(&body).send().await;
            let last = match answer {
                Ok(answer) if answer.status().is_success() => {
                    let payment: Value = answer.json().await.unwrap();
                    return payment["payment_id"].as_str().unwrap().to_owned();
                }
                Ok(answer) => answer.status().to_string(),
                Err(error) => error.to_string(),
            };
            assert!(Instant::now() < deadline, "no payment could be made; the last answer: {last}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn wait_for_arrival(&self, endpoint_id: &str, payment_id: &str) {
        let url = self.url(Door::MerchantSimulator, &format!("/accounts/{endpoint_id}/arrivals"));
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer: Value = self.client.get(&url).send().await.unwrap().json().await.unwrap();
            let arrivals = answer["arrivals"].as_array().unwrap();
            if arrivals.iter().any(|arrival| arrival["payment_id"] == *payment_id) {
                return;
            }
            assert!(Instant::now() < deadline, "{payment_id} has not arrived; what has: {answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_arrives_and_still_does_when_any_process_was_killed() {
    let (stack, _scratch) = everything().await;
    let client = chassis::client::build(chassis::client::Limits::default()).unwrap();
    let doors = Doors { stack: &stack, client };
    let (merchant_id, endpoint_id) = doors.merchant().await;
    let first = doors.pay(&merchant_id, "first").await;
    doors.wait_for_arrival(&endpoint_id, &first).await;

    for name in ["cdc-relay", "webhook-consumer", "data-service", "restate", "kafka", "postgres"] {
        stack.kill9(name).await.unwrap();
        if name == "postgres" {
            stack.start(name).await.unwrap();
        }
        let payment = doors.pay(&merchant_id, name).await;
        if name != "postgres" {
            stack.start(name).await.unwrap();
        }
        doors.wait_for_arrival(&endpoint_id, &payment).await;
    }
    stack.stop_all().await.unwrap();
}
