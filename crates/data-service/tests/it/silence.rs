//! No log line and no problem holds a secret, a signature or a body, at any level, whatever goes wrong.

use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::signature::{Secret, Version};
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::lab::{header, secret};
use crate::rotation::One;
use crate::service::{PORTAL, Reply, opening};

/// Everything that this thread logs. A test runs in one thread, with the service that it asks.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let written = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(move || written.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// The forms in which somebody could print a secret.
fn forms(secret: &Secret) -> Vec<String> {
    let bytes = secret.expose_bytes();
    // Of a key pair the second half is public.
    let private = if secret.version() == Version::V1a { &bytes[..32] } else { &bytes[..] };
    let hex: String = private.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{private:?}");
    let text = STANDARD.encode(private);
    // The last digits of base64 depend on what follows.
    vec![hex.to_uppercase(), hex, list.trim_matches(['[', ']']).to_owned(), text.trim_end_matches('=')[..30].to_owned()]
}

#[sqlx::test(migrations = "../../migrations")]
async fn nothing_secret_is_logged_or_told_in_a_problem(pool: PgPoolOptions, connect: PgConnectOptions) {
    let (log, _guard) = Log::start();
    let one = One::start(pool, connect).await;
    let (v1, v1a) = (Version::V1.secret([211; 32]), Version::V1a.secret([212; 32]));
    let mut secrets = vec![secret(), v1.clone(), v1a.clone()];
    let mut replies: Vec<Reply> = Vec::new();
    let mut requests = vec![one.request().await];

    // What goes well.
    for (asked, key) in [
        (json!({}), Some("key-1")),
        (json!({}), Some("key-1")),
        (json!({"secret": v1.expose()}), None),
        (json!({"secret": v1a.expose(), "signature": "v1a"}), Some("key-2")),
    ] {
        let reply = one.ask(&one.lab.service, key, &asked).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        secrets.extend(reply.body()["secret"].as_str().map(|made| made.parse::<Secret>().unwrap()));
        requests.push(one.request().await);
    }
    // What is asked wrongly, with a secret in every place.
    for text in [v1.expose(), v1a.expose()] {
        for asked in [
            json!({"secret": text, "signature": if text.starts_with("whsk_") { "v1" } else { "v1a" }}),
            json!({"secret": text.replace("wh", "we")}),
            json!({"secret": format!("{text}AAAA{text}")}),
            json!({"secret": {"whsk": text}}),
            json!({"signature": text}),
            json!({"expires_in": text}),
            json!({"expires_in": {"in": text}}),
            json!({"unless_current": text.len()}),
            json!([text]),
            json!(text),
        ] {
            replies.push(one.ask(&one.lab.service, None, &asked).await);
        }
        replies.push(one.ask(&one.lab.service, Some("key-2"), &json!({"secret": v1.expose()})).await);
        let path = format!("/internal/endpoints/{}/secret/rotate", one.endpoint);
        let broken = one.lab.service.request(Method::POST, &path).bearer_auth(PORTAL);
        let broken = broken.header("content-type", "application/json").body(format!("{{\"secret\": \"{text}"));
        replies.push(one.lab.service.send(broken).await);
    }
    // What can't be opened, or not be stored.
    one.lab.execute("update endpoint_secrets set signature = 'v1' where expires_at is null").await;
    replies.push(one.current().await);
    one.lab.execute("update endpoint_secrets set key_id = 'deadbeef'").await;
    replies.push(one.current().await);
    let event_id = one.lab.payment(&one.merchant).await.event_id;
    one.lab.service.post("/internal/open", &[opening(event_id, "inv_9")]).await;
    one.lab
        .execute("alter table endpoint_secrets add constraint nothing_more check (key_id = 'deadbeef') not valid")
        .await;
    replies.push(one.ask(&one.lab.service, Some("key-3"), &json!({"secret": v1a.expose(), "signature": "v1a"})).await);
    one.lab.execute("alter table endpoint_secrets rename to gone").await;
    replies.push(one.ask(&one.lab.service, None, &json!({"secret": v1.expose(), "signature": "v1"})).await);
    replies.push(one.current().await);

    let log = log.text();
    for told in ["a signing secret can't be used", "can't be opened", "nothing_more", "does not exist"] {
        assert!(log.contains(told), "the log does not say: {told}");
    }
    let problems: String = replies.iter().map(|reply| reply.text.as_str()).collect();
    assert!(replies.iter().all(|reply| reply.status >= 400), "{replies:#?}");
    for (text, place) in [(&log, "the log"), (&problems, "a problem")] {
        for form in secrets.iter().flat_map(forms) {
            let line = text.lines().find(|line| line.contains(&form));
            assert!(line.is_none(), "{place} holds a secret as {form}: {line:?}");
        }
    }
    for request in &requests {
        let signatures = header(request, "webhook-signature").split(' ').map(|entry| entry.split_once(',').unwrap().1);
        for hidden in signatures.chain([request.body.as_str()]) {
            assert!(!log.contains(hidden), "the log holds {hidden}");
        }
    }
}
