//! Endpoints that want the events of a payment in order, and fail three times in ten, while a consumer is killed.

use std::collections::HashMap;

use serde_json::json;
use verifier::account::Endpoint;
use verifier::simulator::Arrival;

use super::*;

const PAYMENTS: u64 = 200;
const CHANGES: usize = 6;
/// Of each payment: it was made, and changed.
const VERSIONS: usize = CHANGES + 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_payment_is_told_out_of_order_and_none_waits_for_another() {
    // What a killed consumer had begun is taken over soon.
    let settings = [("EVERHOOK_OVERDUE_AFTER", "5s"), ("EVERHOOK_LEASE_MARGIN", "1s")];
    let mut lab = Lab::start(&settings).await;
    lab.stack.start("webhook-consumer-2").await.unwrap();
    let ready = lab.set_up(Until::Payments(PAYMENTS), Pace::Closed { concurrency: 8 }, CHANGES).await;
    let endpoints = &ready.endpoints;
    let simulator = lab.simulator();
    for Endpoint { endpoint_id, .. } in endpoints {
        let schedule: Vec<&str> = std::iter::once("0s").chain(std::iter::repeat_n("100ms", 40)).collect();
        lab.operate(&format!("/endpoints/{endpoint_id}"), json!({"order": "per_object", "schedule": schedule})).await;
        simulator.put_mood(*endpoint_id, &json!({"mood": "failing", "rate": 0.3}), ANSWER).await.unwrap();
    }

    let lifecycle = Lifecycle::default();
    let (_, ()) = tokio::join!(drive(&ready, &lifecycle), async {
        for _ in 0..2 {
            let before = arrived(&simulator, endpoints).await;
            until("some more to arrive", Duration::from_secs(60), || async {
                let now = arrived(&simulator, endpoints).await;
                (now >= before + 100, now)
            })
            .await;
            lab.stack.kill9("webhook-consumer").await.unwrap();
            lab.stack.start("webhook-consumer").await.unwrap();
        }
    });
    let verdict = lab.verdict(Duration::from_secs(120)).await;
    assert_eq!(verdict.delivered, usize::try_from(PAYMENTS).unwrap() * VERSIONS);

    let account = Account::read(&lab.account_file()).unwrap();
    let seen = Witness::of(&account).unwrap().look(&account).await.unwrap();
    let payments = by_payment(seen.arrivals.into_values().flatten());
    let inversions: Vec<_> = payments.iter().filter(|(_, arrivals)| is_inverted(arrivals)).collect();
    assert!(inversions.is_empty(), "{} payments out of order: {inversions:#?}", inversions.len());

    let attempts = lab.count("select count(*) from attempts where outcome = 'status'").await;
    assert!(attempts > 200, "the endpoints failed {attempts} times only");
    // Had each payment waited for those before it, the last would have begun after all others had ended.
    assert!(overlap(&payments) > 100, "only {} payments were told while another was", overlap(&payments));
    assert_eq!(lab.count("select count(*) from lines").await, 0, "everybody has left the lines");
    lab.stop().await;
}

async fn arrived(simulator: &Simulator, endpoints: &[Endpoint]) -> usize {
    let mut count = 0;
    for endpoint in endpoints {
        let page = simulator.arrivals(endpoint.endpoint_id, 0, 10_000, ANSWER).await.unwrap();
        count += page.arrivals.len();
    }
    count
}

/// The arrivals of each payment, in the order of their versions.
fn by_payment(arrivals: impl Iterator<Item = Arrival>) -> HashMap<String, Vec<Arrival>> {
    let mut payments: HashMap<String, Vec<Arrival>> = HashMap::new();
    for arrival in arrivals {
        payments.entry(arrival.payment_id.clone().unwrap()).or_default().push(arrival);
    }
    payments.values_mut().for_each(|arrivals| arrivals.sort_by_key(|arrival| arrival.event_version));
    payments
}

/// Whether a later version was accepted before an earlier one, the first time or again.
fn is_inverted(arrivals: &[Arrival]) -> bool {
    arrivals.windows(2).any(|pair| {
        let last_of_earlier = pair[0].repeats.iter().max().unwrap_or(&pair[0].first_at);
        *last_of_earlier > pair[1].first_at
    })
}

/// How many payments had begun to be told before another one that began earlier had been told in full.
fn overlap(payments: &HashMap<String, Vec<Arrival>>) -> usize {
    let mut spans: Vec<_> =
        payments.values().map(|arrivals| (arrivals[0].first_at, arrivals[arrivals.len() - 1].first_at)).collect();
    spans.sort_unstable();
    spans.windows(2).filter(|pair| pair[1].0 < pair[0].1).count()
}
