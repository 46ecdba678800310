//! `POST /endpoints/{endpoint_id}/test`: a webhook to this endpoint alone, sent as all are.

use axum::extract::State;
use axum::http::StatusCode;
use chassis::answer::Answer;
use chassis::idempotency::IdempotencyKey;
use chassis::params::PathParam;
use domain::ids::{DeliveryId, EndpointId, EventId};
use domain::test_event;
use serde::Serialize;
use store::idempotency::keep_answer;
use store::test_events::write_test_event;
use store::transaction::{begin_on, commit};
use utoipa::ToSchema;

use super::{find, refuse_unless_enabled};
use crate::Portal;
use crate::access::Access;
use crate::error::Error;
use crate::idempotency::{Holds, Once};

/// A test event, and the delivery that it is to have.
#[derive(Serialize, ToSchema)]
#[schema(as = TestEvent)]
pub(crate) struct Made {
    #[schema(value_type = String)]
    event_id: EventId,
    #[schema(value_type = String)]
    delivery_id: DeliveryId,
}

/// Sends a test webhook: an event of the type `everhook.test`, to this endpoint alone, whatever its event types are. It is
/// signed, tried again and logged as all are. `GET /deliveries/{delivery_id}` tells what became of it; until the event has
/// come through, which takes a moment, there is no such delivery.
#[utoipa::path(post, path = "/endpoints/{endpoint_id}/test", operation_id = "test_endpoint", tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "`ep_…`")),
    responses((status = 202, description = "The event is written", body = Made)))]
pub(crate) async fn send(
    State(portal): State<Portal>,
    access: Access,
    PathParam(endpoint_id): PathParam<EndpointId>,
    key: IdempotencyKey,
) -> Result<Answer, Error> {
    let once = Once::new(key, access, &(), Holds::NoSecret);
    if let Some(first) = once.first_answer(&portal).await? {
        return Ok(first);
    }
    let endpoint = find(&portal, access, endpoint_id).await?;
    refuse_unless_enabled(&endpoint)?;
    let mut transaction = begin_on(&portal.pool).await?;
    // Disabled since it was read.
    let gone = || Error::EndpointNotEnabled { endpoint_id, state: "no longer enabled".to_owned() };
    let event_id = write_test_event(&mut transaction, endpoint_id).await?.ok_or_else(gone)?;
    let made = Made { event_id, delivery_id: test_event::delivery_id(event_id) };
    let prepared = once.prepare(&portal, StatusCode::ACCEPTED, &made).await?;
    let stored = async {
        if let Some(kept) = prepared.kept() {
            keep_answer(&mut transaction, &kept).await?;
        }
        commit(transaction).await
    };
    prepared.stored(&portal, stored.await).await
}
