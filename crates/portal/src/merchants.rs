//! `GET /merchants` and `GET /merchants/{merchant_id}`.

pub(crate) mod endpoints;
pub(crate) mod tokens;

use axum::Json;
use axum::extract::State;
use chassis::params::{PathParam, QueryParams};
use domain::ids::MerchantId;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::merchants::{find_merchant, list_merchants};
use utoipa::{IntoParams, ToSchema};

use crate::Portal;
use crate::access::Access;
use crate::error::Error;
use crate::page::{Cursor, Limit, Page};

/// Which merchants.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// The `next_cursor` of the page before.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<MerchantId>>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Limit,
}

/// Whose payments and endpoints these are.
#[derive(Serialize, ToSchema)]
pub(crate) struct Merchant {
    #[schema(value_type = String)]
    merchant_id: MerchantId,
    /// For people.
    name: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// Lists merchants.
#[utoipa::path(get, path = "/merchants", operation_id = "list_merchants", tag = "merchants", params(Wanted),
    responses((status = 200, description = "A page", body = Page<Merchant>)))]
pub(crate) async fn list(
    State(portal): State<Portal>,
    QueryParams(wanted): QueryParams<Wanted>,
) -> Result<Json<Page<Merchant>>, Error> {
    let rows = list_merchants(&portal.lists, wanted.cursor.map(|cursor| cursor.0), wanted.limit.rows()).await?;
    Ok(Json(wanted.limit.page(rows, |merchant| merchant.merchant_id).map(shown)))
}

/// Reads a merchant.
#[utoipa::path(get, path = "/merchants/{merchant_id}", operation_id = "read_merchant", tag = "merchants",
    params(("merchant_id" = String, Path, description = "`mer_…`")),
    responses((status = 200, description = "The merchant", body = Merchant)))]
pub(crate) async fn read(
    State(portal): State<Portal>,
    access: Access,
    PathParam(merchant_id): PathParam<MerchantId>,
) -> Result<Json<Merchant>, Error> {
    access.whose(Some(merchant_id))?;
    find_merchant(&portal.pool, merchant_id)
        .await?
        .map(|found| Json(shown(found)))
        .ok_or(Error::UnknownMerchant(merchant_id))
}

fn shown(merchant: store::merchants::Merchant) -> Merchant {
    Merchant { merchant_id: merchant.merchant_id, name: merchant.name, created_at: merchant.created_at }
}
