//! The durable handlers. Input is raw bytes: a typed input would turn an unreadable record into a lost one.

use std::time::Duration;

use chassis::fault;
use domain::protocol::Later;
use futures_util::FutureExt as _;
use restate_sdk::endpoint::{Endpoint, ServiceOptions};
use restate_sdk::prelude::*;

use crate::deliver::{Deliverer, Left};
use crate::position::Position;

/// The plain service that Kafka's records and the ledger's due deliveries come to.
pub struct Delivery {
    deliverer: Deliverer,
}

/// The identity key is none.
#[derive(Debug, thiserror::Error)]
#[error("--identity-key is no key of Restate's: {reason}")]
pub struct BadIdentityKey {
    reason: String,
}

#[restate_sdk::service]
impl Delivery {
    /// A record of the topic, or an event that the reconciler sends: almost every event is this one step.
    #[handler]
    async fn event(&self, ctx: Context<'_>, value: Vec<u8>) -> Result<(), HandlerError> {
        let position = Position::of(ctx.headers());
        let step = self.deliverer.clone().event(ctx.invocation_id().to_owned(), position, value).boxed();
        let step = ctx.run(|| async { journaled(step.await?) }).name("deliver").retry_policy(without_limit());
        let Json(left) = step.await?;
        self.hand_on(&ctx, left).await
    }

    /// One later attempt of a delivery, under its claim.
    #[handler]
    async fn attempt(&self, ctx: Context<'_>, delivery: Vec<u8>) -> Result<(), HandlerError> {
        // The ledger drives deliveries: an unreadable request is nobody's only trace of one.
        let delivery: Later = serde_json::from_slice(&delivery)
            .map_err(|error| TerminalError::new_with_code(400, format!("not a delivery to attempt: {error}")))?;
        let step = self.deliverer.clone().attempt(ctx.invocation_id().to_owned(), delivery).boxed();
        let step = ctx.run(|| async { journaled(step.await?) }).name("attempt").retry_policy(without_limit());
        let Json(left) = step.await?;
        self.hand_on(&ctx, left).await
    }
}

impl Delivery {
    /// Waiting work has no journal: each further attempt is a short invocation of its own, sent with a delay.
    async fn hand_on(&self, ctx: &Context<'_>, left: Left) -> Result<(), HandlerError> {
        let Left { mut later, unrecorded } = left;
        if !unrecorded.is_empty() {
            let step = self.deliverer.clone().record(unrecorded).boxed();
            let step = ctx.run(|| async { Ok(Json(step.await?)) }).name("record").retry_policy(without_limit());
            let Json(more) = step.await?;
            later.extend(more);
        }
        for due in later {
            let request = serde_json::to_vec(&due.later)
                .map_err(|error| TerminalError::new(format!("writing a delivery as JSON: {error}")))?;
            ctx.service_client::<DeliveryClient<'_>>()
                .attempt(request)
                // Not a part of what a replay compares.
                .send_after(due.wait());
        }
        Ok(())
    }
}

/// What a step has left, on its way into the journal: everything else of it is done.
fn journaled(left: Left) -> Result<Json<Left>, HandlerError> {
    fault::point("record.before_journal");
    Ok(Json(left))
}

/// A step is tried again for ever: giving up would lose the work.
fn without_limit() -> RunRetryPolicy {
    RunRetryPolicy::new()
        .initial_delay(Duration::from_millis(50))
        .exponentiation_factor(2.0)
        .max_delay(Duration::from_secs(3))
}

/// The endpoint that Restate calls. Requests must be signed by Restate if `identity_key` is given.
pub fn endpoint(deliverer: Deliverer, identity_key: Option<&str>) -> Result<Endpoint, BadIdentityKey> {
    let options = ServiceOptions::new()
        .journal_retention(Duration::ZERO)
        .retry_policy_initial_interval(Duration::from_millis(50))
        .retry_policy_exponentiation_factor(2.0)
        // Everything that was under way when a process died is tried again this soon after the next one serves.
        .retry_policy_max_interval(Duration::from_secs(1))
        // The default gives up after 70 tries and pauses.
        .retry_policy_max_attempts(u64::from(u32::MAX));
    let mut builder = Endpoint::builder().bind(Delivery { deliverer }.into_service_definition().options(options));
    if let Some(key) = identity_key {
        builder = builder.identity_key(key).map_err(|error| BadIdentityKey { reason: error.to_string() })?;
    }
    Ok(builder.build())
}
