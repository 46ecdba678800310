//! The merchant simulator as the witness asks it: what arrived, and what was refused.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use domain::ids::EndpointId;
use domain::time::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::door::{Call, Door};

const PAGE: usize = 10_000;

/// The door to the merchant simulator.
#[derive(Debug, Clone)]
pub struct Simulator {
    door: Door,
}

/// One webhook that an endpoint has accepted at least once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The header `webhook-id`.
    pub webhook_id: String,
    /// As the body says; anything at all may stand there.
    pub payment_id: Option<String>,
    /// As the body says.
    pub event_type: Option<String>,
    /// The version that the event speaks of.
    pub event_version: Option<i64>,
    /// The version that the body says it shows.
    pub object_version: Option<i64>,
    /// The version that its data has.
    #[serde(default)]
    pub data_version: Option<i64>,
    /// When the event happened.
    #[serde(default)]
    pub occurred_at: Option<Timestamp>,
    /// When the object was read.
    pub observed_at: Option<Timestamp>,
    /// The platform's word for the payment.
    pub reference: Option<String>,
    /// When the first accepted request was fully received.
    pub first_at: Timestamp,
    /// When each later accepted request was.
    pub repeats: Vec<Timestamp>,
    /// The lower version that each of those showed.
    #[serde(default)]
    pub repeat_versions: Vec<Option<i64>>,
    /// Well signed requests, accepted or not.
    pub attempts_seen: u32,
}

/// A page of arrivals.
#[derive(Debug, Clone, Deserialize)]
pub struct Arrivals {
    /// In the order of first acceptance.
    pub arrivals: Vec<Arrival>,
    /// Where the next page begins.
    pub next: usize,
}

/// The requests of one endpoint whose signature was not accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Rejections {
    /// All of them.
    pub rejected_signature: u64,
    /// The last ones.
    pub rejections: Vec<Rejection>,
}

#[derive(Deserialize)]
struct Stats {
    accounts: HashMap<String, Counts>,
}

/// What became of the requests of one endpoint, as far as it is asked for.
#[derive(Deserialize)]
struct Counts {
    requests: u64,
    accepted_unique: u64,
}

/// One such request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// As the sender claims.
    pub webhook_id: Option<String>,
    /// Why it was not accepted.
    pub reason: String,
    /// When it was received.
    pub received_at: Timestamp,
}

impl Simulator {
    /// The door; each single try is given `one_try`.
    ///
    /// # Errors
    /// If no HTTP client can be built.
    pub fn new(url: &Url, one_try: Duration) -> anyhow::Result<Self> {
        Ok(Self { door: Door::new("merchant-simulator", url, None, one_try)? })
    }

    /// Makes the account of an endpoint, or replaces its secret.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn put_account(&self, endpoint_id: EndpointId, secret: &str, within: Duration) -> anyhow::Result<()> {
        self.put(&format!("accounts/{endpoint_id}"), &json!({"secret": secret}), within).await
    }

    /// Puts an endpoint into a mood, such as `{"mood": "gone"}`.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn put_mood(&self, endpoint_id: EndpointId, mood: &Value, within: Duration) -> anyhow::Result<()> {
        self.put(&format!("accounts/{endpoint_id}/mood"), mood, within).await
    }

    /// One page of what an endpoint accepted.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn arrivals(
        &self,
        endpoint_id: EndpointId,
        after: usize,
        limit: usize,
        within: Duration,
    ) -> anyhow::Result<Arrivals> {
        self.door.get(&format!("accounts/{endpoint_id}/arrivals?after={after}&limit={limit}"), within).await
    }

    /// Everything that an endpoint accepted.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn all_arrivals(&self, endpoint_id: EndpointId, within: Duration) -> anyhow::Result<Vec<Arrival>> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = self.arrivals(endpoint_id, after, PAGE, within).await?;
            let is_last = page.arrivals.len() < PAGE;
            all.extend(page.arrivals);
            after = page.next;
            if is_last {
                return Ok(all);
            }
        }
    }

    /// What an endpoint rejected for its signature.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn rejections(&self, endpoint_id: EndpointId, within: Duration) -> anyhow::Result<Rejections> {
        self.door.get(&format!("accounts/{endpoint_id}/rejections"), within).await
    }

    /// Requests received since the last reset, by these endpoints together.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn requests(&self, of: &HashSet<EndpointId>, within: Duration) -> anyhow::Result<u64> {
        self.sum(of, |counts| counts.requests, within).await
    }

    /// Webhooks that these endpoints have accepted, each counted once however often it came.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn arrived(&self, of: &HashSet<EndpointId>, within: Duration) -> anyhow::Result<u64> {
        self.sum(of, |counts| counts.accepted_unique, within).await
    }

    async fn sum(
        &self,
        of: &HashSet<EndpointId>,
        count: impl Fn(&Counts) -> u64,
        within: Duration,
    ) -> anyhow::Result<u64> {
        let stats: Stats = self.door.get("stats", within).await?;
        let is_of = |id: &str| id.parse().is_ok_and(|id| of.contains(&id));
        Ok(stats.accounts.iter().filter(|(id, _)| is_of(id)).map(|(_, counts)| count(counts)).sum())
    }

    async fn put(&self, path: &str, body: &Value, within: Duration) -> anyhow::Result<()> {
        let answer = self.door.ask(Call::new(Method::PUT, path).json(body)?, within).await?;
        answer.success().with_context(|| format!("merchant-simulator: PUT {path}"))
    }
}
