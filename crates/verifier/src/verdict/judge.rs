//! The judgement itself: pure, and by id only, so that a duplicate never hides a loss.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::ids::{EndpointId, MerchantId, PaymentId};
use domain::test_event;

use super::{Late, Lists, Lost, Phantom, Repeated, Seen, Stale, Unacknowledged, Unsigned, Verdict, Wrong};
use crate::account::{Account, Acknowledgement, Endpoint};
use crate::latency::change_of;
use crate::payments_api::PaymentState;
use crate::simulator::Arrival;

/// A payment's version: one change, and so one event.
type Change = (PaymentId, i64);

/// Holds the account against what was seen.
#[must_use]
pub fn judge(account: &Account, seen: &Seen, late_after: Duration) -> Verdict {
    let promises = Promises::of(account);
    let mut lists = Lists { unknown: account.unknown.clone(), ..Lists::default() };
    let (mut expected, mut unsigned) = (0, 0);
    for endpoint in &account.endpoints {
        let arrivals = seen.arrivals.get(&endpoint.endpoint_id).map(Vec::as_slice).unwrap_or_default();
        let arrived = judge_arrivals(endpoint, arrivals, &promises, seen, late_after, &mut lists);
        expected += judge_promises(endpoint, account, &arrived, &mut lists.lost);
        if let Some(rejections) = seen.rejections.get(&endpoint.endpoint_id) {
            unsigned += rejections.rejected_signature;
            lists.unsigned.extend(rejections.rejections.iter().map(|rejection| Unsigned {
                endpoint_id: endpoint.endpoint_id,
                webhook_id: rejection.webhook_id.clone(),
                reason: rejection.reason.clone(),
                received_at: rejection.received_at,
            }));
        }
    }
    let wrong = lists.lost.len() + lists.phantom.len() + lists.stale.len();
    Verdict {
        balanced: expected > 0 && wrong == 0 && unsigned == 0,
        acknowledged: account.acknowledged.len(),
        expected,
        delivered: expected - lists.lost.len(),
        lost: lists.lost.len(),
        repeated: lists.repeated.len(),
        phantom: lists.phantom.len(),
        stale: lists.stale.len(),
        unsigned,
        late: lists.late.len(),
        unacknowledged: lists.unacknowledged.len(),
        unknown: lists.unknown.len(),
        lists,
    }
}

/// The payments that arrivals speak of beyond what was acknowledged: they have to be looked up.
#[must_use]
pub fn to_look_up(account: &Account, arrivals: &HashMap<EndpointId, Vec<Arrival>>) -> HashSet<PaymentId> {
    let promises = Promises::of(account);
    let changes = arrivals.values().flatten().filter_map(change_of);
    changes.filter(|change| !promises.by_change.contains_key(change)).map(|(payment_id, _)| payment_id).collect()
}

struct Promises<'a> {
    by_change: HashMap<Change, &'a Acknowledgement>,
    owners: HashMap<PaymentId, MerchantId>,
}

impl<'a> Promises<'a> {
    fn of(account: &'a Account) -> Self {
        let acknowledged = || account.acknowledged.iter();
        Self {
            by_change: acknowledged().map(|ack| ((ack.payment_id, ack.version), ack)).collect(),
            owners: acknowledged().map(|ack| (ack.payment_id, ack.merchant_id)).collect(),
        }
    }
}

