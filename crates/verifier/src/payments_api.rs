//! payments-api as its users see it.

use std::time::Duration;

use anyhow::Context as _;
use chassis::Token;
use domain::ids::{MerchantId, PaymentId};
use domain::payment::Status;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::door::{Answer, Call, Door};

/// The door to payments-api.
#[derive(Debug, Clone)]
pub struct PaymentsApi {
    door: Door,
}

/// What the witness reads of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct PaymentState {
    /// Its id.
    pub payment_id: PaymentId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// Where it stands.
    pub status: Status,
    /// From 1, raised by each change.
    pub version: i64,
}

#[derive(Deserialize)]
struct NewMerchant {
    merchant_id: MerchantId,
}

impl PaymentsApi {
    /// The door; each single try is given `one_try`.
    ///
    /// # Errors
    /// If no HTTP client can be built.
    pub fn new(url: &Url, token: Option<Token>, one_try: Duration) -> anyhow::Result<Self> {
        Ok(Self { door: Door::new("payments-api", url, token, one_try)? })
    }

    /// Makes a merchant.
    ///
    /// # Errors
    /// If there is no answer in time, or it is refused.
    pub async fn make_merchant(&self, name: &str, key: &str, within: Duration) -> anyhow::Result<MerchantId> {
        let call = Call::new(Method::POST, "merchants").key(key).json(&json!({"name": name}))?;
        let made: NewMerchant = self.door.ask(call, within).await?.json().context("making a merchant")?;
        Ok(made.merchant_id)
    }

    /// `POST /payments`; the answer may be a refusal.
    ///
    /// # Errors
    /// If there is no answer in time.
    pub async fn make_payment(&self, key: &str, body: &serde_json::Value, within: Duration) -> anyhow::Result<Answer> {
        self.door.ask(Call::new(Method::POST, "payments").key(key).json(body)?, within).await
    }

    /// `POST /payments/{payment_id}/status`; the answer may be a refusal.
    ///
    /// # Errors
    /// If there is no answer in time.
    pub async fn change_status(
        &self,
        key: &str,
        payment_id: PaymentId,
        status: Status,
        within: Duration,
    ) -> anyhow::Result<Answer> {
        let path = format!("payments/{payment_id}/status");
        self.door.ask(Call::new(Method::POST, &path).key(key).json(&json!({"status": status}))?, within).await
    }

    /// A payment as it is now, or none if there is no such payment.
    ///
    /// # Errors
    /// If there is no answer in time, or another one.
    pub async fn payment(&self, payment_id: PaymentId, within: Duration) -> anyhow::Result<Option<PaymentState>> {
        let path = format!("payments/{payment_id}");
        let answer = self.door.ask(Call::new(Method::GET, &path), within).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        answer.json().map(Some).with_context(|| format!("reading payment {payment_id}"))
    }
}
