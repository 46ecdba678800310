//! `POST /payments/{payment_id}/status`.

use std::time::SystemTime;

use axum::extract::State;
use axum::http::StatusCode;
use chassis::answer::Answer;
use chassis::idempotency::{IdempotencyKey, Keyed};
use chassis::params::PathParam;
use chassis::{JsonObject, Problem, fault};
use domain::ids::PaymentId;
use domain::payment::Status;
use domain::trace::Hop;
use serde::{Deserialize, Serialize};
use store::PgConnection;
use store::idempotency::{KEY_TAKEN, keep_answer};
use store::payments::{lock_payment, set_status};
use store::transaction::{begin, commit};

use crate::Api;
use crate::error::{Error, InTrace};
use crate::idempotency::{first_answer, keeping};
use crate::trace::{About, Trace};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewStatus {
    status: Status,
}

pub(crate) async fn change(
    State(api): State<Api>,
    PathParam(payment_id): PathParam<PaymentId>,
    key: IdempotencyKey,
    trace: Trace,
    JsonObject(new): JsonObject<NewStatus>,
) -> Result<Answer, InTrace> {
    let keyed = key.of(&new);
    let answer = change_or_answer_again(&api, payment_id, new.status, keyed.as_ref(), &trace).await;
    let route = "/payments/{payment_id}/status";
    trace.end(About { hop: Hop::Change, route, payment_id }, answer)
}

async fn change_or_answer_again(
    api: &Api,
    payment_id: PaymentId,
    wanted: Status,
    keyed: Option<&Keyed>,
    trace: &Trace,
) -> Result<Answer, Error> {
    loop {
        match (change_once(api, payment_id, wanted, keyed, trace).await, keyed) {
            // The first one has changed the payment; what this one did is rolled back.
            (Err(Error::Store(error)), Some(keyed)) if error.constraint() == Some(KEY_TAKEN) => {
                if let Some(first) = first_answer(keyed, &api.kept).await? {
                    return Ok(first);
                }
            }
            (done, _) => return done,
        }
    }
}

async fn change_once(
    api: &Api,
    payment_id: PaymentId,
    wanted: Status,
    keyed: Option<&Keyed>,
    trace: &Trace,
) -> Result<Answer, Error> {
    let mut connection = api.kept.take().await?;
    let done = change_on(&mut connection, payment_id, wanted, keyed, trace).await;
    connection.keep_after(&done);
    done
}

/// An illegal change is an answer of its own: it is kept, so that the key can't do later what was refused once.
async fn change_on(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    wanted: Status,
    keyed: Option<&Keyed>,
    trace: &Trace,
) -> Result<Answer, Error> {
    let began = SystemTime::now();
    let mut transaction = begin(connection).await?;
    let payment = lock_payment(&mut transaction, payment_id, trace.traceparent())
        .await?
        .ok_or(Error::UnknownPayment(payment_id))?;
    trace.concerns(payment.merchant_id);
    let answer = match payment.status.change_to(wanted) {
        Ok(status) => Answer::new(StatusCode::OK, &set_status(&mut transaction, payment, status).await?),
        Err(illegal) => Answer::problem(&Problem::from(&Error::from(illegal))),
    };
    if let Some(keyed) = keyed {
        keep_answer(&mut transaction, &keeping(keyed, &answer)).await?;
    }
    commit(transaction).await?;
    trace.committed(began, "update payments");
    fault::point("payment.before_answer");
    Ok(answer)
}
