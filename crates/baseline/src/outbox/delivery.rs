//! One event for one endpoint: attempts by the rules of the ledger, which here is a variable.

use std::time::Duration;

use chassis::error_chain::Chain;
use domain::ledger::{self, Delivery, Next, State};
use domain::outcome::{Failure, Outcome, judge};
use domain::schedule::Schedule;
use domain::signature::{Secret, Version};
use domain::time::Timestamp;
use domain::webhook::Request;
use store::ledger::{Endpoint, endpoints_of};
use store::payload::disable_endpoints;
use time::OffsetDateTime;

use super::Outbox;
use crate::event::Event;

/// The one claim that there is: nobody else could make one.
const CLAIM: u32 = 1;
impl Outbox {
    /// Attempts until the delivery has come to an end. When the process is to stop, what waits is tried once more at
    /// once, and what fails then is lost.
    pub(super) async fn deliver(&self, event: &Event, mut endpoint: Endpoint) {
        let mut delivery = Delivery::waiting();
        loop {
            let (secrets, schedule) = (secrets(&endpoint), schedule(&endpoint));
            let at = ledger::Endpoint { state: endpoint.state, has_secret: !secrets.is_empty(), schedule: &schedule };
            let begun = ledger::next(delivery, CLAIM, Duration::ZERO, at, 0.0);
            let Next::Attempt { number } = begun.next else {
                return tracing::warn!(event.id = %event.event_id, endpoint.id = endpoint.endpoint_id, "not sent: nothing may be sent to the endpoint");
            };
            let is_last = self.0.lifecycle.is_stopping();
            let outcome = self.post(event, &endpoint, &secrets).await;
            if outcome.disables_endpoint() {
                self.disable(&endpoint).await;
            }
            let recorded = ledger::record(begun.delivery, CLAIM, number, &outcome, &schedule, rand::random());
            delivery = recorded.delivery;
            match recorded.next {
                Next::Stop(_) if delivery.state == State::Delivered => return,
                Next::Stop(_) => {
                    return tracing::warn!(event.id = %event.event_id, endpoint.id = endpoint.endpoint_id, outcome = outcome.as_str(), "given up");
                }
                Next::Wait(_) if is_last => {
                    return tracing::error!(event.id = %event.event_id, endpoint.id = endpoint.endpoint_id, "lost: it was in memory only, and the process stops");
                }
                Next::Wait(wait) => {
                    self.0.lifecycle.sleep(wait).await;
                    endpoint = self.as_it_is_now(endpoint).await;
                }
                // There is no gate here.
                Next::Stay(_) | Next::Attempt { .. } => {}
            }
        }
    }

    async fn post(&self, event: &Event, endpoint: &Endpoint, secrets: &[Secret]) -> Outcome {
        let id = event.event_id.to_string();
        let request = Request::signed(&endpoint.url, &id, now(), secrets, event.body.clone());
        let limit = Duration::from_millis(u64::try_from(endpoint.timeout_ms).unwrap_or_default());
        let exchange = self.0.door.post(&request.url, &request.headers, request.body, limit).await;
        match exchange.answer {
            Ok(answer) => judge(answer.status, answer.header("webhook-delivery"), answer.header("retry-after"), now()),
            Err(error) => {
                tracing::debug!(event.id = id, endpoint.id = endpoint.endpoint_id, error = %Chain(&*error), "no answer");
                // Which of the reasons it is would be for the attempt log, and there is none.
                Outcome::Failed { reason: Failure::Broken, retry_after_ms: None }
            }
        }
    }

    /// The endpoint may have moved since. If the database does not answer, what was known is good enough.
    async fn as_it_is_now(&self, endpoint: Endpoint) -> Endpoint {
        match endpoints_of(&self.0.kept, &[], std::slice::from_ref(&endpoint.endpoint_id)).await {
            Ok(mut found) => found.pop().unwrap_or(endpoint),
            Err(error) => {
                tracing::warn!(endpoint.id = endpoint.endpoint_id, error = %Chain(&error), "an endpoint could not be read again");
                endpoint
            }
        }
    }

    async fn disable(&self, endpoint: &Endpoint) {
        let id = std::slice::from_ref(&endpoint.endpoint_id);
        if let Err(error) = disable_endpoints(&self.0.pool, id, Outcome::DISABLED).await {
            tracing::error!(endpoint.id = endpoint.endpoint_id, error = %Chain(&error), "an endpoint that is gone could not be disabled");
        }
    }
}

/// They are stored in clear.
fn secrets(endpoint: &Endpoint) -> Vec<Secret> {
    let read = |secret: &store::ledger::Secret| {
        let version: Version = secret.signature.parse().ok()?;
        version.secret_from_bytes(&secret.ciphertext).ok()
    };
    endpoint.secrets.iter().filter_map(read).collect()
}

fn schedule(endpoint: &Endpoint) -> Schedule {
    endpoint.schedule_ms.clone().and_then(|waits| waits.try_into().ok()).unwrap_or_default()
}

fn now() -> Timestamp {
    OffsetDateTime::now_utc().into()
}
