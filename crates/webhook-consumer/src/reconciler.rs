//! A stateless loop in every process; a lease at data-service elects one. It heals what CDC, Kafka or Restate have
//! lost: overdue work goes to Restate's ingress by id, and the registration is made again where it is missing.

mod ingress;
mod jobs;

use std::sync::Arc;
use std::time::Duration;

use chassis::Lifecycle;
use chassis::error_chain::Chain;
use chassis::fault;
use domain::protocol::OverdueQuery;
use uuid::Uuid;

use self::ingress::Ingress;
use crate::config::Serve;
use crate::ledger_client::LedgerClient;
use crate::observe::{self, Leads};
use crate::registration::{self, Deployment, Registrar};

struct Reconciler {
    ledger: LedgerClient,
    registrar: Arc<Registrar>,
    leads: Leads,
    ingress: Ingress,
    holder: String,
    every: Duration,
    /// What the next look at the registration does.
    deployment: Deployment,
}

/// Starts the loop, and those for jobs and for metrics beside it.
pub fn start(lifecycle: &Lifecycle, flags: &Serve, ledger: LedgerClient) -> Result<(), registration::Error> {
    let ingress = Ingress::new(flags.restate_ingress_url.clone()).map_err(registration::Error::Client)?;
    let holder = format!("webhook-consumer {}", Uuid::now_v7());
    jobs::start(lifecycle, flags.jobs_every, ledger.clone(), ingress.clone(), holder.clone());
    let registrar = Arc::new(Registrar::new(&flags.restate, Some(flags.stalled_after))?);
    let leads = Leads::default();
    observe::start(lifecycle, registrar.clone(), leads.clone(), flags.observe_every);
    let mut reconciler = Reconciler {
        ledger,
        registrar,
        leads,
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
                self.leads.set(false);
                tracing::warn!(error = %Chain(&error), "overdue work can't be looked for");
                return self.every.min(Duration::from_secs(1));
            }
        };
        self.leads.set(overdue.leads);
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
