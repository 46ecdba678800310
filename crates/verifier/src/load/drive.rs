//! Drives the payments of a load, in an open or a closed loop.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use chassis::Lifecycle;
use domain::ids::{MerchantId, PaymentId};
use domain::time::Timestamp;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use indicatif::ProgressBar;
use serde_json::json;

use super::plan::Plan;
use super::{Pace, Ready, Summary, Until, ticks};
use crate::account::{Acknowledgement, Intent, Line, Refused};
use crate::door::{Answer, GaveUp, Refusal};
use crate::latency::Spread;
use crate::now;
use crate::payments_api::PaymentState;

/// One payment under way: its requests follow one another.
struct Chain {
    n: u64,
    merchant_id: MerchantId,
    reference: String,
    plan: Plan,
    payment_id: Option<PaymentId>,
    changed: usize,
}

/// A load under way.
struct Driver<'a> {
    ready: &'a Ready,
    lifecycle: &'a Lifecycle,
    progress: &'a ProgressBar,
    start: Instant,
    started: AtomicU64,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    acknowledged: u64,
    refused: u64,
    first_refusal: Option<String>,
    unknown: u64,
    last_silence: Option<String>,
    latencies_us: Vec<i64>,
}

impl Ready {
    /// Drives the load to its end, or until `lifecycle` is asked to stop; payments begun are finished.
    /// `progress` advances by one with each acknowledgement.
    ///
    /// # Errors
    /// If the account can't be written, or payments-api answers success without a payment.
    pub async fn drive(&self, lifecycle: &Lifecycle, progress: &ProgressBar) -> anyhow::Result<Summary> {
        if let Until::Payments(payments) = self.options.until {
            progress.set_length(payments.saturating_mul(1 + u64::try_from(self.options.changes)?));
        }
        let driver = Driver {
            ready: self,
            lifecycle,
            progress,
            start: Instant::now(),
            started: AtomicU64::new(0),
            counts: Mutex::default(),
        };
        match self.options.pace {
            Pace::Closed { concurrency } => driver.closed(concurrency).await?,
            Pace::Open { rate, most } => driver.open(rate, most).await?,
        }
        Ok(driver.summary())
    }
}

