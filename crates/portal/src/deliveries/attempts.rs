//! `GET /deliveries/{delivery_id}/attempts`.

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
    /// From 1.
    number: i32,
    #[schema(value_type = String, format = DateTime)]
    began_at: Timestamp,
    /// Null if nobody knows.
    duration_ms: Option<i64>,
    /// `delivered`, or what went wrong in a word.
    outcome: String,
    /// The HTTP status, if there was an answer.
    status: Option<i16>,
    /// What went wrong, in words.
    detail: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// Lists the attempts of a delivery that have ended.
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
    Attempt {
        attempt_id: attempt.attempt_id,
        delivery_id: attempt.delivery_id,
        number: attempt.number,
        began_at: attempt.began_at.into(),
        duration_ms: attempt.duration_ms,
        outcome: attempt.outcome,
        status: attempt.status,
        detail: attempt.detail,
        recorded_at: attempt.recorded_at.into(),
    }
}
