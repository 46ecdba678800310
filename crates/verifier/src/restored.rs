//! After the database was restored from a backup: what was promised and is undone, and what merchants were told of it.
//!
//! An account alone would call such a promise lost, or, where it has arrived, kept. So each payment of it is looked up.

use std::collections::{HashMap, HashSet};
use std::fmt;

use domain::ids::{MerchantId, PaymentId};
use domain::time::Timestamp;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::account::{Account, Acknowledgement};
use crate::payments_api::PaymentState;
use crate::verdict::{LAST_LOOK, Options, Seen, Verdict, Witness};

const AT_A_TIME: usize = 8;

/// The verdict on what is still committed, and what is not. A change that is undone and has arrived is a phantom there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Restored {
    /// Promised, and no longer committed.
    pub undone: Vec<Undone>,
    /// On everything else.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// A change that was acknowledged, and that the database does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// Whose payment.
    pub merchant_id: MerchantId,
    /// The payment.
    pub payment_id: PaymentId,
    /// Its version after the change.
    pub version: i64,
    /// The event.
    pub event_type: String,
    /// Its reference.
    pub reference: String,
    /// When it was promised.
    pub acknowledged_at: Timestamp,
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
        let known: HashMap<PaymentId, PaymentState> = stream::iter(promised)
            .map(async |id| anyhow::Ok(self.api.payment(id, LAST_LOOK).await?.map(|payment| (id, payment))))
            .buffer_unordered(AT_A_TIME)
            .try_filter_map(async |found| Ok(found))
            .try_collect()
            .await?;
        let (kept, undone) = split(account, &known);
        let (verdict, seen) = self.verdict(&kept, options, progress).await?;
        Ok((Restored { undone, verdict }, seen))
    }
}

/// The account of what is still committed, and the rest of it.
fn split(account: &Account, known: &HashMap<PaymentId, PaymentState>) -> (Account, Vec<Undone>) {
    let is_committed = |ack: &Acknowledgement| known.get(&ack.payment_id).is_some_and(|p| p.version >= ack.version);
    let (kept, undone): (Vec<_>, Vec<_>) = account.acknowledged.iter().cloned().partition(is_committed);
    let undone = undone.into_iter().map(|ack| Undone {
        merchant_id: ack.merchant_id,
        payment_id: ack.payment_id,
        version: ack.version,
        event_type: ack.event_type,
        reference: ack.reference,
        acknowledged_at: ack.acknowledged_at,
    });
    (Account { acknowledged: kept, ..account.clone() }, undone.collect())
}

/// So many are shown; `--json` has them all.
const SHOWN: usize = 20;

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.undone.len();
        writeln!(f, "{:<14} {count:>9}   promised, and no longer committed", "undone")?;
        for undone in self.undone.iter().take(SHOWN) {
            let Undone { payment_id, version, event_type, reference, acknowledged_at, .. } = undone;
            writeln!(
                f,
                "  {payment_id} version {version} ({event_type}), acknowledged {acknowledged_at}, {reference}"
            )?;
        }
        if count > SHOWN {
            writeln!(f, "  and {} more; --json lists them all", count - SHOWN)?;
        }
        self.verdict.fmt(f)
    }
}
