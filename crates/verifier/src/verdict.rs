//! The verdict: what was acknowledged, held against what arrived, everything by id.

pub mod explain;
mod gather;
mod judge;
mod words;

use domain::ids::{EndpointId, MerchantId, PaymentId};
use domain::time::Timestamp;
use serde::Serialize;

use crate::account::Intent;

pub use explain::Cause;
pub use gather::{Options, Seen, Witness};
pub use judge::judge;
pub(crate) use words::first_ones;

/// The one format used everywhere. Each count is the length of its list, but for `acknowledged`, `expected`,
/// `delivered` and `unsigned`, of which the list keeps the last thousand of each endpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Something was acknowledged, and nothing is lost, phantom, stale, unsigned or out of order.
    pub balanced: bool,
    /// Changes that the API has promised.
    pub acknowledged: usize,
    /// Each of them at each endpoint that wants it; where the latest only is wanted, the last one of each payment.
    pub expected: usize,
    /// Of the expected, those that arrived: `expected` = `delivered` + `lost`.
    pub delivered: usize,
    /// Expected and not arrived.
    pub lost: usize,
    /// Not expected, since a later change of the payment took their place where the latest only is wanted.
    pub superseded: usize,
    /// Accepted more than once by an endpoint. Allowed, since a crash between a POST and its record repeats it.
    pub repeated: usize,
    /// Of the repeated, those that neither the attempt log nor a fault explains; none if nobody has asked for the reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unexplained: Option<usize>,
    /// Arrived, and there is no such change.
    pub phantom: usize,
    /// Showed an object older than the event.
    pub stale: usize,
    /// Requests whose signature was not accepted.
    pub unsigned: u64,
    /// Came for the first time after a later version of their payment, where the endpoint wants them in order.
    pub out_of_order: usize,
    /// Arrived longer after the acknowledgement than allowed. Listed, not forbidden.
    pub late: usize,
    /// Arrived and true, but not acknowledged to this account: an unanswered request, or somebody else's change.
    pub unacknowledged: usize,
    /// Requests that nobody answered; they may be done or not.
    pub unknown: usize,
    /// Everything by id.
    pub lists: Lists,
}

/// The verdict by id.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Lists {
    /// See [`Verdict::lost`].
    pub lost: Vec<Lost>,
    /// See [`Verdict::repeated`].
    pub repeated: Vec<Repeated>,
    /// See [`Verdict::phantom`].
    pub phantom: Vec<Phantom>,
    /// See [`Verdict::stale`].
    pub stale: Vec<Stale>,
    /// See [`Verdict::unsigned`].
    pub unsigned: Vec<Unsigned>,
    /// See [`Verdict::out_of_order`].
    pub out_of_order: Vec<OutOfOrder>,
    /// See [`Verdict::late`].
    pub late: Vec<Late>,
    /// See [`Verdict::unacknowledged`].
    pub unacknowledged: Vec<Unacknowledged>,
    /// See [`Verdict::unknown`].
    pub unknown: Vec<Intent>,
}

/// An acknowledged change that did not reach an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Where it should have arrived.
    pub endpoint_id: EndpointId,
    /// Whose endpoint.
    pub merchant_id: MerchantId,
    /// The payment.
    pub payment_id: PaymentId,
    /// Its version after the change.
    pub version: i64,
    /// The event.
    pub event_type: String,
    /// Its reference.
    pub reference: String,
    /// When it was promised.
    pub acknowledged_at: Timestamp,
}

/// A webhook that an endpoint accepted more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repeated {
    /// Where.
    pub endpoint_id: EndpointId,
    /// Which.
    pub webhook_id: String,
    /// When it was accepted first.
    pub first_at: Timestamp,
    /// When again.
    pub repeats: Vec<Timestamp>,
    /// Why each of these times; empty if nobody has asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
}

/// A webhook about something that is not so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phantom {
    /// Where it arrived.
    pub endpoint_id: EndpointId,
    /// Which.
    pub webhook_id: String,
    /// As its body says.
    pub payment_id: Option<String>,
    /// As its body says.
    pub event_version: Option<i64>,
    /// What is wrong with it.
    pub reason: Wrong,
}

/// Why an arrival is a phantom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// The body names no payment, version or type.
    NamesNoChange,
    /// payments-api does not know the payment.
    NoSuchPayment,
    /// The payment has not reached that version.
    NoSuchVersion,
    /// The change brought another event type.
    AnotherType,
    /// Another webhook at this endpoint has told of the same change.
    SecondEvent,
    /// The payment belongs to another merchant.
    AnotherMerchant,
    /// The endpoint does not want this type.
    UnwantedType,
}

/// A webhook that showed an object older than its event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// Where it arrived.
    pub endpoint_id: EndpointId,
    /// Which.
    pub webhook_id: String,
    /// The version that the event speaks of.
    pub event_version: i64,
    /// The lowest version that was shown; none if a body did not say.
    pub shown_version: Option<i64>,
    /// When the event happened, as the body says.
    pub occurred_at: Option<Timestamp>,
    /// When the object was read, as the body says.
    pub observed_at: Option<Timestamp>,
}

/// A request whose signature was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unsigned {
    /// Where it was sent.
    pub endpoint_id: EndpointId,
    /// As the sender claims.
    pub webhook_id: Option<String>,
    /// Why it was not accepted.
    pub reason: String,
    /// When.
    pub received_at: Timestamp,
}

/// A webhook that came after a later one of its payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutOfOrder {
    /// Where it arrived.
    pub endpoint_id: EndpointId,
    /// Which.
    pub webhook_id: String,
    /// The payment.
    pub payment_id: PaymentId,
    /// The version that it speaks of.
    pub version: i64,
    /// The latest version that had arrived before.
    pub after_version: i64,
    /// When it came for the first time.
    pub arrived_at: Timestamp,
}

/// An arrival long after its acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Late {
    /// Where it arrived.
    pub endpoint_id: EndpointId,
    /// Which.
    pub webhook_id: String,
    /// The payment.
    pub payment_id: PaymentId,
    /// Its version after the change.
    pub version: i64,
    /// When it was promised.
    pub acknowledged_at: Timestamp,
    /// How long after, in milliseconds.
    pub after_ms: u128,
}

/// A true arrival that was not acknowledged to this account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unacknowledged {
    /// Where it arrived.
    pub endpoint_id: EndpointId,
    /// Which.
    pub webhook_id: String,
    /// The payment.
    pub payment_id: PaymentId,
    /// The version that the event speaks of.
    pub version: i64,
}
