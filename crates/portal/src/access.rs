//! Who asks: the operator, who sees everything, or a merchant, for whom only its own things exist.

use std::fmt;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chassis::Token;
use domain::ids::MerchantId;

use crate::clock::now;
use crate::error::Error;
use crate::merchant_token::{self, TokenKeys};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Operator,
    Merchant(MerchantId),
}

/// What opens the door.
#[derive(Debug, Clone)]
pub(crate) struct Doors {
    pub(crate) operator: Token,
    pub(crate) token_keys: TokenKeys,
}

impl Access {
    /// Whether the things of this merchant exist for whoever asks.
    pub(crate) fn sees(self, merchant_id: MerchantId) -> bool {
        match self {
            Self::Operator => true,
            Self::Merchant(own) => own == merchant_id,
        }
    }

    /// As [`Access::sees`], by the id as it is stored.
    pub(crate) fn sees_id(self, merchant_id: Option<&str>) -> bool {
        match self {
            Self::Operator => true,
            Self::Merchant(own) => merchant_id.is_some_and(|id| id == own.to_string()),
        }
    }

    /// Whose things a list has: those of the merchant that is asked for; to a merchant, never another's.
    pub(crate) fn whose(self, wanted: Option<MerchantId>) -> Result<Option<MerchantId>, Error> {
        match (self, wanted) {
            (Self::Merchant(own), None) => Ok(Some(own)),
            (_, Some(wanted)) if !self.sees(wanted) => Err(Error::UnknownMerchant(wanted)),
            (_, wanted) => Ok(wanted),
        }
    }
}

/// Who asks, as it is recorded.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Merchant(merchant_id) => merchant_id.fmt(f),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Access {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        parts.extensions.get().copied().ok_or(Error::NoToken)
    }
}

/// Axum middleware: lets in whoever brings a token, and tells the handlers who it is.
pub(crate) async fn require_access(State(doors): State<Doors>, mut request: Request, next: Next) -> Response {
    match access(&doors, &request) {
        Ok(access) => {
            request.extensions_mut().insert(access);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

/// Axum middleware: lets only the operator pass.
pub(crate) async fn operator_only(access: Access, request: Request, next: Next) -> Response {
    match access {
        Access::Operator => next.run(request).await,
        Access::Merchant(_) => Error::OperatorOnly.into_response(),
    }
}

fn access(doors: &Doors, request: &Request) -> Result<Access, Error> {
    if doors.operator.opens(request) {
        return Ok(Access::Operator);
    }
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|value| value.strip_prefix("Bearer ")).ok_or(Error::NoToken)?;
    match doors.token_keys.open(token, now()) {
        Ok(merchant_id) => Ok(Access::Merchant(merchant_id)),
        Err(merchant_token::Refused::Expired) => Err(Error::TokenExpired),
        Err(merchant_token::Refused::NotOurs) => Err(Error::NoToken),
    }
}
