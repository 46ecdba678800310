//! Waits for what was acknowledged, and brings together what the judgement needs.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use chassis::Token;
use chassis::backoff::Backoff;
use domain::ids::{EndpointId, PaymentId};
use domain::ledger::Order;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use tokio::time::Instant;

use super::judge::to_look_up;
use super::{Verdict, judge};
use crate::AT_A_TIME;
use crate::account::{Account, Endpoint};
use crate::latency::change_of;
use crate::payments_api::{PaymentState, PaymentsApi};
use crate::simulator::{Arrival, Rejections, Simulator};

const PAGE: usize = 1_000;
/// For one request of the last look, which comes after the wait.
const LAST_LOOK: Duration = Duration::from_secs(30);

/// How long to wait, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// For what is missing.
    pub wait: Duration,
    /// For what should not come: so long nothing more may be received before the last look.
    pub settle: Duration,
    /// An arrival later than this after its acknowledgement is listed.
    pub late_after: Duration,
}

/// What the doors say.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// By endpoint, everything that it accepted.
    pub arrivals: HashMap<EndpointId, Vec<Arrival>>,
    /// By endpoint, what it rejected for its signature.
    pub rejections: HashMap<EndpointId, Rejections>,
    /// The payments that had to be looked up and exist.
    pub payments: HashMap<PaymentId, PaymentState>,
}

/// The doors that a verdict needs.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Where the webhooks arrive.
    pub simulator: Simulator,
    /// Where a payment can be looked up.
    pub api: PaymentsApi,
}

impl Default for Options {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { wait: seconds(300), settle: seconds(1), late_after: seconds(60) }
    }
}

impl Witness {
    /// The doors that the account's last load used.
    ///
    /// # Errors
    /// If the account names none, or the token can't be read.
    pub fn of(account: &Account) -> anyhow::Result<Self> {
        let run = account.runs.last().context("the account does not say where its load ran")?;
        let token = run.token_file.as_deref().map(Token::from_file).transpose().context("the token of payments-api")?;
        let one_try = Duration::from_secs(10);
        let simulator = Simulator::new(&run.simulator_url, one_try)?;
        Ok(Self { simulator, api: PaymentsApi::new(&run.api_url, token, one_try)? })
    }

    /// Waits, looks and judges. `progress` advances by one with each expected arrival.
    ///
    /// # Errors
    /// If a door gives no answer in time. A verdict that is not balanced is no error.
    pub async fn verdict(
        &self,
        account: &Account,
        options: Options,
        progress: &ProgressBar,
    ) -> anyhow::Result<(Verdict, Seen)> {
        let deadline = Instant::now() + options.wait;
        self.wait_for_arrivals(account, deadline, progress).await?;
        self.settle(account, options.settle, Instant::now() + options.settle * 10).await?;
        let seen = self.look(account).await?;
        Ok((judge(account, &seen, options.late_after), seen))
    }

    /// Returns when every acknowledged change has arrived everywhere, or the time is over.
    async fn wait_for_arrivals(
        &self,
        account: &Account,
        deadline: Instant,
        progress: &ProgressBar,
    ) -> anyhow::Result<()> {
        let mut waits: Vec<Wait> = account.endpoints.iter().map(|endpoint| Wait::new(endpoint, account)).collect();
        progress.set_length(u64::try_from(waits.iter().map(|wait| wait.missing.len()).sum::<usize>())?);
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        loop {
            let before = progress.position();
            for wait in &mut waits {
                wait.look(&self.simulator, deadline, progress).await?;
            }
            waits.retain(|wait| !wait.missing.is_empty());
            if waits.is_empty() || Instant::now() >= deadline {
                return Ok(());
            }
            if progress.position() > before {
                backoff.reset();
            }
            tokio::time::sleep_until(deadline.min(Instant::now() + backoff.next_wait())).await;
        }
    }

    /// Returns when none of the endpoints has received a request for so long, or the time is over:
    /// an endpoint that is sent to without an end must not keep the verdict from being given.
    async fn settle(&self, account: &Account, quiet: Duration, deadline: Instant) -> anyhow::Result<()> {
        let endpoints = account.endpoints.iter().map(|endpoint| endpoint.endpoint_id).collect();
        let mut last = (self.simulator.requests(&endpoints, LAST_LOOK).await?, Instant::now());
        while last.1.elapsed() < quiet && Instant::now() < deadline {
            tokio::time::sleep(quiet.min(Duration::from_millis(50))).await;
            let requests = self.simulator.requests(&endpoints, LAST_LOOK).await?;
            if requests != last.0 {
                last = (requests, Instant::now());
            }
        }
        Ok(())
    }

    /// What the doors say now.
    ///
    /// # Errors
    /// If one gives no answer in time.
    pub async fn look(&self, account: &Account) -> anyhow::Result<Seen> {
        let endpoint_ids = || stream::iter(account.endpoints.iter().map(|endpoint| endpoint.endpoint_id));
        let arrivals: HashMap<_, _> = endpoint_ids()
            .map(async |id| anyhow::Ok((id, self.simulator.all_arrivals(id, LAST_LOOK).await?)))
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await?;
        let rejections = endpoint_ids()
            .map(async |id| anyhow::Ok((id, self.simulator.rejections(id, LAST_LOOK).await?)))
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await?;
        let payments = self.payments(to_look_up(account, &arrivals)).await?;
        Ok(Seen { arrivals, rejections, payments })
    }

    /// Those of them that exist.
    pub(crate) async fn payments(&self, ids: HashSet<PaymentId>) -> anyhow::Result<HashMap<PaymentId, PaymentState>> {
        stream::iter(ids)
            .map(async |id| anyhow::Ok(self.api.payment(id, LAST_LOOK).await?.map(|payment| (id, payment))))
            .buffer_unordered(AT_A_TIME)
            .try_filter_map(async |found| Ok(found))
            .try_collect()
            .await
    }
}

/// What one endpoint has still to be told.
struct Wait {
    endpoint_id: EndpointId,
    latest_only: bool,
    missing: HashSet<(PaymentId, i64)>,
    after: usize,
}

impl Wait {
    fn new(endpoint: &Endpoint, account: &Account) -> Self {
        let missing = endpoint.owed(account).into_iter().map(|ack| (ack.payment_id, ack.version)).collect();
        let latest_only = endpoint.order == Order::LatestOnly;
        Self { endpoint_id: endpoint.endpoint_id, latest_only, missing, after: 0 }
    }

    /// A later one than the last promised takes its place where the latest only is wanted: nobody was told that it is done.
    fn strike_out(&mut self, change: (PaymentId, i64)) {
        let is_known = self.missing.remove(&change);
        if self.latest_only && !is_known {
            self.missing.retain(|(payment_id, version)| *payment_id != change.0 || *version > change.1);
        }
    }

    /// Reads on from where it was.
    async fn look(&mut self, simulator: &Simulator, deadline: Instant, progress: &ProgressBar) -> anyhow::Result<()> {
        while !self.missing.is_empty() {
            let within = deadline.saturating_duration_since(Instant::now()).max(LAST_LOOK);
            let page = simulator.arrivals(self.endpoint_id, self.after, PAGE, within).await?;
            let before = self.missing.len();
            for change in page.arrivals.iter().filter_map(change_of) {
                self.strike_out(change);
            }
            progress.inc(u64::try_from(before - self.missing.len())?);
            self.after = page.next;
            if page.arrivals.len() < PAGE {
                return Ok(());
            }
        }
        Ok(())
    }
}
