//! Events with their deliveries and attempts, as traces are judged by them.

use std::time::Duration;

use anyhow::Context as _;
use domain::ids::{DeliveryId, EndpointId, EventId, MerchantId};
use domain::time::Timestamp;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;

use super::{Page, Portal};
use crate::AT_A_TIME;
use crate::traces::ledger::{self, Attempt};

#[derive(Deserialize)]
struct Listed {
    event_id: EventId,
    fan_out: Option<i64>,
}

#[derive(Deserialize)]
struct Event {
    event_type: String,
    object_type: String,
    object_id: String,
    merchant_id: MerchantId,
    fan_out: Option<i64>,
    traceparent: Option<String>,
    deliveries: Page<Delivery>,
}

#[derive(Deserialize)]
struct Delivery {
    delivery_id: DeliveryId,
    endpoint_id: EndpointId,
    state: String,
    attempts: i64,
    attempting_since: Option<Timestamp>,
    accepted_at: Option<Timestamp>,
}

impl Portal {
    /// The events of a window that at least one endpoint wants, newest first.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn fanned_out(&self, from: Timestamp, to: Timestamp, within: Duration) -> anyhow::Result<Vec<EventId>> {
        let listed: Vec<Listed> = self.pages(&format!("events?from={from}&to={to}&limit=250"), within).await?;
        let wanted = listed.into_iter().filter(|event| event.fan_out.is_some_and(|fan_out| fan_out > 0));
        Ok(wanted.map(|event| event.event_id).collect())
    }

    /// An event with all its deliveries and their attempts.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn event(&self, event_id: EventId, within: Duration) -> anyhow::Result<ledger::Event> {
        let event: Event = self.door.get(&format!("events/{event_id}"), within).await?;
        let mut deliveries = event.deliveries.items;
        if let Some(cursor) = event.deliveries.next_cursor {
            let rest = format!("deliveries?event_id={event_id}&limit=250&cursor={cursor}");
            deliveries.extend(self.pages(&rest, within).await?);
        }
        let deliveries = stream::iter(deliveries).map(|delivery| self.with_log(delivery, within)).buffered(AT_A_TIME);
        let deliveries = deliveries.try_collect().await.with_context(|| format!("the deliveries of {event_id}"))?;
        let Event { event_type, object_type, object_id, merchant_id, fan_out, traceparent, .. } = event;
        Ok(ledger::Event {
            event_id,
            event_type,
            object_type,
            object_id,
            merchant_id,
            traceparent,
            fan_out,
            deliveries,
        })
    }

    async fn with_log(&self, delivery: Delivery, within: Duration) -> anyhow::Result<ledger::Delivery> {
        let Delivery { delivery_id, endpoint_id, state, attempts, attempting_since, accepted_at } = delivery;
        let mut log: Vec<Attempt> = Vec::new();
        if attempts > 0 {
            log = self.pages(&format!("deliveries/{delivery_id}/attempts?limit=250"), within).await?;
            // The portal has the newest first.
            log.reverse();
        }
        Ok(ledger::Delivery {
            delivery_id,
            endpoint_id,
            is_delivered: state == "delivered" || accepted_at.is_some(),
            under_way: attempting_since.map(|_| attempts),
            log,
        })
    }
}
