//! `POST /payments` and `GET /payments/{payment_id}`.

pub(crate) mod status;

use std::fmt;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chassis::answer::Answer;
use chassis::idempotency::IdempotencyKey;
use chassis::params::PathParam;
use chassis::{JsonObject, fault};
use domain::ids::{MerchantId, PaymentId};
use domain::money::{Amount, Currency};
use domain::payment::{Payment, Status};
use domain::text::Text;
use serde::de::{Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use store::idempotency::KEY_TAKEN;
use store::payments::{MERCHANT_EXISTS, find_payment, insert_payment};
use uuid::Uuid;

use crate::Api;
use crate::error::Error;
use crate::idempotency::{first_answer, keeping};
use crate::merchants::now;
use crate::trace::Trace;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPayment {
    #[serde(default)]
    merchant_id: Option<MerchantId>,
    #[serde(deserialize_with = "amount")]
    amount: Amount,
    currency: Currency,
    #[serde(default)]
    reference: Option<Text<0, 200>>,
    #[serde(default)]
    description: Option<Text<0, 10_000>>,
}

/// Makes a payment with one statement and one commit. The answer is known before, so that it is kept as it is sent.
pub(crate) async fn create(
    State(api): State<Api>,
    key: IdempotencyKey,
    trace: Trace,
    JsonObject(new): JsonObject<NewPayment>,
) -> Result<Answer, Error> {
    let keyed = key.of(&new);
    let now = now();
    let payment = Payment {
        payment_id: PaymentId::from_uuid(Uuid::now_v7()),
        merchant_id: new.merchant_id.or(api.demo_merchant).ok_or(Error::NoMerchant)?,
        amount: new.amount.into(),
        currency: new.currency.to_string(),
        status: Status::Pending,
        version: 1,
        reference: new.reference.map(String::from),
        description: new.description.map(String::from),
        created_at: now,
        updated_at: now,
    };
    let answer = Answer::new(StatusCode::CREATED, &payment);
    loop {
        let kept = keyed.as_ref().map(|keyed| keeping(keyed, &answer));
        let stored = insert_payment(&api.kept, &payment, trace.traceparent(), kept).await;
        let Err(error) = stored else {
            fault::point("payment.before_answer");
            return Ok(answer);
        };
        match (error.constraint(), &keyed) {
            (Some(KEY_TAKEN), Some(keyed)) => {
                if let Some(first) = first_answer(keyed, &api.kept).await? {
                    return Ok(first);
                }
            }
            (Some(MERCHANT_EXISTS), _) => return Err(Error::PaymentOfUnknownMerchant(payment.merchant_id)),
            _ => return Err(error.into()),
        }
    }
}

pub(crate) async fn read(
    State(api): State<Api>,
    PathParam(payment_id): PathParam<PaymentId>,
) -> Result<Json<Payment>, Error> {
    find_payment(&api.kept, payment_id).await?.map(Json).ok_or(Error::UnknownPayment(payment_id))
}

/// Reads an amount; what is wrong with it is said in words for people who do not know what an i64 is.
fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
    struct WholeNumber;

    impl Visitor<'_> for WholeNumber {
        type Value = Amount;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a whole number of minor units from 1 to {}", Amount::MOST)
        }

        fn visit_i64<E: serde::de::Error>(self, given: i64) -> Result<Amount, E> {
            Amount::try_from(given).map_err(E::custom)
        }

        fn visit_u64<E: serde::de::Error>(self, given: u64) -> Result<Amount, E> {
            match i64::try_from(given) {
                Ok(given) => self.visit_i64(given),
                Err(_) => Err(E::invalid_value(Unexpected::Unsigned(given), &self)),
            }
        }
    }

    deserializer.deserialize_i64(WholeNumber)
}