impl Driver<'_> {
    async fn closed(&self, concurrency: usize) -> anyhow::Result<()> {
        let worker = async || {
            while let Some(mut chain) = self.next_chain() {
                while let Some(next) = self.step(chain, Instant::now()).await? {
                    chain = next;
                }
            }
            anyhow::Ok(())
        };
        try_join_all((0..concurrency).map(|_| worker())).await?;
        Ok(())
    }

    /// Each tick takes the payment that has waited longest for its next change, or begins one.
    /// A tick with nothing to do is no request; one for which there is no room keeps its moment.
    async fn open(&self, rate: f64, most: usize) -> anyhow::Result<()> {
        let mut ticks = ticks::start(rate).context("can't start the clock of the load")?;
        let mut under_way = FuturesUnordered::new();
        let mut waiting: VecDeque<Chain> = VecDeque::new();
        let mut owed: VecDeque<Instant> = VecDeque::new();
        loop {
            while under_way.len() < most
                && let Some(at) = owed.pop_front()
            {
                match waiting.pop_front().or_else(|| self.next_chain()) {
                    Some(chain) => under_way.push(self.step(chain, at)),
                    None => owed.clear(),
                }
            }
            if waiting.is_empty() && under_way.is_empty() && !self.may_begin() {
                return Ok(());
            }
            tokio::select! {
                Some(at) = ticks.recv() => owed.push_back(at),
                Some(chain) = under_way.next() => waiting.extend(chain?),
            }
        }
    }

    fn may_begin(&self) -> bool {
        let until = match self.ready.options.until {
            Until::Payments(payments) => self.started.load(Ordering::Relaxed) < payments,
            Until::Elapsed(elapsed) => self.start.elapsed() < elapsed,
            Until::Stopped => true,
        };
        until && !self.lifecycle.is_stopping()
    }

    fn next_chain(&self) -> Option<Chain> {
        if !self.may_begin() {
            return None;
        }
        let options = &self.ready.options;
        let n = self.started.fetch_add(1, Ordering::Relaxed);
        let turn = usize::try_from(n).ok()?.checked_rem(self.ready.merchants.len())?;
        let merchant_id = self.ready.merchants.get(turn)?.merchant_id;
        Some(Chain {
            n,
            merchant_id,
            reference: format!("load-{}-{n}", self.ready.run),
            plan: Plan::new(options.seed, n, options.changes),
            payment_id: None,
            changed: 0,
        })
    }

    /// The next request of a payment, due at `due`; answers the payment if there is one more to come.
    async fn step(&self, chain: Chain, due: Instant) -> anyhow::Result<Option<Chain>> {
        let scheduled_at = moment(due)?;
        let intent = chain.intent(&self.ready.run);
        self.ready.writer.note(&Line::Intent(intent.clone()))?;
        let requested_at = now();
        let answer = match self.request(&chain, &intent).await {
            Ok(answer) => answer,
            Err(error) if error.is::<GaveUp>() => {
                let mut counts = self.counts();
                counts.unknown += 1;
                counts.last_silence = Some(error.to_string());
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let acknowledged_at = now();
        if let Err(refusal) = answer.success() {
            self.count_refusal(&intent.key, &refusal);
            let (status, code, detail) = (refusal.status, refusal.code, refusal.detail);
            self.ready.writer.sync(&Line::Refused(Refused { key: intent.key, status, code, detail })).await?;
            return Ok(None);
        }
        let payment: PaymentState = answer.json().context("payments-api acknowledged without a payment")?;
        let acknowledgement = Acknowledgement {
            key: intent.key,
            merchant_id: chain.merchant_id,
            reference: chain.reference.clone(),
            payment_id: payment.payment_id,
            version: payment.version,
            event_type: intent.status.map_or_else(|| "payment.created".to_owned(), |s| format!("payment.{s}")),
            scheduled_at,
            requested_at,
            acknowledged_at,
            tries: answer.tries,
        };
        self.ready.writer.sync(&Line::Acknowledged(acknowledgement)).await?;
        self.count_acknowledgement(acknowledged_at.unix_micros() - scheduled_at.unix_micros());
        Ok(chain.after(payment.payment_id))
    }

    async fn request(&self, chain: &Chain, intent: &Intent) -> anyhow::Result<Answer> {
        let within = self.ready.options.answer_within;
        match (intent.payment_id, intent.status) {
            (Some(payment_id), Some(status)) => {
                self.ready.api.change_status(&intent.key, payment_id, status, within).await
            }
            _ => {
                let body = json!({
                    "merchant_id": chain.merchant_id,
                    "amount": chain.plan.amount,
                    "currency": chain.plan.currency,
                    "reference": chain.reference,
                });
                self.ready.api.make_payment(&intent.key, &body, within).await
            }
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_acknowledgement(&self, latency_us: i64) {
        let mut counts = self.counts();
        counts.acknowledged += 1;
        counts.latencies_us.push(latency_us);
        self.progress.inc(1);
    }

    fn count_refusal(&self, key: &str, refusal: &Refusal) {
        let mut counts = self.counts();
        counts.refused += 1;
        counts.first_refusal.get_or_insert_with(|| format!("{key}: {refusal}"));
    }

    fn summary(self) -> Summary {
        let seconds = self.start.elapsed().as_secs_f64();
        let counts = self.counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        Summary {
            run: self.ready.run.clone(),
            payments: self.started.into_inner(),
            acknowledged: counts.acknowledged,
            refused: counts.refused,
            first_refusal: counts.first_refusal,
            unknown: counts.unknown,
            last_silence: counts.last_silence,
            seconds,
            #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
            per_second: counts.acknowledged as f64 / seconds,
            api_latency: Spread::of(counts.latencies_us),
        }
    }
}

impl Chain {
    fn intent(&self, run: &str) -> Intent {
        let status = self.payment_id.and_then(|_| self.plan.changes.get(self.changed).copied());
        let version = self.changed + 1 + usize::from(self.payment_id.is_some());
        Intent {
            key: format!("load-{run}-{}-{version}", self.n),
            merchant_id: self.merchant_id,
            reference: self.reference.clone(),
            payment_id: self.payment_id,
            status,
        }
    }

    /// This payment after an acknowledged request, if a change is left.
    fn after(self, payment_id: PaymentId) -> Option<Self> {
        let changed = self.changed + usize::from(self.payment_id.is_some());
        (changed < self.plan.changes.len()).then_some(Self { payment_id: Some(payment_id), changed, ..self })
    }
}

/// The wall clock's word for a moment that is not long ago.
fn moment(at: Instant) -> anyhow::Result<Timestamp> {
    let ago = i64::try_from(at.elapsed().as_micros()).context("a moment too long ago")?;
    Timestamp::from_unix_micros(now().unix_micros() - ago).context("a moment outside the calendar")
}

#[cfg(test)]
mod tests {
    use domain::payment::Status;

    use super::*;

    #[test]
    fn each_request_of_a_payment_has_a_key_of_its_own_and_the_changes_come_in_order() {
        let payment_id: PaymentId = "pay_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse().unwrap();
        let merchant_id = "mer_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse().unwrap();
        let changes = vec![Status::Processing, Status::Succeeded];
        let plan = Plan { amount: 1, currency: "USD", changes };
        let new = Chain { n: 4, merchant_id, reference: "load-r-4".to_owned(), plan, payment_id: None, changed: 0 };
        let mut seen = Vec::new();
        let mut next = Some(new);
        while let Some(chain) = next {
            let intent = chain.intent("r");
            seen.push((intent.key, intent.status));
            next = chain.after(payment_id);
        }
        let expected =
            [("load-r-4-1", None), ("load-r-4-2", Some(Status::Processing)), ("load-r-4-3", Some(Status::Succeeded))];
        assert_eq!(seen, expected.map(|(key, status)| (key.to_owned(), status)));
    }
}
