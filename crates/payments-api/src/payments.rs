//! `POST /payments` and `GET /payments/{payment_id}`.

pub(crate) mod status;

use std::fmt;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chassis::answer::Answer;
use chassis::idempotency::{IdempotencyKey, Keyed};
use chassis::params::PathParam;
use chassis::{JsonObject, fault};
use domain::ids::{MerchantId, PaymentId};
use domain::money::{Amount, Currency};
use domain::payment::{Payment, Status};
use domain::text::Text;
use domain::trace::Hop;
use serde::de::{Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use store::idempotency::KEY_TAKEN;
use store::payments::{MERCHANT_EXISTS, find_payment, insert_payment};
use uuid::Uuid;

use crate::Api;
use crate::error::{Error, InTrace};
use crate::idempotency::{first_answer, keeping};
use crate::merchants::now;
use crate::trace::{About, Trace};

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
) -> Result<Answer, InTrace> {
    let payment_id = PaymentId::from_uuid(Uuid::now_v7());
    let answer = make(&api, key.of(&new), &trace, payment_id, new).await;
    trace.end(About { hop: Hop::Create, route: "/payments", payment_id }, answer)
}

async fn make(
    api: &Api,
    keyed: Option<Keyed>,
    trace: &Trace,
    payment_id: PaymentId,
    new: NewPayment,
) -> Result<Answer, Error> {
    let now = now();
    let merchant_id = new.merchant_id.or(api.demo_merchant).ok_or(Error::NoMerchant)?;
    trace.concerns(merchant_id);
    let payment = Payment {
        payment_id,
        merchant_id,
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
        let began = SystemTime::now();
        let stored = insert_payment(&api.kept, &payment, trace.traceparent(), kept).await;
        let Err(error) = stored else {
            trace.committed(began, "insert payments");
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(body: &serde_json::Value) -> Result<NewPayment, chassis::Problem> {
        JsonObject::from_bytes(body.to_string().as_bytes()).map(|JsonObject(new)| new)
    }

    proptest! {
        #[test]
        fn a_payment_is_read_as_it_was_written(
            uuid: u128,
            amount in 1..=Amount::MOST,
            reference in prop::option::of("[^\0]{0,200}"),
            description in prop::option::of("[^\0]{0,40}")
        ) {
            let merchant_id = MerchantId::from_uuid(Uuid::from_u128(uuid));
            let body = json!({
                "merchant_id": merchant_id, "amount": amount, "currency": "JPY",
                "reference": reference, "description": description,
            });
            prop_assert_eq!(json!(read(&body).unwrap()), body);
        }

        #[test]
        fn a_wrong_amount_is_named(amount in prop_oneof![
            (i64::MIN..=0).prop_map(|n| json!(n)),
            (Amount::MOST + 1..=i64::MAX).prop_map(|n| json!(n)),
            (u64::MAX / 2..).prop_map(|n| json!(n)),
            any::<f64>().prop_map(|n| json!(n)),
            ".{0,5}".prop_map(|text| json!(text)),
        ]) {
            let problem = read(&json!({"amount": amount, "currency": "JPY"})).err().unwrap();
            prop_assert_eq!((problem.status, problem.field.as_deref()), (422, Some("amount")));
            prop_assert!(problem.detail.contains("a whole number of minor units"), "{}", problem.detail);
        }

        #[test]
        fn a_text_that_the_database_can_t_keep_is_refused(before in "[^\0]{0,10}", after in "[^\0]{0,10}") {
            let text = format!("{before}\0{after}");
            let problem = read(&json!({"amount": 1, "currency": "JPY", "reference": text})).err().unwrap();
            prop_assert_eq!((problem.status, problem.field.as_deref()), (422, Some("reference")));
        }

        #[test]
        fn any_bytes_are_a_payment_or_a_problem_of_the_client_s(
            bytes in prop::collection::vec(any::<u8>(), 0..60), text in "[{}\\[\\]\":,0-9eamount.-]{0,40}"
        ) {
            for body in [bytes.as_slice(), text.as_bytes()] {
                if let Err(problem) = JsonObject::<NewPayment>::from_bytes(body) {
                    prop_assert!(matches!(problem.status, 400 | 422), "{problem:?}");
                    prop_assert!(!problem.detail.is_empty());
                }
            }
        }
    }
}
