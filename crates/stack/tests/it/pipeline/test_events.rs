//! A merchant tries an endpoint: a webhook to it alone, the way of all events.

use serde_json::json;
use verifier::account::Endpoint;
use verifier::simulator::Arrival;

use super::*;

const TEST: &str = "everhook.test";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_reaches_its_endpoint_alone_and_the_account_balances() {
    let mut lab = Lab::start(&[]).await;
    let began_at = verifier::now();
    let ready = lab.set_up(Until::Payments(20), Pace::Closed { concurrency: 4 }, 0).await;
    drive(&ready, &Lifecycle::default()).await;
    assert_eq!(lab.verdict(Duration::from_secs(30)).await.delivered, 20);

    let tested = &ready.endpoints[0];
    let Endpoint { endpoint_id, merchant_id, .. } = tested;
    let sibling = lab.another_endpoint(&merchant_id.to_string()).await;
    let made = lab.ask_portal(Method::POST, &format!("/merchants/{merchant_id}/tokens"), Some(json!({}))).await;
    let token = Token::new(made["token"].as_str().unwrap());
    // It wants nothing of what there is, and what it wants, it wants in order: a test asks for neither.
    let settings = json!({"event_types": ["refund.created"], "order": "per_object"});
    lab.operate(&format!("/endpoints/{endpoint_id}"), settings).await;

    let asked_at = Instant::now();
    let path = format!("/endpoints/{endpoint_id}/test");
    let sent = lab.ask_portal_as(&token, Method::POST, &path, None).await;
    let attempt = lab.first_attempt(&sent).await;
    assert!(asked_at.elapsed() < Duration::from_secs(5), "it took {:?}", asked_at.elapsed());
    assert_eq!((&attempt["outcome"], &attempt["status"]), (&json!("delivered"), &json!(200)));
    assert_eq!(attempt["address"], "127.0.0.1");
    let delivery = lab.portal(&format!("/deliveries/{}", sent["delivery_id"].as_str().unwrap())).await;
    assert_eq!((&delivery["state"], &delivery["event_type"]), (&json!("delivered"), &json!(TEST)));

    // The simulator accepts what is well signed, and nothing else.
    let tests = lab.tests_at(tested).await;
    assert_eq!(tests.iter().map(|test| test.webhook_id.as_str()).collect::<Vec<_>>(), [&sent["event_id"]]);
    for other in ready.endpoints[1..].iter().chain([&sibling]) {
        assert_eq!(lab.tests_at(other).await, []);
    }

    // One that fails is seen to fail, and is tried again as all are.
    lab.simulator().put_mood(*endpoint_id, &json!({"mood": "failing", "rate": 1.0}), ANSWER).await.unwrap();
    let sent = lab.ask_portal_as(&token, Method::POST, &path, None).await;
    let attempt = lab.first_attempt(&sent).await;
    assert_eq!((&attempt["outcome"], &attempt["status"]), (&json!("status"), &json!(500)));
    assert!(attempt["next_attempt_at"].is_string(), "{attempt}");
    lab.simulator().put_mood(*endpoint_id, &json!({"mood": "well"}), ANSWER).await.unwrap();
    until("the second attempt", Duration::from_secs(30), || async {
        let tests = lab.tests_at(tested).await;
        (tests.len() == 2, tests)
    })
    .await;

    until("the account to be closed", Duration::from_secs(10), || async {
        let now = verifier::now().after(Duration::from_secs(1));
        let audit = lab.portal(&format!("/audit?from={began_at}&to={now}")).await;
        let counts = ["committed", "fanned_out", "deliveries", "delivered"].map(|name| audit[name].clone());
        (counts == [22, 22, 22, 22].map(|count| json!(count)) && audit["difference"] == json!([]), audit)
    })
    .await;
    // The witness knows that nobody promised it a test.
    assert_eq!(lab.verdict(Duration::from_secs(30)).await.delivered, 20);
    lab.stop().await;
}

impl Lab {
    /// At the simulator, wanting everything.
    async fn another_endpoint(&self, merchant_id: &str) -> Endpoint {
        let webhooks = self.url(Door::MerchantSimulator).join("/webhooks").unwrap();
        let path = format!("/merchants/{merchant_id}/endpoints");
        let made = self.ask_portal(Method::POST, &path, Some(json!({"url": webhooks}))).await;
        let endpoint: Endpoint = serde_json::from_value(made.clone()).unwrap();
        let endpoint_id = endpoint.endpoint_id;
        self.simulator().put_account(endpoint_id, made["secret"].as_str().unwrap(), ANSWER).await.unwrap();
        let url = json!({"url": format!("{webhooks}/{endpoint_id}")});
        self.operate(&format!("/endpoints/{endpoint_id}"), url).await;
        endpoint
    }

    async fn tests_at(&self, endpoint: &Endpoint) -> Vec<Arrival> {
        let mut arrivals = self.simulator().all_arrivals(endpoint.endpoint_id, ANSWER).await.unwrap();
        arrivals.retain(|arrival| arrival.event_type.as_deref() == Some(TEST));
        arrivals
    }

    /// Of the delivery of a test event, as soon as it has ended.
    async fn first_attempt(&self, sent: &Value) -> Value {
        let delivery_id = sent["delivery_id"].as_str().unwrap();
        until("the delivery to be routed", Duration::from_secs(10), || async {
            let listed = self.portal(&format!("/deliveries?event_id={}", sent["event_id"].as_str().unwrap())).await;
            (listed["items"][0]["delivery_id"] == delivery_id, listed)
        })
        .await;
        let path = format!("/deliveries/{delivery_id}/attempts");
        until("an attempt", Duration::from_secs(10), || async {
            let listed = self.portal(&path).await;
            (listed["items"][0].is_object(), listed)
        })
        .await;
        self.portal(&path).await["items"].as_array().unwrap().last().unwrap().clone()
    }
}
