//! Who registers itself when, against what stands for Restate's admin API.

use std::sync::{Arc, Mutex};

use axum::routing::get;
use axum::{Json, Router};
use chassis::{Lifecycle, server};
use clap::Parser as _;
use serde_json::{Value, json};

use super::{Deployment, Registrar};
use crate::config::{Command, Config};

/// Two deployments; the second one was registered last.
struct Restate {
    lifecycle: Lifecycle,
    url: String,
    newer: String,
    registered: Arc<Mutex<Vec<Value>>>,
}

const OLDER: &str = "http://127.0.0.1:1/";

impl Restate {
    async fn start(newer_answers: bool) -> Self {
        let lifecycle = Lifecycle::default();
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // Whoever serves here has a GET /health; nobody listens at port 2.
        let newer = if newer_answers { url.clone() } else { "http://127.0.0.1:2".to_owned() };
        let deployments = json!({"deployments": [{"id": "dp_1", "uri": OLDER}, {"id": "dp_2", "uri": newer}]});
        let services = json!({"services": [{"name": "Delivery", "deployment_id": "dp_2"}]});
        let registered = Arc::new(Mutex::new(Vec::new()));
        let seen = registered.clone();
        let register = async move |Json(body): Json<Value>| {
            seen.lock().unwrap().push(body["uri"].clone());
            Json(json!({}))
        };
        let router = Router::new()
            .route("/deployments", get(async || Json(deployments)).post(register))
            .route("/services", get(async || Json(services)));
        server::serve(&lifecycle, listener, router);
        Self { lifecycle, url, newer, registered }
    }

    /// Whether one at this URL registers itself.
    async fn is_told_by(&self, url: &str, deployment: Deployment) -> bool {
        let words = ["webhook-consumer", "register", "--advertised-url", url, "--restate-admin-url", &self.url];
        let Command::Register(flags) = Config::try_parse_from(words).unwrap().command else {
            panic!("another command");
        };
        Registrar::new(&flags.restate, None).unwrap().ensure_deployment(deployment).await.unwrap();
        let told = std::mem::take(&mut *self.registered.lock().unwrap());
        assert!(
            told.iter().all(|uri| uri.as_str().map(|uri| uri.trim_end_matches('/')) == Some(url.trim_end_matches('/')))
        );
        !told.is_empty()
    }
}

#[tokio::test]
async fn an_older_deployment_takes_no_work_from_a_newer_one_that_answers() {
    let restate = Restate::start(true).await;
    assert!(!restate.is_told_by(OLDER, Deployment::AtStart).await);
    assert!(restate.is_told_by(OLDER, Deployment::Anew).await, "but where somebody asks for it");
    assert!(restate.is_told_by(&restate.newer, Deployment::AtStart).await, "its handlers may have changed");
    assert!(restate.is_told_by("http://127.0.0.1:3/", Deployment::AtStart).await, "a third one");
    restate.lifecycle.stop();
}

#[tokio::test]
async fn an_older_deployment_takes_over_from_a_newer_one_that_is_gone() {
    let restate = Restate::start(false).await;
    assert!(restate.is_told_by(OLDER, Deployment::AtStart).await);
    assert!(!restate.is_told_by(OLDER, Deployment::IfMissing).await, "it is known");
    restate.lifecycle.stop();
}
