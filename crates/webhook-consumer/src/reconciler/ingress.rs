//! Restate's ingress: what data-service has handed out goes there by id.

use std::time::Duration;

use chassis::client::{self, Limits};
use chassis::error_chain::Chain;
use domain::ids::EventId;
use domain::protocol::{Later, Overdue};
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use url::Url;

/// Sends side by side.
const SIDE_BY_SIDE: usize = 16;

/// The door.
#[derive(Clone)]
pub(super) struct Ingress {
    client: reqwest::Client,
    url: Url,
}

/// What Restate is to take up.
enum Work {
    Event(EventId),
    Delivery(Later),
}

/// Work could not be handed to Restate; the sweep finds it again.
#[derive(Debug, thiserror::Error)]
#[error("sending {what} to Restate's ingress")]
struct NotSent {
    what: String,
    source: reqwest::Error,
}

impl Ingress {
    /// The door at this URL.
    pub(super) fn new(url: Url) -> Result<Self, client::SetUp> {
        let limits = Limits { connect: Duration::from_secs(2), whole: Duration::from_secs(10) };
        Ok(Self { client: client::build(limits)?, url })
    }

    /// False if one could not be sent: it will be overdue again.
    pub(super) async fn send_all(&self, overdue: Overdue) -> bool {
        let work: Vec<Work> = overdue
            .events
            .into_iter()
            .map(Work::Event)
            .chain(overdue.deliveries.into_iter().map(Work::Delivery))
            .collect();
        let sends = work.into_iter().map(|work| self.send(work));
        let results: Vec<Result<(), NotSent>> = stream::iter(sends).buffer_unordered(SIDE_BY_SIDE).collect().await;
        let failures: Vec<&NotSent> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        if let Some(first) = failures.first() {
            tracing::warn!(error = %Chain(*first), failures = failures.len(), "overdue work could not be sent");
        }
        failures.is_empty()
    }

    async fn send(&self, work: Work) -> Result<(), NotSent> {
        let (what, path, body) = match work {
            Work::Event(event) => {
                (event.to_string(), "/Delivery/event/send", json!({ "record": { "event_id": event } }))
            }
            Work::Delivery(later) => (later.delivery_id.to_string(), "/Delivery/attempt/send", json!(later)),
        };
        let url = format!("{}{path}", self.url.as_str().trim_end_matches('/'));
        let request = self.client.post(url).header("content-type", "application/octet-stream").body(body.to_string());
        let sent = request.send().await.and_then(reqwest::Response::error_for_status);
        sent.map(drop).map_err(|source| NotSent { what, source })
    }
}
