//! `GET /merchants` and `GET /merchants/{merchant_id}`.

pub(crate) mod endpoints;

use axum::Json;
use axum::extract::State;
use chassis::params::{PathParam, QueryParams};
use domain::ids::MerchantId;
use serde::{Deserialize, Serialize};
use store::merchants::{Merchant, find_merchant, list_merchants};

use crate::Portal;
use crate::error::Error;
use crate::limit::Limit;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    #[serde(default)]
    after: Option<MerchantId>,
    #[serde(default)]
    limit: Limit<1000>,
}

#[derive(Serialize)]
pub(crate) struct Merchants {
    merchants: Vec<Merchant>,
    next: Option<MerchantId>,
}

pub(crate) async fn list(
    State(portal): State<Portal>,
    QueryParams(page): QueryParams<Page>,
) -> Result<Json<Merchants>, Error> {
    let rows = list_merchants(&portal.pool, page.after, page.limit.rows()).await?;
    let (merchants, next) = page.limit.page(rows, |merchant| merchant.merchant_id);
    Ok(Json(Merchants { merchants, next }))
}

pub(crate) async fn read(
    State(portal): State<Portal>,
    PathParam(merchant_id): PathParam<MerchantId>,
) -> Result<Json<Merchant>, Error> {
    find_merchant(&portal.pool, merchant_id).await?.map(Json).ok_or(Error::UnknownMerchant(merchant_id))
}
