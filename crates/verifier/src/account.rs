//! The account: JSON lines that say what was set up, intended, and acknowledged.
//!
//! An intent is written before its request goes out, and an acknowledgement is synced before it counts.
//! So a request that nobody answered is known as such, and no crash forgets what was promised.

mod writer;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use domain::event::EventFilter;
use domain::ids::{EndpointId, MerchantId, PaymentId};
use domain::ledger::Order;
use domain::payment::Status;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

pub use writer::Writer;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// A load begins.
    Run(Run),
    /// A merchant of the load exists.
    Merchant(Merchant),
    /// An endpoint of one of them exists, and the simulator has its secret. A later line of the same endpoint counts.
    Endpoint(Endpoint),
    /// A request is about to go out.
    Intent(Intent),
    /// Its answer says that it is done.
    Acknowledged(Acknowledgement),
    /// Its answer says that it is not done.
    Refused(Refused),
}

/// What a load was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Part of every reference and key of this load.
    pub run: String,
    /// When it began.
    pub started_at: Timestamp,
    /// From which its payments were made.
    pub seed: u64,
    /// payments-api.
    pub api_url: Url,
    /// The merchant simulator.
    pub simulator_url: Url,
    /// Where the token of payments-api is.
    pub token_file: Option<PathBuf>,
}

/// A merchant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merchant {
    /// Its id.
    pub merchant_id: MerchantId,
    /// For people.
    pub name: String,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its id.
    pub endpoint_id: EndpointId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// What it wants.
    pub event_types: Vec<EventFilter>,
    /// In which order.
    #[serde(default)]
    pub order: Order,
}

/// A request that creates or changes a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its `Idempotency-Key`.
    pub key: String,
    /// Whose payment.
    pub merchant_id: MerchantId,
    /// `load-<run>-<n>`.
    pub reference: String,
    /// None for the creation.
    pub payment_id: Option<PaymentId>,
    /// The wanted status; none for the creation.
    pub status: Option<Status>,
}

/// What the API has promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Of the intent.
    pub key: String,
    /// Whose payment.
    pub merchant_id: MerchantId,
    /// `load-<run>-<n>`.
    pub reference: String,
    /// The payment.
    pub payment_id: PaymentId,
    /// Its version after the change.
    pub version: i64,
    /// The event that the change must bring.
    pub event_type: String,
    /// When the request was due, in an open loop; otherwise when it began.
    pub scheduled_at: Timestamp,
    /// When it began.
    pub requested_at: Timestamp,
    /// When its answer was there.
    pub acknowledged_at: Timestamp,
    /// How often it was asked.
    pub tries: u32,
}

/// What the API has declined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Of the intent.
    pub key: String,
    /// The HTTP status.
    pub status: u16,
    /// The problem's code.
    pub code: String,
    /// The problem's sentence.
    pub detail: String,
}

/// The whole file, sorted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    /// The loads that wrote to it.
    pub runs: Vec<Run>,
    /// All merchants.
    pub merchants: Vec<Merchant>,
    /// All endpoints.
    pub endpoints: Vec<Endpoint>,
    /// All acknowledgements, in their order.
    pub acknowledged: Vec<Acknowledgement>,
    /// All refusals.
    pub refused: Vec<Refused>,
    /// Intents that nobody has answered: they may be done or not.
    pub unknown: Vec<Intent>,
}

impl Account {
    /// Reads a file. A last line without an end was never counted and is left out.
    ///
    /// # Errors
    /// If it can't be read, or a whole line is none of ours.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("can't read the account {}", path.display()))?;
        let mut lines = Vec::new();
        for (n, line) in text.split_inclusive('\n').enumerate() {
            let Some(line) = line.strip_suffix('\n') else { break };
            let line = serde_json::from_str(line)
                .with_context(|| format!("line {} of {} is no line of an account", n + 1, path.display()))?;
            lines.push(line);
        }
        if lines.is_empty() {
            bail!("the account {} is empty", path.display());
        }
        Ok(Self::from_lines(lines))
    }

    /// Sorts lines.
    #[must_use]
    pub fn from_lines(lines: impl IntoIterator<Item = Line>) -> Self {
        let (mut account, mut intents) = (Self::default(), Vec::new());
        for line in lines {
            match line {
                Line::Run(run) => account.runs.push(run),
                Line::Merchant(merchant) => account.merchants.push(merchant),
                Line::Endpoint(endpoint) => account.put(endpoint),
                Line::Intent(intent) => intents.push(intent),
                Line::Acknowledged(acknowledged) => account.acknowledged.push(acknowledged),
                Line::Refused(refused) => account.refused.push(refused),
            }
        }
        let acknowledged = account.acknowledged.iter().map(|line| line.key.as_str());
        let answered: HashSet<&str> =
            acknowledged.chain(account.refused.iter().map(|line| line.key.as_str())).collect();
        intents.retain(|intent| !answered.contains(intent.key.as_str()));
        account.unknown = intents;
        account
    }

    fn put(&mut self, endpoint: Endpoint) {
        match self.endpoints.iter_mut().find(|known| known.endpoint_id == endpoint.endpoint_id) {
            Some(known) => *known = endpoint,
            None => self.endpoints.push(endpoint),
        }
    }
}

impl Endpoint {
    /// Whether it wants events of this type.
    #[must_use]
    pub fn wants(&self, event_type: &str) -> bool {
        self.event_types.iter().any(|filter| filter.matches(event_type))
    }

    /// What it must be told of the account's promises: where the latest only is wanted, the last one of each payment.
    #[must_use]
    pub fn owed<'a>(&self, account: &'a Account) -> Vec<&'a Acknowledgement> {
        let own = account.acknowledged.iter().filter(|ack| ack.merchant_id == self.merchant_id);
        let mut owed: Vec<_> = own.filter(|ack| self.wants(&ack.event_type)).collect();
        if self.order == Order::LatestOnly {
            let mut last: HashMap<PaymentId, i64> = HashMap::new();
            for ack in &owed {
                let version = last.entry(ack.payment_id).or_insert(ack.version);
                *version = ack.version.max(*version);
            }
            owed.retain(|ack| last.get(&ack.payment_id) == Some(&ack.version));
        }
        owed
    }
}