/// Sorts the arrivals of one endpoint, and answers the changes that it was told of.
fn judge_arrivals(
    endpoint: &Endpoint,
    arrivals: &[Arrival],
    promises: &Promises<'_>,
    seen: &Seen,
    late_after: Duration,
    lists: &mut Lists,
) -> HashSet<Change> {
    let endpoint_id = endpoint.endpoint_id;
    let mut arrived = HashSet::with_capacity(arrivals.len());
    for arrival in arrivals {
        let webhook_id = || arrival.webhook_id.clone();
        if !arrival.repeats.is_empty() {
            let (first_at, repeats) = (arrival.first_at, arrival.repeats.clone());
            lists.repeated.push(Repeated { endpoint_id, webhook_id: webhook_id(), first_at, repeats });
        }
        let change = change_of(arrival);
        // Somebody asked the portal for it: the account promises none.
        if change.is_none() && arrival.event_type.as_deref() == Some(test_event::EVENT_TYPE) {
            continue;
        }
        let is_first = change.is_none_or(|change| arrived.insert(change));
        if let Some(stale) = stale(endpoint_id, arrival) {
            lists.stale.push(stale);
        }
        if let Some(reason) = wrong(endpoint, arrival, is_first, promises, seen) {
            let (payment_id, event_version) = (arrival.payment_id.clone(), arrival.event_version);
            lists.phantom.push(Phantom { endpoint_id, webhook_id: webhook_id(), payment_id, event_version, reason });
            continue;
        }
        let Some((payment_id, version)) = change else { continue };
        match promises.by_change.get(&(payment_id, version)) {
            None => {
                lists.unacknowledged.push(Unacknowledged {
                    endpoint_id,
                    webhook_id: webhook_id(),
                    payment_id,
                    version,
                });
            }
            Some(ack) => {
                let after = arrival.first_at.since(ack.acknowledged_at);
                if after > late_after {
                    let after_ms = after.as_millis();
                    lists.late.push(Late { endpoint_id, webhook_id: webhook_id(), payment_id, version, after_ms });
                }
            }
        }
    }
    arrived
}

/// Answers how many deliveries the endpoint was owed, and lists those that are missing.
fn judge_promises(endpoint: &Endpoint, account: &Account, arrived: &HashSet<Change>, lost: &mut Vec<Lost>) -> usize {
    // Two promises of one version can't both be kept: the second has no event of its own.
    let mut promised = HashSet::new();
    let mut expected = 0;
    for ack in &account.acknowledged {
        if ack.merchant_id != endpoint.merchant_id || !endpoint.wants(&ack.event_type) {
            continue;
        }
        expected += 1;
        let change = (ack.payment_id, ack.version);
        if !(promised.insert(change) && arrived.contains(&change)) {
            lost.push(Lost {
                endpoint_id: endpoint.endpoint_id,
                merchant_id: endpoint.merchant_id,
                payment_id: ack.payment_id,
                version: ack.version,
                event_type: ack.event_type.clone(),
                reference: ack.reference.clone(),
                acknowledged_at: ack.acknowledged_at,
            });
        }
    }
    expected
}

fn wrong(
    endpoint: &Endpoint,
    arrival: &Arrival,
    is_first: bool,
    promises: &Promises<'_>,
    seen: &Seen,
) -> Option<Wrong> {
    let (Some((payment_id, version)), Some(event_type)) = (change_of(arrival), arrival.event_type.as_deref()) else {
        return Some(Wrong::NamesNoChange);
    };
    let promise = promises.by_change.get(&(payment_id, version));
    let found: Option<&PaymentState> = seen.payments.get(&payment_id);
    let owner = promises.owners.get(&payment_id).copied().or_else(|| found.map(|payment| payment.merchant_id));
    match promise {
        None => match found {
            None => return Some(Wrong::NoSuchPayment),
            Some(payment) if payment.version < version => return Some(Wrong::NoSuchVersion),
            Some(_) => {}
        },
        Some(ack) if ack.event_type != event_type => return Some(Wrong::AnotherType),
        Some(_) => {}
    }
    if owner != Some(endpoint.merchant_id) {
        return Some(Wrong::AnotherMerchant);
    }
    if !endpoint.wants(event_type) {
        return Some(Wrong::UnwantedType);
    }
    (!is_first).then_some(Wrong::SecondEvent)
}

/// A body that does not say what it shows, or when that was read, can't show that it is fresh.
fn stale(endpoint_id: EndpointId, arrival: &Arrival) -> Option<Stale> {
    let event_version = arrival.event_version?;
    let first = [arrival.object_version, arrival.data_version];
    let versions = first.into_iter().chain(arrival.repeat_versions.iter().copied());
    let shown_version = versions.reduce(|a, b| a.zip(b).map(|(a, b)| a.min(b))).flatten();
    let (occurred_at, observed_at) = (arrival.occurred_at, arrival.observed_at);
    let is_fresh = shown_version.is_some_and(|shown| shown >= event_version)
        && occurred_at.zip(observed_at).is_some_and(|(occurred, observed)| observed >= occurred);
    let webhook_id = arrival.webhook_id.clone();
    (!is_fresh).then_some(Stale { endpoint_id, webhook_id, event_version, shown_version, occurred_at, observed_at })
}

#[cfg(test)]
mod tests;
