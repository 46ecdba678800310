//! `GET /deliveries/{delivery_id}/attempts`: the attempt log.

mod answered;

use axum::Json;
use axum::extract::State;
use chassis::params::{PathParam, QueryParams};
use domain::ids::{AttemptId, DeliveryId};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::deliveries::list_attempts;
use utoipa::{IntoParams, ToSchema};

use crate::Portal;
use crate::access::Access;
use crate::error::Error;
use crate::page::{Cursor, Limit, Page};
use answered::{Header, body, headers};

/// Which attempts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// The `next_cursor` of the page before.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<AttemptId>>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Limit,
}

/// A POST that has ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct Attempt {
    attempt_id: String,
    delivery_id: String,
    /// Raised by each take-over, resumption and resend of the delivery.
    claim: i32,
    /// From 1.
    number: i32,
    #[schema(value_type = String, format = DateTime)]
    began_at: Timestamp,
    /// Look-up, connection and TLS; null where a connection was used again, or none came to stand.
    connect_ms: Option<i32>,
    /// From the beginning to the head of the answer.
    first_byte_ms: Option<i32>,
    /// The whole; null if nobody knows.
    duration_ms: Option<i64>,
    /// The IP address that the connection was with, or was to be with.
    address: Option<String>,
    /// `delivered`, or what went wrong in a word.
    outcome: String,
    /// The HTTP status, if there was an answer.
    status: Option<i16>,
    /// What went wrong, in words.
    detail: Option<String>,
    /// Of the answer, the first 8 KiB; null if there was none, or it was not kept. What may be a secret of the receiver is
    /// shown as `***`.
    response_headers: Option<Vec<Header>>,
    /// The first 16 KiB or 2 s of the answer's body, where that is UTF-8; an incomplete last character is left out.
    response_body: Option<String>,
    /// The same where it is not UTF-8.
    response_body_base64: Option<String>,
    /// When the next attempt was due after this one; null if none was to come.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// Lists the attempts of a delivery that have ended, with what was seen on the way.
#[utoipa::path(get, path = "/deliveries/{delivery_id}/attempts", operation_id = "list_attempts", tag = "deliveries",
    params(("delivery_id" = String, Path, description = "`dlv_…`"), Wanted),
    responses((status = 200, description = "A page", body = Page<Attempt>)))]
pub(crate) async fn list(
    State(portal): State<Portal>,
    access: Access,
    PathParam(delivery_id): PathParam<DeliveryId>,
    QueryParams(wanted): QueryParams<Wanted>,
) -> Result<Json<Page<Attempt>>, Error> {
    super::find(&portal, access, delivery_id).await?;
    let before = wanted.cursor.map(|cursor| cursor.0);
    let rows = list_attempts(&portal.lists, delivery_id, before, wanted.limit.rows()).await?;
    Ok(Json(wanted.limit.page(rows, |attempt| attempt.attempt_id.clone()).map(shown)))
}

fn shown(attempt: store::deliveries::Attempt) -> Attempt {
    let (response_body, response_body_base64) = body(attempt.response_body);
    Attempt {
        attempt_id: attempt.attempt_id,
        delivery_id: attempt.delivery_id,
        claim: attempt.claim,
        number: attempt.number,
        began_at: attempt.began_at.into(),
        connect_ms: attempt.connect_ms,
        first_byte_ms: attempt.first_byte_ms,
        duration_ms: attempt.duration_ms,
        address: attempt.address,
        outcome: attempt.outcome,
        status: attempt.status,
        detail: attempt.detail,
        response_headers: attempt.response_headers.as_deref().map(headers),
        response_body,
        response_body_base64,
        next_attempt_at: attempt.next_at.map(Timestamp::from),
        recorded_at: attempt.recorded_at.into(),
    }
}
