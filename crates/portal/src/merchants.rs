//! `GET` and `POST /merchants`, `GET` and `PATCH /merchants/{merchant_id}`.

pub(crate) mod endpoints;
pub(crate) mod tokens;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chassis::JsonObject;
use chassis::answer::Answer;
use chassis::idempotency::IdempotencyKey;
use chassis::params::{PathParam, QueryParams};
use domain::ids::MerchantId;
use domain::text::Text;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::merchants::{MERCHANT_ID_TAKEN, find_merchant, insert_merchant, list_merchants, rename_merchant};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::Portal;
use crate::access::Access;
use crate::clock::now;
use crate::error::Error;
use crate::idempotency::{Holds, Once};
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

/// A merchant to be made.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMerchant {
    /// For people.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    name: Text<1, 200>,
    /// `mer_…`, if it is to have this id.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    merchant_id: Option<MerchantId>,
}

/// What is to be changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MerchantChange {
    /// For people.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    name: Option<Text<1, 200>>,
}

/// Makes a merchant.
#[utoipa::path(post, path = "/merchants", operation_id = "create_merchant", tag = "merchants",
    request_body = NewMerchant, responses((status = 201, description = "The merchant", body = Merchant)))]
pub(crate) async fn create(
    State(portal): State<Portal>,
    access: Access,
    key: IdempotencyKey,
    JsonObject(new): JsonObject<NewMerchant>,
) -> Result<Answer, Error> {
    let once = Once::new(key, access, &new, Holds::NoSecret);
    let merchant = store::merchants::Merchant {
        merchant_id: new.merchant_id.unwrap_or_else(|| MerchantId::from_uuid(Uuid::now_v7())),
        name: new.name.into(),
        created_at: now(),
    };
    let prepared = once.prepare(&portal, StatusCode::CREATED, &merchant).await?;
    match insert_merchant(&portal.pool, &merchant, prepared.kept()).await {
        Err(error) if error.constraint() == Some(MERCHANT_ID_TAKEN) => {
            Err(Error::MerchantIdTaken(merchant.merchant_id))
        }
        stored => prepared.stored(&portal, stored).await,
    }
}

/// Changes a merchant.
#[utoipa::path(patch, path = "/merchants/{merchant_id}", operation_id = "change_merchant", tag = "merchants",
    params(("merchant_id" = String, Path, description = "`mer_…`")), request_body = MerchantChange,
    responses((status = 200, description = "The merchant as it is now", body = Merchant)))]
pub(crate) async fn change(
    State(portal): State<Portal>,
    PathParam(merchant_id): PathParam<MerchantId>,
    JsonObject(change): JsonObject<MerchantChange>,
) -> Result<Json<Merchant>, Error> {
    let found = match change.name {
        Some(name) => rename_merchant(&portal.pool, merchant_id, name.as_str()).await?,
        None => find_merchant(&portal.pool, merchant_id).await?,
    };
    found.map(|found| Json(shown(found))).ok_or(Error::UnknownMerchant(merchant_id))
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
