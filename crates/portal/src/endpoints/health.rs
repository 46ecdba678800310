//! `GET /endpoints/{endpoint_id}/health`: whether an endpoint takes what is sent to it.

use axum::Json;
use axum::extract::State;
use chassis::params::PathParam;
use domain::ids::EndpointId;
use domain::time::Timestamp;
use serde::Serialize;
use store::endpoints::health::read_health;
use utoipa::ToSchema;

use super::find;
use crate::Portal;
use crate::access::Access;
use crate::error::Error;

/// How an endpoint does.
#[derive(Serialize, ToSchema)]
#[schema(as = EndpointHealth)]
pub(crate) struct Health {
    health: Condition,
    /// Failed attempts without a success between them.
    failures: i32,
    /// The first of them.
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
    /// The first failure after this moment disables the endpoint, unless an attempt succeeds before; null if none does.
    #[schema(value_type = Option<String>, format = DateTime)]
    disable_at: Option<Timestamp>,
    /// Set while the circuit is open: until then nothing is sent, and then one attempt tries whether the endpoint is back.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_probe_at: Option<Timestamp>,
}

/// `well`: the last attempt has succeeded, or there was none; `failing`: none has since the first failure; `warning`: more
/// than half of the time is over after which it is disabled.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EndpointCondition)]
enum Condition {
    Well,
    Failing,
    Warning,
}

/// Tells how an endpoint does.
#[utoipa::path(get, path = "/endpoints/{endpoint_id}/health", operation_id = "read_endpoint_health", tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "`ep_…`")),
    responses((status = 200, description = "How it does", body = Health)))]
pub(crate) async fn read(
    State(portal): State<Portal>,
    access: Access,
    PathParam(endpoint_id): PathParam<EndpointId>,
) -> Result<Json<Health>, Error> {
    find(&portal, access, endpoint_id).await?;
    let found = read_health(&portal.pool, endpoint_id).await?;
    let is_half_over = |since: Timestamp, until: Timestamp| found.now.since(since) > until.since(found.now);
    let health = match (found.failing_since, found.disable_at) {
        (None, _) => Condition::Well,
        (Some(since), Some(until)) if is_half_over(since, until) => Condition::Warning,
        (Some(_), _) => Condition::Failing,
    };
    Ok(Json(Health {
        health,
        failures: found.failures,
        failing_since: found.failing_since,
        disable_at: found.disable_at,
        next_probe_at: found.probe_at,
    }))
}
