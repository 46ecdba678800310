//! `POST` and `GET /merchants/{merchant_id}/endpoints`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chassis::JsonObject;
use chassis::answer::Answer;
use chassis::idempotency::IdempotencyKey;
use chassis::params::{PathParam, QueryParams};
use domain::ids::{EndpointId, MerchantId, SecretId};
use domain::ledger::Order;
use domain::signature::{Shown, Version};
use domain::webhook::Payload;
use serde::{Deserialize, Serialize};
use store::endpoints::{Headers, MERCHANT_EXISTS, NewEndpoint, insert_endpoint, list_endpoints};
use store::merchants::find_merchant;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::Portal;
use crate::access::Access;
use crate::clock::now;
use crate::endpoints::headers::HeaderChange;
use crate::endpoints::settings::{Description, EndpointUrl, EventFilters, RateLimit, Timeout, Waits};
use crate::endpoints::{Endpoint, KeyShape, OrderName, PayloadName, SignatureName, changed_headers};
use crate::error::Error;
use crate::idempotency::{Holds, Once};
use crate::page::{Cursor, Limit, Page};

/// An endpoint to be made.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEndpoint)]
pub(crate) struct New {
    /// `https://host/path`, without user name and fragment.
    #[schema(value_type = String)]
    url: EndpointUrl,
    /// For people.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Option<Description>,
    /// Which events it wants: types, `payment.*`, or `*`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, default = json!(["*"]))]
    event_types: EventFilters,
    /// The wait before each attempt, like `["0s", "5s", "5m"]`; null for the default one.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    schedule: Option<Waits>,
    #[serde(default)]
    #[schema(value_type = OrderName, required = false, default = "any")]
    order: Order,
    #[serde(default)]
    #[schema(value_type = PayloadName, required = false, default = "fresh")]
    payload: Payload,
    #[serde(default)]
    #[schema(value_type = SignatureName, required = false, default = "v1")]
    signature: Version,
    /// For a whole POST, from `100ms` to `60s`.
    #[serde(default)]
    #[schema(value_type = Option<String>, default = "15s")]
    timeout: Timeout,
    /// Attempts a second, from 1 to 1000; null is without limit.
    #[serde(default)]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1000)]
    rate_limit: Option<RateLimit>,
    /// Sent with each webhook: at most 20, by name. Ours can't be set.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>, required = false)]
    headers: HeaderChange,
}

/// The endpoint with what its merchant verifies with: the secret, or the public key.
#[derive(Serialize, ToSchema)]
#[schema(as = MadeEndpoint)]
pub(crate) struct Made {
    #[serde(flatten)]
    endpoint: Endpoint,
    #[serde(flatten)]
    #[schema(value_type = KeyShape)]
    key: Shown,
}

/// Which endpoints.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// The `next_cursor` of the page before.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<EndpointId>>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Limit,
}

/// Makes an endpoint, with its signing secret.
#[utoipa::path(post, path = "/merchants/{merchant_id}/endpoints", operation_id = "create_endpoint", tag = "endpoints",
    params(("merchant_id" = String, Path, description = "`mer_…`")), request_body = New,
    responses((status = 201, description = "The endpoint", body = Made)))]
pub(crate) async fn create(
    State(portal): State<Portal>,
    access: Access,
    PathParam(merchant_id): PathParam<MerchantId>,
    key: IdempotencyKey,
    JsonObject(new): JsonObject<New>,
) -> Result<Answer, Error> {
    access.whose(Some(merchant_id))?;
    let once = Once::new(key, access, &new, Holds::ASecret);
    if let Some(first) = once.first_answer(&portal).await? {
        return Ok(first);
    }
    let url = new.url.allowed(&portal.egress)?;
    let secret = portal.data_service.make_secret(new.signature).await?;
    let endpoint_id = EndpointId::from_uuid(Uuid::now_v7());
    let headers = match new.headers.is_empty() {
        true => Headers::default(),
        false => changed_headers(&portal, endpoint_id, &Headers::default(), &new.headers).await?,
    };
    let new = NewEndpoint {
        endpoint_id,
        merchant_id,
        url,
        description: new.description.map(String::from),
        event_types: new.event_types.into(),
        schedule_ms: new.schedule.map(Vec::from),
        order: new.order.as_str(),
        payload: new.payload.as_str(),
        signature: new.signature,
        timeout_ms: new.timeout.into(),
        rate_limit: new.rate_limit.map(i32::from),
        headers,
        secret_id: SecretId::from_uuid(Uuid::now_v7()),
        key_id: secret.key_id,
        ciphertext: secret.ciphertext,
        created_at: now(),
    };
    let made = Made { endpoint: new.as_stored().try_into()?, key: secret.key };
    let prepared = once.prepare(&portal, StatusCode::CREATED, &made).await?;
    match insert_endpoint(&portal.pool, new, prepared.kept()).await {
        Err(error) if error.constraint() == Some(MERCHANT_EXISTS) => Err(Error::UnknownMerchant(merchant_id)),
        stored => prepared.stored(&portal, stored).await,
    }
}

/// Lists a merchant's endpoints.
#[utoipa::path(get, path = "/merchants/{merchant_id}/endpoints", operation_id = "list_endpoints", tag = "endpoints",
    params(("merchant_id" = String, Path, description = "`mer_…`"), Wanted),
    responses((status = 200, description = "A page", body = Page<Endpoint>)))]
pub(crate) async fn list(
    State(portal): State<Portal>,
    access: Access,
    PathParam(merchant_id): PathParam<MerchantId>,
    QueryParams(wanted): QueryParams<Wanted>,
) -> Result<Json<Page<Endpoint>>, Error> {
    access.whose(Some(merchant_id))?;
    let before = wanted.cursor.map(|cursor| cursor.0);
    let rows = list_endpoints(&portal.lists, merchant_id, before, wanted.limit.rows()).await?;
    if rows.is_empty() && find_merchant(&portal.pool, merchant_id).await?.is_none() {
        return Err(Error::UnknownMerchant(merchant_id));
    }
    Ok(Json(wanted.limit.page(rows, |endpoint| endpoint.endpoint_id).try_map(Endpoint::try_from)?))
}
