//! Whose token opens what.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;
use crate::ledger::{ENDPOINT, JOB, MERCHANT, delivery, payment};

const OTHER: &str = "mer_00000000000000000000000000000002";

/// What a merchant's token gets.
#[derive(Debug, Clone, Copy, PartialEq)]
enum For {
    /// 403, and nothing is looked at.
    Operator,
    /// The thing, if it is the merchant's own; 404 otherwise.
    Owner,
    /// As for its owner, but it can be done only once.
    Once,
    /// A list without anything of others.
    OwnItems,
    /// The same for everybody.
    Everybody,
}

/// Every operation of the API. `{…}` is filled in with things of the first merchant.
const TABLE: &[(&str, &str, For)] = &[
    ("get", "/merchants", For::Operator),
    ("post", "/merchants", For::Operator),
    ("patch", "/merchants/{merchant_id}", For::Operator),
    ("post", "/merchants/{merchant_id}/tokens", For::Operator),
    ("get", "/parked-records", For::Operator),
    ("get", "/audit", For::Operator),
    ("get", "/hops", For::Operator),
    ("get", "/merchants/{merchant_id}", For::Owner),
    ("get", "/merchants/{merchant_id}/endpoints", For::Owner),
    ("post", "/merchants/{merchant_id}/endpoints", For::Owner),
    ("get", "/endpoints/{endpoint_id}", For::Owner),
    ("patch", "/endpoints/{endpoint_id}", For::Owner),
    ("get", "/endpoints/{endpoint_id}/health", For::Owner),
    ("post", "/endpoints/{endpoint_id}/recover", For::Owner),
    ("post", "/deliveries/{delivery_id}/resend", For::Owner),
    ("get", "/jobs/{job_id}", For::Owner),
    ("post", "/jobs/{job_id}/cancel", For::Owner),
    ("post", "/endpoints/{endpoint_id}/pause", For::Owner),
    ("post", "/endpoints/{endpoint_id}/enable", For::Owner),
    ("get", "/endpoints/{endpoint_id}/secret", For::Owner),
    ("post", "/endpoints/{endpoint_id}/secret/rotate", For::Owner),
    ("post", "/endpoints/{endpoint_id}/test", For::Owner),
    ("get", "/events/{event_id}", For::Owner),
    ("get", "/deliveries/{delivery_id}", For::Owner),
    ("get", "/deliveries/{delivery_id}/attempts", For::Owner),
    ("get", "/why/{id}", For::Owner),
    ("get", "/events", For::OwnItems),
    ("get", "/deliveries", For::OwnItems),
    ("get", "/jobs", For::OwnItems),
    ("get", "/event-types", For::Everybody),
    ("get", "/openapi.json", For::Everybody),
    ("delete", "/endpoints/{endpoint_id}", For::Once),
];

fn body(method: &str, path: &str) -> Option<Value> {
    match (method, path) {
        ("post", "/merchants/{merchant_id}/endpoints") => Some(json!({"url": "https://merchant.test/"})),
        ("post", "/endpoints/{endpoint_id}/recover") => Some(json!({"since": "2026-11-01T00:00:00Z"})),
        ("post", "/merchants") => Some(json!({"name": "Bar"})),
        ("post" | "patch", _) => Some(json!({})),
        _ => None,
    }
}

/// Two merchants; the first has an endpoint, an event and a delivery.
async fn lab(pool: PgPoolOptions, connect: PgConnectOptions) -> (Lab, String) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await.with_job().await;
    lab.execute("insert into merchants (merchant_id, name) values ('mer_00000000000000000000000000000002', 'Café')")
        .await;
    let event_id = lab.pay(1).await;
    lab.route(&event_id, &[1]).await;
    lab.deliver(1, &event_id, "exhausted", Some("schedule_used_up"), 0).await;
    (lab, event_id)
}

impl Lab {
    pub(crate) async fn token_of(&self, merchant_id: &str) -> String {
        self.post(&format!("/merchants/{merchant_id}/tokens"), json!({})).await.text("token")
    }
}

fn filled(path: &str, event_id: &str) -> String {
    let path = path.replace("{merchant_id}", MERCHANT).replace("{endpoint_id}", ENDPOINT);
    path.replace("{delivery_id}", &delivery(1))
        .replace("{event_id}", event_id)
        .replace("{id}", event_id)
        .replace("{job_id}", JOB)
}

