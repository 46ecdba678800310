//! `POST /merchants/{merchant_id}/tokens`.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use chassis::JsonObject;
use chassis::answer::Answer;
use chassis::idempotency::IdempotencyKey;
use chassis::params::PathParam;
use domain::ids::MerchantId;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::merchants::find_merchant;
use utoipa::ToSchema;

use crate::Portal;
use crate::access::Access;
use crate::clock::now;
use crate::error::Error;
use crate::idempotency::{Holds, Once};

/// A token to be made.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// How long it opens the merchant's things, from `1m` to `24h`.
    #[serde(default)]
    #[schema(value_type = Option<String>, default = "1h")]
    valid_for: ValidFor,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(try_from = "String")]
struct ValidFor(Duration);

/// The text is no such time.
#[derive(Debug, thiserror::Error)]
enum NotValidFor {
    #[error("{0}; write a duration like 15m or 1h")]
    Syntax(humantime::DurationError),
    #[error("a token is valid for 1m to 24h")]
    Range,
}

impl TryFrom<String> for ValidFor {
    type Error = NotValidFor;

    fn try_from(text: String) -> Result<Self, NotValidFor> {
        let duration = humantime::parse_duration(&text).map_err(NotValidFor::Syntax)?;
        let range = Duration::from_secs(60)..=Duration::from_secs(24 * 3600);
        if range.contains(&duration) { Ok(Self(duration)) } else { Err(NotValidFor::Range) }
    }
}

impl Default for ValidFor {
    fn default() -> Self {
        Self(Duration::from_secs(3600))
    }
}

/// A token for a merchant. Nobody keeps it, and nobody can take it back: it expires.
#[derive(Serialize, ToSchema)]
#[schema(as = MadeToken)]
pub(crate) struct Made {
    #[schema(value_type = String)]
    merchant_id: MerchantId,
    /// Sent as `Authorization: Bearer <token>`.
    token: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Makes a token that opens this merchant's things and no others.
#[utoipa::path(post, path = "/merchants/{merchant_id}/tokens", operation_id = "create_token", tag = "merchants",
    params(("merchant_id" = String, Path, description = "`mer_…`")), request_body = NewToken,
    responses((status = 201, description = "The token", body = Made)))]
pub(crate) async fn create(
    State(portal): State<Portal>,
    access: Access,
    PathParam(merchant_id): PathParam<MerchantId>,
    key: IdempotencyKey,
    JsonObject(new): JsonObject<NewToken>,
) -> Result<Answer, Error> {
    let once = Once::new(key, access, &new, Holds::ASecret);
    if let Some(first) = once.first_answer(&portal).await? {
        return Ok(first);
    }
    find_merchant(&portal.pool, merchant_id).await?.ok_or(Error::UnknownMerchant(merchant_id))?;
    let (token, expires_at) = portal.token_keys.sign(merchant_id, now(), new.valid_for.0);
    once.keep(&portal, StatusCode::CREATED, &Made { merchant_id, token, expires_at }).await
}
