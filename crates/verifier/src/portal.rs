//! The portal's management API, as the witness uses it.

mod ledger;

use std::time::Duration;

use anyhow::Context as _;
use chassis::Token;
use domain::event::EventFilter;
use domain::ids::{DeliveryId, EndpointId, EventId, MerchantId, PaymentId};
use domain::time::Timestamp;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use crate::AT_A_TIME;
use crate::door::{Call, Door};

/// The door to the portal.
#[derive(Debug, Clone)]
pub struct Portal {
    door: Door,
}

/// A new endpoint with its secret, which is shown only once.
#[derive(Deserialize)]
pub struct NewEndpoint {
    /// Its id.
    pub endpoint_id: EndpointId,
    /// What it wants.
    pub event_types: Vec<EventFilter>,
    /// `whsec_…`
    pub secret: String,
}

/// When the hops of the way saw an event; none where that is not known.
#[derive(Debug, Clone, Deserialize)]
pub struct Hop {
    /// The event, which is the `webhook-id` too.
    pub event_id: EventId,
    /// Whose payment it is about.
    pub payment_id: PaymentId,
    /// The version that the event speaks of.
    pub object_version: i64,
    /// Committed in the database.
    pub committed_at: Option<Timestamp>,
    /// Read from the WAL.
    pub captured_at: Option<Timestamp>,
    /// Begun by the durable handler.
    pub handled_at: Option<Timestamp>,
    /// Written to the ledger.
    pub routed_at: Option<Timestamp>,
}

/// A record that names no event that the ledger knows.
#[derive(Debug, Clone, Deserialize)]
pub struct ParkedRecord {
    /// `unreadable`, `unknown_event` or `before_horizon`.
    pub reason: String,
    /// Null if it came through Restate's ingress.
    pub topic: Option<String>,
    /// Null if it came through Restate's ingress.
    pub partition: Option<i32>,
    /// Null if it came through Restate's ingress.
    pub offset: Option<i64>,
    /// The first bytes of it, or all.
    pub value_base64: String,
    /// The event that it names.
    pub event_id: Option<EventId>,
    /// When.
    pub parked_at: Timestamp,
    /// When its event was routed after all.
    pub resolved_at: Option<Timestamp>,
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Delivery {
    delivery_id: DeliveryId,
    event_id: EventId,
    attempts: u32,
}

#[derive(Deserialize)]
struct Attempt {
    outcome: String,
}

/// As the ledger calls an attempt that was begun and has no result: whoever made it died, or was cut off.
pub(crate) const UNKNOWN: &str = "unknown";

impl Portal {
    /// The door; each single try is given `one_try`.
    ///
    /// # Errors
    /// If no HTTP client can be built.
    pub fn new(url: &Url, token: Token, one_try: Duration) -> anyhow::Result<Self> {
        Ok(Self { door: Door::new("portal", url, Some(token), one_try)? })
    }

    /// Makes an endpoint. It is asked once only: a repeated request could make two.
    ///
    /// # Errors
    /// If there is no answer, or a refusal.
    pub async fn make_endpoint(
        &self,
        merchant_id: MerchantId,
        url: &str,
        event_types: &[EventFilter],
        within: Duration,
    ) -> anyhow::Result<NewEndpoint> {
        let path = format!("merchants/{merchant_id}/endpoints");
        let call = Call::new(Method::POST, &path).json(&json!({"url": url, "event_types": event_types}))?;
        self.door.ask(call, within).await?.json().with_context(|| format!("making an endpoint of {merchant_id}"))
    }

    /// Moves an endpoint to another URL.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn move_endpoint(&self, endpoint_id: EndpointId, url: &str, within: Duration) -> anyhow::Result<()> {
        let moved = self.change_endpoint(endpoint_id, &json!({"url": url}), within).await;
        moved.with_context(|| format!("giving {endpoint_id} its URL"))
    }

    /// Changes what is named, such as `{"order": "per_object"}`.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn change_endpoint(
        &self,
        endpoint_id: EndpointId,
        change: &Value,
        within: Duration,
    ) -> anyhow::Result<()> {
        let path = format!("endpoints/{endpoint_id}");
        let answer = self.door.ask(Call::new(Method::PATCH, &path).json(change)?, within).await?;
        answer.success().with_context(|| format!("changing {endpoint_id}"))
    }

    /// All hops of the events of a window.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn hops(&self, from: Timestamp, to: Timestamp, within: Duration) -> anyhow::Result<Vec<Hop>> {
        self.pages(&format!("hops?from={from}&to={to}&limit=1000"), within).await
    }

    /// The events of which an attempt at this endpoint was begun, and nobody could record its result: what was under way
    /// when a process died. An event is there once for each such attempt, and may arrive once more for each.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn unrecorded(&self, endpoint_id: EndpointId, within: Duration) -> anyhow::Result<Vec<EventId>> {
        let deliveries: Vec<Delivery> =
            self.pages(&format!("deliveries?endpoint_id={endpoint_id}&limit=250"), within).await?;
        stream::iter(deliveries.into_iter().filter(|delivery| delivery.attempts > 1))
            .map(async |delivery| {
                let path = format!("deliveries/{}/attempts?limit=250", delivery.delivery_id);
                let attempts: Vec<Attempt> = self.pages(&path, within).await?;
                let unknown = attempts.iter().filter(|attempt| attempt.outcome == UNKNOWN).count();
                anyhow::Ok(vec![delivery.event_id; unknown])
            })
            .buffer_unordered(AT_A_TIME)
            .try_concat()
            .await
    }

    /// All items of a list, page after page; `path` has a query already.
    async fn pages<T: DeserializeOwned>(&self, path: &str, within: Duration) -> anyhow::Result<Vec<T>> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page: Page<T> = self.door.get(&format!("{path}{cursor}"), within).await?;
            all.extend(page.items);
            match page.next_cursor {
                None => return Ok(all),
                Some(next) => cursor = format!("&cursor={next}"),
            }
        }
    }

    /// All parked records, newest first.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn parked_records(&self, within: Duration) -> anyhow::Result<Vec<ParkedRecord>> {
        self.pages("parked-records?limit=250", within).await
    }

    /// The account of a window, as `T` reads it.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn audit<T: DeserializeOwned>(
        &self,
        from: Timestamp,
        to: Timestamp,
        within: Duration,
    ) -> anyhow::Result<T> {
        self.door.get(&format!("audit?from={from}&to={to}"), within).await
    }

    /// Who owns a payment, event or delivery, as `T` reads it.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal; 404 is one.
    pub async fn why<T: DeserializeOwned>(&self, id: &str, within: Duration) -> anyhow::Result<T> {
        self.door.get(&format!("why/{id}"), within).await
    }
}
