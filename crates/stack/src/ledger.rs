//! What the ledger says once its work is done.

use std::time::Duration;

use anyhow::Context;
use chassis::backoff::Backoff;
use tokio::time::Instant;
use verifier::account::Account;
use verifier::audit::Audit;
use verifier::portal::Portal;

use crate::doors::WITHIN;

/// The audit of everything since the account's load began, as soon as nothing is unrouted, pending or held; or as it is
/// when the time is over.
///
/// # Errors
/// If the portal gives no answer in time, or the account has no load.
pub async fn settled(portal: &Portal, account: &Account, within: Duration) -> anyhow::Result<Audit> {
    let deadline = Instant::now() + within;
    let from = account.runs.first().context("the account does not say when its load began")?.started_at;
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
    loop {
        let began = Instant::now();
        let audit: Audit = portal.audit(from, verifier::now(), WITHIN).await?;
        if is_finished(&audit) || Instant::now() >= deadline {
            return Ok(audit);
        }
        // An audit of much takes long, and what it waits for shares the machine with it.
        let wait = backoff.next_wait().max(3 * began.elapsed());
        tokio::time::sleep_until(deadline.min(Instant::now() + wait)).await;
    }
}

/// Whether it balances, and everything in it has come to an end.
#[must_use]
pub fn is_finished(audit: &Audit) -> bool {
    audit.balances() && audit.unrouted + audit.pending + audit.held == 0
}
