//! The judgement itself: pure, and by id only, so that a duplicate never hides a loss.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::ids::{EndpointId, MerchantId, PaymentId};
use domain::ledger::Order;
use domain::test_event;

use super::{Late, Lists, Lost, OutOfOrder, Phantom, Repeated, Seen, Stale, Unacknowledged, Unsigned, Verdict, Wrong};
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
    let (mut expected, mut superseded, mut unsigned) = (0, 0, 0);
    for endpoint in &account.endpoints {
        let arrivals = seen.arrivals.get(&endpoint.endpoint_id).map(Vec::as_slice).unwrap_or_default();
        let arrived = judge_arrivals(endpoint, arrivals, &promises, seen, late_after, &mut lists);
        judge_order(endpoint, arrivals, &mut lists.out_of_order);
        let owed = endpoint.owed(account);
        superseded += superseded_at(endpoint, account, &owed, &arrived);
        expected += owed.len();
        judge_promises(endpoint, owed, &arrived, &mut lists.lost);
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
    let wrong = lists.lost.len() + lists.phantom.len() + lists.stale.len() + lists.out_of_order.len();
    Verdict {
        balanced: expected > 0 && wrong == 0 && unsigned == 0,
        acknowledged: account.acknowledged.len(),
        expected,
        delivered: expected - lists.lost.len(),
        lost: lists.lost.len(),
        superseded,
        repeated: lists.repeated.len(),
        unexplained: None,
        phantom: lists.phantom.len(),
        stale: lists.stale.len(),
        unsigned,
        out_of_order: lists.out_of_order.len(),
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
            let causes = Vec::new();
            lists.repeated.push(Repeated { endpoint_id, webhook_id: webhook_id(), first_at, repeats, causes });
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
                    let (after_ms, acknowledged_at) = (after.as_millis(), ack.acknowledged_at);
                    let webhook_id = webhook_id();
                    lists.late.push(Late { endpoint_id, webhook_id, payment_id, version, acknowledged_at, after_ms });
                }
            }
        }
    }
    arrived
}

/// Lists what the endpoint was owed and did not get.
fn judge_promises(endpoint: &Endpoint, owed: Vec<&Acknowledgement>, arrived: &HashSet<Change>, lost: &mut Vec<Lost>) {
    // Two promises of one version can't both be kept: the second has no event of its own.
    let mut promised = HashSet::new();
    let latest = latest(arrived);
    for ack in owed {
        let change = (ack.payment_id, ack.version);
        let replaced = || endpoint.order == Order::LatestOnly && latest.get(&change.0) > Some(&change.1);
        if !(promised.insert(change) && (arrived.contains(&change) || replaced())) {
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
}

/// How many promised changes did not come since a later one of their payment was owed, where the latest only is wanted.
fn superseded_at(
    endpoint: &Endpoint,
    account: &Account,
    owed: &[&Acknowledgement],
    arrived: &HashSet<Change>,
) -> usize {
    if endpoint.order != Order::LatestOnly {
        return 0;
    }
    let last: HashMap<PaymentId, i64> = owed.iter().map(|ack| (ack.payment_id, ack.version)).collect();
    let own = account.acknowledged.iter().filter(|ack| ack.merchant_id == endpoint.merchant_id);
    own.filter(|ack| endpoint.wants(&ack.event_type))
        .filter(|ack| last.get(&ack.payment_id) > Some(&ack.version))
        .filter(|ack| !arrived.contains(&(ack.payment_id, ack.version)))
        .count()
}

/// The latest version of each payment that has arrived.
fn latest(arrived: &HashSet<Change>) -> HashMap<PaymentId, i64> {
    let mut latest = HashMap::new();
    for (payment_id, version) in arrived {
        let known = latest.entry(*payment_id).or_insert(*version);
        *known = (*known).max(*version);
    }
    latest
}

/// Where the versions of a payment are wanted in order, none may come for the first time after a later one.
fn judge_order(endpoint: &Endpoint, arrivals: &[Arrival], out_of_order: &mut Vec<OutOfOrder>) {
    if !endpoint.order.is_in_line() {
        return;
    }
    let mut latest: HashMap<PaymentId, i64> = HashMap::new();
    for arrival in arrivals {
        let Some((payment_id, version)) = change_of(arrival) else { continue };
        let before = latest.entry(payment_id).or_insert(version);
        if version < *before {
            let (webhook_id, endpoint_id) = (arrival.webhook_id.clone(), endpoint.endpoint_id);
            let (after_version, arrived_at) = (*before, arrival.first_at);
            out_of_order.push(OutOfOrder { endpoint_id, webhook_id, payment_id, version, after_version, arrived_at });
        }
        *before = version.max(*before);
    }
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
