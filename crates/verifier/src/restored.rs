//! After the database was restored from a backup: what was promised and is undone, and what merchants were told of it.
//!
//! An account alone would call such a promise lost, or, where it has arrived, kept. So each payment of it is looked up.

use std::collections::{HashMap, HashSet};
use std::fmt;

use domain::ids::PaymentId;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::account::{Account, Acknowledgement};
use crate::payments_api::PaymentState;
use crate::verdict::{Options, Seen, Verdict, Witness, first_ones};

/// The verdict on what is still committed, and what is not. A change that is undone and has arrived is a phantom there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Restored {
    /// Promised, and no longer committed.
    pub undone: Vec<Acknowledgement>,
    /// On everything else.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Witness {
    /// As [`Witness::verdict`], for a database that was restored.
    ///
    /// # Errors
    /// If a door gives no answer in time.
    pub async fn verdict_after_restore(
        &self,
        account: &Account,
        options: Options,
        progress: &ProgressBar,
    ) -> anyhow::Result<(Restored, Seen)> {
        let promised: HashSet<PaymentId> = account.acknowledged.iter().map(|ack| ack.payment_id).collect();
        let known = self.payments(promised).await?;
        let (kept, undone) = split(account, &known);
        let (verdict, seen) = self.verdict(&kept, options, progress).await?;
        Ok((Restored { undone, verdict }, seen))
    }
}

/// The account of what is still committed, and the rest of it.
fn split(account: &Account, known: &HashMap<PaymentId, PaymentState>) -> (Account, Vec<Acknowledgement>) {
    let is_committed = |ack: &Acknowledgement| known.get(&ack.payment_id).is_some_and(|p| p.version >= ack.version);
    let (kept, undone): (Vec<_>, Vec<_>) = account.acknowledged.iter().cloned().partition(is_committed);
    (Account { acknowledged: kept, ..account.clone() }, undone)
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<14} {:>9}   promised, and no longer committed", "undone", self.undone.len())?;
        first_ones(f, &self.undone, |undone| {
            let Acknowledgement { payment_id, version, event_type, reference, acknowledged_at, .. } = undone;
            format!("{payment_id} version {version} ({event_type}), acknowledged {acknowledged_at}, {reference}")
        })?;
        self.verdict.fmt(f)
    }
}
