//! Restate's consumer reads nothing any more, and says nothing.

use serde_json::json;

use super::*;

impl Lab {
    /// What Restate's admin API answers.
    pub(super) async fn restate(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let client = chassis::client::build(chassis::client::Limits::default()).unwrap();
        let request = client.request(method.clone(), self.url(Door::RestateAdmin).join(path).unwrap());
        // A query's answer is in a format of Restate's own, if nobody wants JSON.
        let request = request.header("accept", "application/json");
        let response = body.iter().fold(request, reqwest::RequestBuilder::json).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub(super) async fn subscriptions(&self) -> Vec<String> {
        let known = self.restate(Method::GET, "/subscriptions", None).await;
        let ids = known["subscriptions"].as_array().unwrap().iter();
        ids.map(|subscription| subscription["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// The consumer is made to look for its brokers where there are none. So its group commits nothing, while Restate and
/// Kafka are well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_stands_still_is_made_anew_and_nothing_is_lost() {
    let mut lab = Lab::start(&[("EVERHOOK_STALLED_AFTER", "10s"), ("EVERHOOK_OVERTAKEN_AFTER", "10m")]).await;
    let ready = lab.set_up(Until::Stopped, Pace::Open { rate: 5.0, most: 100 }, 0).await;
    let lifecycle = Lifecycle::default();
    let faults = async {
        let before = lab.subscriptions().await;
        assert_eq!(before.len(), 1);
        let known = lab.restate(Method::GET, "/kafka-clusters", None).await;
        let properties = known["clusters"][0]["properties"].clone();
        let mut nowhere = properties.clone();
        nowhere["broker.address.family"] = json!("v6");
        let patch = async |properties: &Value| {
            let body = json!({ "properties": properties });
            lab.restate(Method::PATCH, "/kafka-clusters/everhook", Some(body)).await
        };
        patch(&nowhere).await;
        until("the subscription is made anew", Duration::from_secs(60), || async {
            let now = lab.subscriptions().await;
            (now.len() == 1 && now != before, now)
        })
        .await;
        patch(&properties).await;
        lab.grows(BY_CDC, 1).await;
        lifecycle.stop();
    };
    let (summary, ()) = tokio::join!(drive(&ready, &lifecycle), faults);
    let verdict = lab.verdict(Duration::from_secs(120)).await;
    assert_eq!(verdict.acknowledged as u64, summary.acknowledged);
    let log = std::fs::read_to_string(lab.stack.folder().log("webhook-consumer")).unwrap();
    let told = log.lines().find(|line| line.contains("the subscription stood still")).unwrap();
    for number in ["partition", "committed", "end", "for_so_long"] {
        assert!(told.contains(number), "{told}");
    }
    eprintln!("{told}");
    lab.stop().await;
}
