//! The portal's management API, as the witness uses it.

use std::time::Duration;

use anyhow::Context as _;
use chassis::Token;
use domain::event::EventFilter;
use domain::ids::{EndpointId, EventId, MerchantId, PaymentId};
use domain::time::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

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

#[derive(Deserialize)]
struct HopsPage {
    items: Vec<Hop>,
    next_cursor: Option<String>,
}

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
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page: HopsPage = self.door.get(&format!("hops?from={from}&to={to}&limit=1000{cursor}"), within).await?;
            all.extend(page.items);
            match page.next_cursor {
                None => return Ok(all),
                Some(next) => cursor = format!("&cursor={next}"),
            }
        }
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
