//! A running service, and the ledger protocol as webhook-consumer speaks it.

use chassis::client::{self, Limits};
use chassis::{Lifecycle, Token, server};
use data_service::app::{App, router};
use domain::ids::{AttemptId, DeliveryId, EventId};
use domain::outcome::{Failure, Outcome};
use domain::protocol::{Answer, Ask, Attempt, Exchange, Later, Open, Opened, Overdue, OverdueQuery, Recorded};
use serde::Serialize;
use serde_json::{Value, json};

use crate::answers::attempts;

pub const CONSUMER: &str = "token of the consumer";
pub const PORTAL: &str = "token of the portal";

/// A process.
pub struct Service {
    url: String,
    client: reqwest::Client,
    pub lifecycle: Lifecycle,
}

/// An HTTP answer as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<String>,
    pub text: String,
}

impl Reply {
    pub fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| Value::String(self.text.clone()))
    }

    pub fn shown(&self) -> Value {
        json!({"status": self.status, "content_type": self.content_type, "body": self.body()})
    }
}

impl Service {
    pub async fn start(lifecycle: Lifecycle, app: App) -> Self {
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        server::serve(&lifecycle, listener, router(app, Token::new(CONSUMER), Token::new(PORTAL)));
        let client = client::build(Limits::default()).unwrap();
        Self { url, client, lifecycle }
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        Reply {
            status: response.status().as_u16(),
            content_type: header("content-type").unwrap_or_default(),
            retry_after: header("retry-after"),
            text: response.text().await.unwrap(),
        }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(reqwest::Method::GET, path).bearer_auth(CONSUMER)).await
    }

    pub async fn post(&self, path: &str, body: &impl Serialize) -> Reply {
        self.send(self.request(reqwest::Method::POST, path).bearer_auth(CONSUMER).json(body)).await
    }

    async fn ask_for<R: serde::de::DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> R {
        let reply = self.post(path, body).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        serde_json::from_str(&reply.text).unwrap()
    }

    pub async fn open_all(&self, items: &[Open]) -> Vec<Opened> {
        self.ask_for("/internal/open", &items).await
    }

    /// Opens an event that came through CDC.
    pub async fn open(&self, event_id: EventId, invocation_id: &str) -> Opened {
        self.open_all(&[opening(event_id, invocation_id)]).await.remove(0)
    }

    /// Opens an event of which exactly one attempt is to be made.
    pub async fn open_one(&self, event_id: EventId, invocation_id: &str) -> Attempt {
        let opened = self.open(event_id, invocation_id).await;
        let mut attempts = attempts(opened);
        assert_eq!(attempts.len(), 1, "{attempts:?}");
        attempts.remove(0)
    }

    pub async fn next_all(&self, items: &[Ask]) -> Vec<Answer> {
        self.ask_for("/internal/next", &items).await
    }

    pub async fn next(&self, delivery_id: DeliveryId, claim: u32, invocation_id: &str) -> Answer {
        self.next_all(&[Ask { delivery_id, claim, invocation_id: invocation_id.to_owned(), busy: Vec::new() }])
            .await
            .remove(0)
    }

    pub async fn record_all(&self, items: &[Recorded]) -> Vec<Answer> {
        self.ask_for("/internal/record", &items).await
    }

    pub async fn record(&self, attempt: &Attempt, outcome: Outcome) -> Answer {
        self.record_all(&[result(attempt, outcome)]).await.remove(0)
    }

    /// Looks for overdue work as the process that leads.
    pub async fn overdue(&self) -> Overdue {
        let overdue = self.overdue_for("the leader").await;
        assert!(overdue.leads);
        overdue
    }

    pub async fn overdue_for(&self, holder: &str) -> Overdue {
        self.ask_for("/internal/overdue", &OverdueQuery { holder: holder.to_owned() }).await
    }

    /// One step of a job, by the process that leads.
    pub async fn job_step(&self) -> Overdue {
        self.job_step_for("the leader").await
    }

    pub async fn job_step_for(&self, holder: &str) -> Overdue {
        self.ask_for("/internal/jobs", &OverdueQuery { holder: holder.to_owned() }).await
    }

    /// Steps until no job is running; answers all that is sent.
    pub async fn finish_jobs(&self) -> Vec<Later> {
        let mut sent = Vec::new();
        loop {
            let step = self.job_step().await;
            sent.extend(step.deliveries);
            if !step.more {
                return sent;
            }
        }
    }

    /// The overdue deliveries' claims, by the leader.
    pub async fn overdue_deliveries(&self) -> Vec<Later> {
        self.overdue().await.deliveries
    }
}

impl Drop for Service {
    /// Lets go of the database, which can't be dropped while somebody is connected.
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

pub fn opening(event_id: EventId, invocation_id: &str) -> Open {
    let moment = "2026-11-23T20:00:00Z".parse().unwrap();
    Open {
        event_id,
        invocation_id: invocation_id.to_owned(),
        from_cdc: true,
        committed_at: Some(moment),
        captured_at: Some(moment),
        handled_at: moment,
        busy: Vec::new(),
    }
}

pub fn result(attempt: &Attempt, outcome: Outcome) -> Recorded {
    let status = match outcome {
        Outcome::Delivered { .. } => Some(204),
        Outcome::Gone => Some(410),
        Outcome::Aborted | Outcome::Failed { .. } => Some(500),
    };
    Recorded {
        delivery_id: attempt.delivery_id,
        claim: attempt.claim,
        attempt: attempt.attempt,
        attempt_id: attempt.attempt_id,
        in_line: attempt.in_line,
        in_flight: 0,
        began_at: "2026-11-23T20:00:00Z".parse().unwrap(),
        duration_ms: 12,
        status,
        detail: None,
        exchange: Exchange::default(),
        outcome,
    }
}

pub const DELIVERED: Outcome = Outcome::Delivered { disable: false };
pub const FAILED: Outcome = Outcome::Failed { reason: Failure::Status, retry_after_ms: None };

/// An id that nobody has made.
pub fn strange_attempt(delivery_id: DeliveryId) -> Attempt {
    Attempt {
        endpoint_id: None,
        slot: None,
        delivery_id,
        claim: 1,
        attempt: 1,
        attempt_id: "att_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse::<AttemptId>().unwrap(),
        timeout_ms: 1,
        in_line: false,
        committed_at: None,
        request: domain::webhook::Request { url: String::new(), headers: Vec::new(), body: String::new() },
    }
}
