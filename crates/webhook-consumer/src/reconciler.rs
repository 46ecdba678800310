//! A stateless loop in every process; a lease at data-service elects one. It heals what CDC, Kafka or Restate have
//! lost: overdue work goes to Restate's ingress by id, and the registration is made again where it is missing.

mod ingress;
mod jobs;

use std::time::Duration;

use chassis::Lifecycle;
use chassis::error_chain::Chain;
use chassis::fault;
use domain::protocol::OverdueQuery;
use uuid::Uuid;

use self::ingress::Ingress;
use crate::config::Serve;
use crate::ledger_client::LedgerClient;
use crate::registration::{self, Deployment, Registrar};

struct Reconciler {
    ledger: LedgerClient,
    registrar: Registrar,
    ingress: Ingress,
    holder: String,
    every: Duration,
    /// What the next look at the registration does.
    deployment: Deployment,
}

/// Starts the loop, and the one for jobs beside it.
pub fn start(lifecycle: &Lifecycle, flags: &Serve, ledger: LedgerClient) -> Result<(), registration::Error> {
    let ingress = Ingress::new(flags.restate_ingress_url.clone()).map_err(registration::Error::Client)?;
    let holder = format!("webhook-consumer {}", Uuid::now_v7());
    jobs::start(lifecycle, flags.jobs_every, ledger.clone(), ingress.clone(), holder.clone());
    let mut reconciler = Reconciler {
        ledger,
        registrar: Registrar::new(&flags.restate, Some(flags.stalled_after))?,
        ingress,
        holder,
        every: flags.reconcile_every,
        deployment: Deployment::AtStart,
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
        let registered = self.registrar.ensure(self.deployment).await;
        let more = overdue.more;
        if !(overdue.events.is_empty() && overdue.deliveries.is_empty()) {
            fault::point("claim.before_send");
        }
        // Sent in any case: it has new claims by now, and needs nothing of Kafka.
        let is_sent = self.ingress.send_all(overdue).await;
        if let Err(error) = registered {
            tracing::warn!(error = %Chain(&error), "the registration with Restate can't be looked after");
            return self.every.min(Duration::from_secs(1));
        }
        self.deployment = Deployment::IfMissing;
        if is_sent && more { Duration::ZERO } else { self.every }
    }
}
