//! A stateless loop in every process; a lease at data-service elects one. It heals what CDC, Kafka or Restate have
//! lost: overdue work goes to Restate's ingress by id, and the registration is made again where it is missing.

use std::time::Duration;

use chassis::Lifecycle;
use chassis::client::{self, Limits};
use chassis::error_chain::Chain;
use domain::ids::EventId;
use domain::protocol::{Later, Overdue, OverdueQuery};
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::config::Serve;
use crate::ledger_client::LedgerClient;
use crate::registration::{self, Deployment, Registrar};

/// Sends to the ingress side by side.
const SIDE_BY_SIDE: usize = 16;

struct Reconciler {
    ledger: LedgerClient,
    registrar: Registrar,
    client: reqwest::Client,
    ingress: Url,
    holder: String,
    every: Duration,
    /// What the next look at the registration does.
    deployment: Deployment,
}

/// What Restate is to take up.
enum Work {
    Event(EventId),
    Delivery(Later),
}

/// Overdue work could not be handed to Restate; the sweep finds it again.
#[derive(Debug, thiserror::Error)]
#[error("sending {what} to Restate's ingress")]
struct NotSent {
    what: String,
    source: reqwest::Error,
}

/// Starts the loop.
pub fn start(lifecycle: &Lifecycle, flags: &Serve, ledger: LedgerClient) -> Result<(), registration::Error> {
    let limits = Limits { connect: Duration::from_secs(2), whole: Duration::from_secs(10) };
    let mut reconciler = Reconciler {
        ledger,
        registrar: Registrar::new(&flags.restate, Some(flags.stalled_after))?,
        client: client::build(limits).map_err(registration::Error::Client)?,
        ingress: flags.restate_ingress_url.clone(),
        holder: format!("webhook-consumer {}", Uuid::now_v7()),
        every: flags.reconcile_every,
        deployment: Deployment::Anew,
    };
    let own = lifecycle.clone();
    lifecycle.spawn(async move {
        let mut wait = Duration::ZERO;
        while own.sleep(wait).await {
            wait = tokio::select! {
                () = own.stopped() => return,
                wait = reconciler.look() => wait,
            };
        }
    });
    Ok(())
}

impl Reconciler {
    /// One look; answers how long to wait before the next.
    async fn look(&mut self) -> Duration {
        let query = OverdueQuery { holder: self.holder.clone() };
        let overdue = match self.ledger.overdue(&query).await {
            Ok(overdue) => overdue,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "overdue work can't be looked for");
                return self.every.min(Duration::from_secs(1));
            }
        };
        if !overdue.leads {
            return self.every;
        }
        if let Err(error) = self.registrar.ensure(self.deployment).await {
            tracing::warn!(error = %Chain(&error), "the registration with Restate can't be looked after");
            return self.every.min(Duration::from_secs(1));
        }
        self.deployment = Deployment::IfMissing;
        let more = overdue.more;
        match (self.send_all(overdue).await, more) {
            (true, true) => Duration::ZERO,
            _ => self.every,
        }
    }

    /// False if one could not be sent: it will be overdue again.
    async fn send_all(&self, overdue: Overdue) -> bool {
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
        let url = format!("{}{path}", self.ingress.as_str().trim_end_matches('/'));
        let request = self.client.post(url).header("content-type", "application/octet-stream").body(body.to_string());
        let sent = request.send().await.and_then(reqwest::Response::error_for_status);
        sent.map(drop).map_err(|source| NotSent { what, source })
    }
}
