//! Pausing, enabling with a choice, resending, recovering, and the jobs that come of it.

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;
use crate::ledger::{ENDPOINT, JOB, MERCHANT, delivery};

const OTHER: &str = "mer_00000000000000000000000000000002";

fn path(what: &str) -> String {
    format!("/endpoints/{ENDPOINT}/{what}")
}

async fn lab(pool: PgPoolOptions, connect: PgConnectOptions) -> Lab {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let event_id = lab.pay(1).await;
    lab.route(&event_id, &[1, 2, 3]).await;
    lab.deliver(1, &event_id, "exhausted", Some("schedule_used_up"), 0).await;
    lab.deliver(2, &event_id, "pending", None, 0).await;
    lab.deliver(3, &event_id, "held", None, 0).await;
    lab
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_endpoint_is_paused_and_enabled_with_a_choice(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = lab(pool, connect).await;
    let paused = lab.post(&path("pause"), json!(null)).await;
    assert_eq!((paused.status, paused.text("state").as_str()), (200, "paused"));
    assert_eq!(lab.post(&path("pause"), json!(null)).await, paused, "once more is no error");
    let enabled = lab.post(&path("enable"), json!({"parked": "latest_per_object"})).await;
    insta::assert_json_snapshot!("enabled", enabled.shown());
    let once_more = lab.post(&path("enable"), json!({"parked": "none"})).await;
    assert_eq!((once_more.status, &once_more.body["job"]), (200, &json!(null)), "nothing is chosen anew");
    let job_id = enabled.body["job"]["job_id"].as_str().unwrap();
    assert_eq!(lab.get(&format!("/jobs/{job_id}")).await.body, enabled.body["job"]);

    // Whoever pauses and enables it again chooses anew: the first choice is cancelled.
    lab.post(&path("pause"), json!(null)).await;
    let token = lab.token_of(MERCHANT).await;
    let anew = lab.ask(&token, "post", &path("enable"), Some(json!({}))).await;
    assert_eq!((&anew.body["job"]["parked"], &anew.body["job"]["made_by"]), (&json!("all"), &json!(MERCHANT)));
    let states: Vec<Value> = lab.all("/jobs").await.iter().map(|job| job["state"].clone()).collect();
    assert_eq!(states, ["running", "cancelled"]);
    lab.post(&path("pause"), json!(null)).await;
    lab.patch(&format!("/endpoints/{ENDPOINT}"), json!({"state": "enabled"})).await;
    assert_eq!(lab.all("/jobs").await[0]["state"], "cancelled", "with PATCH the sweep sends all of it");
    let wrong = [
        lab.post(&path("enable"), json!({"parked": "some"})).await.shown(),
        lab.post(&path("enable"), json!({"choice": "all"})).await.shown(),
        lab.post(&path("enable").replace("00000001", "0000000f"), json!({})).await.shown(),
    ];
    insta::assert_json_snapshot!("enable_problems", wrong);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_the_operator_has_disabled_no_merchant_pauses_or_enables(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = lab(pool, connect).await;
    lab.patch(&format!("/endpoints/{ENDPOINT}"), json!({"state": "disabled"})).await;
    let token = lab.token_of(MERCHANT).await;
    for what in ["pause", "enable"] {
        let refused = lab.ask(&token, "post", &path(what), Some(json!({}))).await;
        assert_eq!((refused.status, refused.text("code").as_str()), (409, "disabled_by_operator"), "{what}");
    }
    let enabled = lab.post(&path("enable"), json!({})).await;
    assert_eq!(
        (&enabled.body["endpoint"]["state"], &enabled.body["endpoint"]["disabled_reason"]),
        (&json!("enabled"), &json!(null))
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_delivery_is_resent_by_a_job_of_its_own(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = lab(pool, connect).await;
    let resend = async |number| lab.post(&format!("/deliveries/{}/resend", delivery(number)), json!(null)).await;
    let resent = resend(1).await;
    insta::assert_json_snapshot!("resent", resent.shown());
    let bounds: (String, String) =
        sqlx::query_as("select lowest_id, below_id from jobs").fetch_one(&lab.database).await.unwrap();
    assert!(bounds.0 == delivery(1) && bounds.1 > delivery(1) && bounds.1 < delivery(2), "{bounds:?}");
    let mut refused = vec![resend(2).await.shown(), resend(3).await.shown(), resend(4).await.shown()];
    lab.post(&path("pause"), json!(null)).await;
    refused.push(resend(1).await.shown());
    lab.ask("of-the-operator", "delete", &format!("/endpoints/{ENDPOINT}"), None).await;
    refused.push(resend(1).await.shown());
    insta::assert_json_snapshot!("resend_problems", refused);
    let states: Vec<Value> = lab.all("/jobs").await.iter().map(|job| job["state"].clone()).collect();
    assert_eq!(states, ["cancelled"], "a deleted endpoint has no jobs");
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_deliveries_of_a_time_are_recovered_by_a_job(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = lab(pool, connect).await;
    let since = json!({"since": "2026-11-01T00:00:00Z", "until": "2026-11-02T00:00:00.5Z"});
    let made = lab.post(&path("recover"), since).await;
    let mut shown = made.shown();
    assert_eq!(made.text("since").as_str(), "2026-11-01T00:00:00.000000Z");
    assert_eq!(made.text("until").as_str(), "2026-11-02T00:00:00.500000Z");
    shown["body"]["since"].take();
    shown["body"]["until"].take();
    insta::assert_json_snapshot!("recovery", shown);
    let open = lab
        .post(&path("recover"), json!({"since": "2026-11-01T00:00:00Z", "states": ["delivered", "superseded"]}))
        .await;
    assert_eq!(open.body["states"], json!(["superseded", "delivered"]));
    let mut problems = Vec::new();
    for wrong in [
        json!({}),
        json!({"since": "yesterday"}),
        json!({"since": "1969-01-01T00:00:00Z"}),
        json!({"since": "2100-01-01T00:00:00Z"}),
        json!({"since": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"}),
        json!({"since": "2026-11-02T00:00:00Z", "states": []}),
        json!({"since": "2026-11-02T00:00:00Z", "states": ["pending"]}),
    ] {
        let answer = lab.post(&path("recover"), wrong.clone()).await;
        assert_eq!(answer.status, 422, "{wrong}");
        problems.push((wrong, answer.shown()));
    }
    lab.post(&path("pause"), json!(null)).await;
    problems
        .push((json!("paused"), lab.post(&path("recover"), json!({"since": "2026-11-01T00:00:00Z"})).await.shown()));
    insta::assert_json_snapshot!("recover_problems", problems);
    assert_eq!(lab.all("/jobs").await.len(), 2, "nothing is made of what is wrong");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_job_is_cancelled_once_and_one_that_has_ended_stays_as_it_is(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = lab(pool, connect).await.with_job().await;
    let cancel = async || lab.post(&format!("/jobs/{JOB}/cancel"), json!(null)).await;
    let cancelled = cancel().await;
    assert_eq!((cancelled.status, cancelled.text("state").as_str()), (200, "cancelled"));
    assert!(cancelled.body["ended_at"].is_string());
    assert_eq!(cancel().await, cancelled);
    lab.execute("update jobs set state = 'done'").await;
    assert_eq!(cancel().await.text("state"), "done");
    let unknown = lab.post("/jobs/job_0000000000000000000000000000000f/cancel", json!(null)).await;
    assert_eq!((unknown.status, unknown.text("code").as_str()), (404, "not_found"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn jobs_are_listed_newest_first_and_a_merchant_sees_its_own(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = lab(pool, connect).await;
    lab.execute(
        "insert into merchants (merchant_id, name) values ('mer_00000000000000000000000000000002', 'Café');
         insert into endpoints (endpoint_id, merchant_id, url)
         values ('ep_00000000000000000000000000000002', 'mer_00000000000000000000000000000002', 'https://y.test/');
         insert into jobs (job_id, merchant_id, endpoint_id, kind, made_by, states, lowest_id, below_id)
         select 'job_' || lpad(n::text, 32, '0'), 'mer_0000000000000000000000000000000' || (1 + n % 2),
             'ep_0000000000000000000000000000000' || (1 + n % 2), 'recover', 'operator', '{parked}', 'dlv_', 'dlv_~'
         from generate_series(1, 7) as n",
    )
    .await;
    let ids = |items: Vec<Value>| -> Vec<String> {
        items
            .iter()
            .map(|job| job["job_id"].as_str().unwrap().trim_start_matches("job_").trim_start_matches('0').to_owned())
            .collect()
    };
    for limit in [1, 2, 250] {
        assert_eq!(ids(lab.all(&format!("/jobs?limit={limit}")).await), ["7", "6", "5", "4", "3", "2", "1"]);
        assert_eq!(ids(lab.all(&format!("/jobs?limit={limit}&merchant_id={MERCHANT}")).await), ["6", "4", "2"]);
        assert_eq!(ids(lab.all(&format!("/jobs?limit={limit}&endpoint_id={ENDPOINT}")).await), ["6", "4", "2"]);
    }
    let token = lab.token_of(OTHER).await;
    let own = lab.ask(&token, "get", "/jobs", None).await;
    assert_eq!(ids(own.body["items"].as_array().unwrap().clone()), ["7", "5", "3", "1"]);
    let foreign = lab.ask(&token, "get", &format!("/jobs?endpoint_id={ENDPOINT}"), None).await;
    assert_eq!(foreign.body["items"], json!([]));
    assert_eq!(lab.ask(&token, "get", "/jobs/job_00000000000000000000000000000002", None).await.status, 404);
    assert_eq!(lab.ask(&token, "get", "/jobs/job_00000000000000000000000000000003", None).await.status, 200);
}
