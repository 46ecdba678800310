//! A stateless loop in every process, beside the reconciler's and under the same lease: it has data-service take the next
//! step of a job, and hands the deliveries of it to Restate. A resend is such a job, so this looks often.

use std::time::Duration;

use chassis::Lifecycle;
use chassis::error_chain::Chain;
use domain::protocol::OverdueQuery;

use super::ingress::Ingress;
use crate::ledger_client::LedgerClient;

/// After a failure.
const PATIENCE: Duration = Duration::from_secs(1);

/// Starts the loop.
pub(super) fn start(lifecycle: &Lifecycle, every: Duration, ledger: LedgerClient, ingress: Ingress, holder: String) {
    let own = lifecycle.clone();
    lifecycle.spawn(async move {
        let query = OverdueQuery { holder };
        let mut wait = Duration::ZERO;
        while own.sleep(wait).await {
            wait = tokio::select! {
                () = own.stopped() => return,
                wait = look(&ledger, &ingress, &query, every) => wait,
            };
        }
    });
}

/// One step; answers how long to wait before the next.
async fn look(ledger: &LedgerClient, ingress: &Ingress, query: &OverdueQuery, every: Duration) -> Duration {
    let step = match ledger.jobs(query).await {
        Ok(step) => step,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "jobs can't be moved on");
            return every.max(PATIENCE);
        }
    };
    let more = step.more;
    match (ingress.send_all(step).await, more) {
        (true, true) => Duration::ZERO,
        (true, false) => every,
        // What was not sent is overdue by and by; Restate is given time.
        (false, _) => every.max(PATIENCE),
    }
}
