//! Gives the endpoints of a load what they are not made with: an order, a schedule, another way to them.

use std::time::Duration;

use anyhow::Context as _;
use chassis::Token;
use domain::ledger::Order;
use serde_json::json;
use url::Url;

use super::Ready;
use crate::account::Line;
use crate::portal::Portal;

/// What an endpoint is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// In which order it wants its events.
    pub order: Order,
    /// The waits before each attempt.
    pub schedule: Vec<Duration>,
    /// Where the simulator is for whoever sends webhooks: in front of it may be somebody else.
    pub webhooks: Url,
}

impl Ready {
    /// Changes one of the load's endpoints, before anything is sent to it, and notes it on the account.
    ///
    /// # Errors
    /// If the portal gives no answer in time or refuses, or the account can't be written.
    pub async fn shape(&mut self, index: usize, shape: &Shape) -> anyhow::Result<()> {
        let options = &self.options;
        let token = Token::from_file(&options.operator_token_file).context("--operator-token-file")?;
        let portal = Portal::new(&options.portal_url, token, options.one_try)?;
        let endpoint = self.endpoints.get_mut(index).with_context(|| format!("the load has no endpoint {index}"))?;
        let base = shape.webhooks.as_str().trim_end_matches('/');
        let change = json!({
            "order": shape.order,
            "schedule": shape.schedule.iter().map(|wait| format!("{}ms", wait.as_millis())).collect::<Vec<_>>(),
            "url": format!("{base}/webhooks/{}", endpoint.endpoint_id),
        });
        portal.change_endpoint(endpoint.endpoint_id, &change, options.answer_within).await?;
        endpoint.order = shape.order;
        self.writer.sync(&Line::Endpoint(endpoint.clone())).await
    }
}
