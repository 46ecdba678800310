//! `POST /merchants` and `GET /merchants/{merchant_id}`, and the demo merchant.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chassis::answer::Answer;
use chassis::backoff::Backoff;
use chassis::error_chain::Chain;
use chassis::idempotency::IdempotencyKey;
use chassis::params::PathParam;
use chassis::{JsonObject, Lifecycle};
use domain::ids::MerchantId;
use domain::text::Text;
use serde::{Deserialize, Serialize};
use store::PgPool;
use store::idempotency::KEY_TAKEN;
use store::merchants::{MERCHANT_ID_TAKEN, Merchant, ensure_merchant, find_merchant, insert_merchant};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Api;
use crate::error::Error;
use crate::idempotency::{first_answer, keeping};

/// The demo merchant's id is the same everywhere, so that an endpoint can be made for it at any time.
pub const DEMO_MERCHANT: MerchantId = MerchantId::from_uuid(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001));

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMerchant {
    name: Text<1, 200>,
    #[serde(default)]
    merchant_id: Option<MerchantId>,
}

pub(crate) async fn create(
    State(api): State<Api>,
    key: IdempotencyKey,
    JsonObject(new): JsonObject<NewMerchant>,
) -> Result<Answer, Error> {
    let keyed = key.of(&new);
    let merchant = Merchant {
        merchant_id: new.merchant_id.unwrap_or_else(|| MerchantId::from_uuid(Uuid::now_v7())),
        name: new.name.into(),
        created_at: now(),
    };
    let answer = Answer::new(StatusCode::CREATED, &merchant);
    loop {
        let kept = keyed.as_ref().map(|keyed| keeping(keyed, &answer));
        let Err(error) = insert_merchant(&api.pool, &merchant, kept).await else { return Ok(answer) };
        match (error.constraint(), &keyed) {
            (Some(KEY_TAKEN), Some(keyed)) => {
                if let Some(first) = first_answer(keyed, &api.kept).await? {
                    return Ok(first);
                }
            }
            (Some(MERCHANT_ID_TAKEN), _) => return Err(Error::MerchantIdTaken(merchant.merchant_id)),
            _ => return Err(error.into()),
        }
    }
}

pub(crate) async fn read(
    State(api): State<Api>,
    PathParam(merchant_id): PathParam<MerchantId>,
) -> Result<Json<Merchant>, Error> {
    find_merchant(&api.pool, merchant_id).await?.map(Json).ok_or(Error::UnknownMerchant(merchant_id))
}

/// Makes the demo merchant unless it exists; tries until the database lets it, or the process is asked to stop.
pub async fn ensure_demo_merchant(lifecycle: &Lifecycle, pool: &PgPool) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    while let Err(error) = ensure_merchant(pool, DEMO_MERCHANT, "Demo merchant").await {
        tracing::warn!("the demo merchant could not be made, trying again: {}", Chain(&error));
        if !lifecycle.sleep(backoff.next_wait()).await {
            return;
        }
    }
    tracing::info!(merchant_id = %DEMO_MERCHANT, "payments that name no merchant are the demo merchant's");
}

/// The clock of the service, in microseconds as they are stored.
pub(crate) fn now() -> domain::time::Timestamp {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(now.nanosecond() / 1_000 * 1_000).unwrap_or(now).into()
}