#[sqlx::test(migrations = "../../migrations")]
async fn every_route_opens_to_whom_it_is_for(pool: PgPoolOptions, connect: PgConnectOptions) {
    let (lab, event_id) = lab(pool, connect).await;
    let (own_token, foreign_token) = (lab.token_of(MERCHANT).await, lab.token_of(OTHER).await);
    let window = "?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z";
    for (method, route, whom) in TABLE {
        let window = if ["/audit", "/hops"].contains(route) { window } else { "" };
        let path = format!("{}{window}", filled(route, &event_id));
        let body = body(method, route);
        let ask = async |token: &str| lab.ask(token, method, &path, body.clone()).await;
        if *whom == For::Once {
            let statuses = (ask("").await.status, ask(&foreign_token).await.status, ask(&own_token).await.status);
            assert_eq!(statuses, (401, 404, 204), "{method} {path}");
            continue;
        }
        let operator = ask("of-the-operator").await;
        assert!(operator.status < 300, "{method} {path}: {operator:?}");
        for nobody in ["", "of-the-portal", "emt_v1.e30.AAAA"] {
            let refused = ask(nobody).await;
            assert_eq!((refused.status, &refused.body["code"]), (401, &json!("unauthorized")), "{method} {path}");
        }
        let (own, foreign) = (ask(&own_token).await, ask(&foreign_token).await);
        let statuses = (own.status, foreign.status);
        match whom {
            For::Operator => {
                assert_eq!(statuses, (403, 403), "{method} {path}");
                assert_eq!((&own.body["code"], &own.body), (&json!("operator_only"), &foreign.body));
            }
            For::Owner => {
                assert_eq!(statuses, (operator.status, 404), "{method} {path}: {own:?} {foreign:?}");
                let path = path.replace("00000001", "0000000f").replace(&event_id, "evt_0");
                let unknown = lab.ask("of-the-operator", method, &path, body.clone()).await;
                assert_eq!(foreign.body["code"], unknown.body["code"], "it looks as if it did not exist");
            }
            For::OwnItems => {
                assert_eq!((statuses, &own.body), ((200, 200), &operator.body), "{method} {path}");
                assert_eq!(foreign.body, json!({"items": [], "next_cursor": null}), "{method} {path}");
                for filter in ["merchant_id", "endpoint_id", "event_id", "object_id"] {
                    let value = match filter {
                        "merchant_id" => MERCHANT.to_owned(),
                        "endpoint_id" => ENDPOINT.to_owned(),
                        "event_id" => event_id.clone(),
                        _ => payment(1),
                    };
                    let path = format!("{path}?{filter}={value}");
                    let asked = lab.ask(&foreign_token, method, &path, None).await;
                    let nothing = asked.body == json!({"items": [], "next_cursor": null});
                    assert!(nothing || [404, 422].contains(&asked.status), "{path}: {asked:?}");
                }
            }
            For::Once => unreachable!("tried above"),
            For::Everybody => assert_eq!((&own.body, &foreign.body), (&operator.body, &operator.body), "{path}"),
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_table_has_every_operation_of_the_document(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let document = lab.get("/openapi.json").await.body;
    let documented: BTreeSet<(&str, &str, bool)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, operation)| {
                let for_merchants =
                    operation["security"].as_array().unwrap().iter().any(|one| one["merchant"].is_array());
                (method.as_str(), path.as_str(), for_merchants)
            })
        })
        .collect();
    let tried = TABLE.iter().map(|(method, path, whom)| (*method, *path, *whom != For::Operator)).collect();
    assert_eq!(documented, tried);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_the_operator_has_disabled_a_merchant_can_t_enable(pool: PgPoolOptions, connect: PgConnectOptions) {
    let (lab, _) = lab(pool, connect).await;
    let (own, path) = (lab.token_of(MERCHANT).await, format!("/endpoints/{ENDPOINT}"));
    let set = async |token: &str, state: &str| lab.ask(token, "patch", &path, Some(json!({"state": state}))).await;
    assert_eq!(set(&own, "disabled").await.body["disabled_reason"], "disabled_by_merchant");
    assert_eq!(set(&own, "enabled").await.body["state"], "enabled");
    set("of-the-operator", "disabled").await;
    insta::assert_json_snapshot!("disabled_by_operator", set(&own, "enabled").await.shown());
    assert_eq!(set(&own, "disabled").await.status, 409, "the reason stays the operator's");
    assert_eq!(set("of-the-operator", "enabled").await.body["state"], "enabled");
}
