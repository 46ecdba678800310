//! Nothing that is secret is in a log, in an answer or elsewhere on the disk, whatever goes well or wrong; but for the answers
//! that show somebody their own.

mod known;

use std::collections::BTreeSet;
use std::process::Command;

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::json;

use super::*;
use known::Known;

/// The operations that show a secret, and which.
const SHOWN: [(&str, &str); 4] = [
    ("create_endpoint", "signing secret"),
    ("read_secret", "signing secret"),
    ("rotate_secret", "signing secret"),
    ("create_token", "merchant's token"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_secret_is_logged_answered_or_left_on_the_disk() {
    let lab = Lab::start(&[("EVERHOOK_LOG", "debug"), ("EVERHOOK_CIRCUIT_OPENS_AFTER", "0")]).await;
    let known = Known::of(lab.stack.secrets(), &lab.stack.folder().of("secrets"));
    let mut talk = Talk { lab, known, asked: 0 };
    std::fs::create_dir(talk.lab.stack.folder().of("answers")).unwrap();
    let merchant = Merchant::make(&mut talk).await;
    merchant.change_secrets(&mut talk).await;
    merchant.receive(&mut talk).await;
    merchant.ask_wrongly(&mut talk).await;
    talk.outage(&merchant).await;
    talk.lab.stack.stop_all().await.unwrap();

    let found = talk.find();
    // What is no secret went the same ways, and is found: in the log of each process, in answers, in the database.
    let logs = std::fs::read_dir(talk.lab.stack.folder().logs()).unwrap();
    let logs = logs.map(|log| format!("logs/{}", log.unwrap().file_name().display()));
    let places: Vec<String> = logs.chain(["answers/read_endpoint", "postgres/data/base"].map(str::to_owned)).collect();
    assert!(places.len() > 10, "{places:?}");
    for place in &places {
        let is_there = found.iter().any(|(at, what)| at.starts_with(place) && what == "canary");
        assert!(is_there, "no canary in {place}");
    }
    for (operation, what) in SHOWN {
        let is_shown =
            |(at, found): &&(String, String)| at.starts_with(&format!("answers/{operation}-")) && found == what;
        assert!(found.iter().any(|one| is_shown(&one)), "{operation} is to show a {what}, and did not: {found:?}");
    }
    let is_leak = |(at, what): &&(String, String)| {
        let shows =
            |(operation, shown): &(&str, &str)| at.starts_with(&format!("answers/{operation}-")) && what == shown;
        what != "canary" && !SHOWN.iter().any(shows)
    };
    let leaks: Vec<_> = found.iter().filter(is_leak).collect();
    assert!(leaks.is_empty(), "{leaks:#?}\nthe logs are in {}", talk.lab.scratch.keep_logs().display());
}

/// The pipeline, what of it is secret, and the answers so far, each in a file.
struct Talk {
    lab: Lab,
    known: Known,
    asked: usize,
}

/// A request.
#[derive(Clone, Copy)]
struct Ask<'a> {
    /// What the answer's file is named after.
    operation: &'a str,
    door: Door,
    method: &'a str,
    path: &'a str,
    token: &'a str,
    key: Option<&'a str>,
    body: &'a str,
}

impl Talk {
    /// Asks, keeps the answer, and answers its body.
    async fn ask(&mut self, ask: Ask<'_>) -> Value {
        let client = chassis::client::build(chassis::client::Limits::default()).unwrap();
        let method: Method = ask.method.parse().unwrap();
        let mut request = client.request(method, self.lab.url(ask.door).join(ask.path).unwrap()).headers(ask.headers());
        if !ask.body.is_empty() {
            request = request.body(ask.body.to_owned());
        }
        let response = request.send().await.unwrap();
        let head = format!("{} {:?}\n", response.status(), response.headers());
        let body = response.text().await.unwrap();
        self.asked += 1;
        let file = self.lab.stack.folder().of("answers").join(format!("{}-{}", ask.operation, self.asked));
        std::fs::write(file, head + &body).unwrap();
        serde_json::from_str(&body).unwrap_or_default()
    }

    /// At the portal, as the operator.
    async fn operate(&mut self, operation: &str, method: &str, path: &str, body: Value) -> Value {
        let token = self.known.operator_token.clone();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let key = format!("key-{}", self.asked);
        let key = (method == "POST").then_some(key.as_str());
        self.ask(Ask { operation, door: Door::Portal, method, path, token: &token, key, body: &body }).await
    }

    /// data-service goes away and comes back, while it is needed.
    async fn outage(&mut self, merchant: &Merchant) {
        self.lab.stack.kill9("data-service").await.unwrap();
        merchant.pay(self, 5).await;
        merchant.change_secrets(self).await;
        self.operate("problem", "GET", &format!("/endpoints/{}/secret", merchant.endpoint), Value::Null).await;
        self.lab.stack.start("data-service").await.unwrap();
        merchant.receive(self).await;
    }

    /// Where in the folder of the stack, but for the folder of its secrets, which of what is known is found.
    fn find(&self) -> BTreeSet<(String, String)> {
        let root = self.lab.stack.folder().root();
        let forms = root.join("secrets/forms");
        std::fs::write(&forms, self.known.forms().map(|(form, _)| format!("{form}\n")).collect::<String>()).unwrap();
        let grep = Command::new("grep")
            .args(["--recursive", "--text", "--only-matching", "--fixed-strings", "--null", "--exclude-dir=secrets"])
            .args(["--devices=skip", "--file"])
            .args([forms.as_os_str(), ".".as_ref()])
            .current_dir(root)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        assert_eq!(grep.status.code(), Some(0), "{}", String::from_utf8_lossy(&grep.stderr));
        let what = |form: &str| self.known.forms().find(|(known, _)| *known == form).map(|(_, what)| what.to_owned());
        let lines = String::from_utf8(grep.stdout).unwrap();
        let found = lines.lines().filter_map(|line| line.split_once('\0'));
        found.map(|(at, form)| (at.trim_start_matches("./").to_owned(), what(form).unwrap())).collect()
    }
}

impl Ask<'_> {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let bearer = format!("Bearer {}", self.token);
        headers.insert("authorization", HeaderValue::from_str(&bearer).unwrap());
        if !self.body.is_empty() {
            headers.insert("content-type", HeaderValue::from_static("application/json"));
        }
        if let Some(key) = self.key {
            headers.insert("idempotency-key", HeaderValue::from_str(key).unwrap());
        }
        headers
    }
}

/// A merchant with an endpoint that works, and one that nobody listens at.
struct Merchant {
    merchant_id: String,
    token: String,
    endpoint: String,
    unreachable: String,
}

impl Merchant {
    async fn make(talk: &mut Talk) -> Self {
        let merchant = talk.operate("create_merchant", "POST", "/merchants", json!({"name": "Bakery"})).await;
        let merchant_id = text(&merchant["merchant_id"]);
        let made = talk.operate("create_token", "POST", &format!("/merchants/{merchant_id}/tokens"), json!({})).await;
        let token = text(&made["token"]);
        talk.known.text("merchant's token", &token);
        talk.known.text("merchant's token", token.rsplit('.').next().unwrap());
        let webhooks = talk.lab.url(Door::MerchantSimulator).join("/webhooks").unwrap();
        let mut endpoints = Vec::new();
        for url in [webhooks.as_str(), "http://127.0.0.1:1/"] {
            let hush = talk.known.made_up("header's value");
            let settings = json!({
                "url": url, "schedule": ["0s", "1s", "1s"],
                "headers": {"authorization": format!("Bearer {hush}"), "x-region": talk.known.canary},
            });
            let path = format!("/merchants/{merchant_id}/endpoints");
            let made = talk.operate("create_endpoint", "POST", &path, settings).await;
            talk.known.signing_secret(&text(&made["secret"]));
            endpoints.push(text(&made["endpoint_id"]));
            if url == webhooks.as_str() {
                let endpoint_id = endpoints[0].parse().unwrap();
                talk.lab.simulator().put_account(endpoint_id, &text(&made["secret"]), ANSWER).await.unwrap();
                let url = json!({"url": format!("{webhooks}/{}", endpoints[0])});
                talk.operate("change_endpoint", "PATCH", &format!("/endpoints/{}", endpoints[0]), url).await;
            }
        }
        // Its id is no secret: it goes everywhere.
        talk.known.canary(&endpoints[0]);
        let [endpoint, unreachable] = endpoints.try_into().unwrap();
        Self { merchant_id, token, endpoint, unreachable }
    }

    /// New headers, secrets that are made, imported and shown; `v1a` too.
    async fn change_secrets(&self, talk: &mut Talk) {
        for endpoint in [&self.endpoint, &self.unreachable] {
            let path = format!("/endpoints/{endpoint}");
            let hush = talk.known.made_up("header's value");
            talk.operate("change_endpoint", "PATCH", &path, json!({"headers": {"x-api-key": hush}})).await;
            talk.operate("read_endpoint", "GET", &path, Value::Null).await;
        }
        let path = format!("/endpoints/{}/secret", self.unreachable);
        let (v1, v1a) = (talk.known.made_up_v1(), talk.known.made_up_v1a());
        for asked in [json!({}), json!({"secret": v1}), json!({"secret": v1a, "signature": "v1a"})] {
            let rotated = talk.operate("rotate_secret", "POST", &format!("{path}/rotate"), asked).await;
            if let Some(secret) = rotated["secret"].as_str() {
                talk.known.signing_secret(secret);
            }
            talk.operate("read_secret", "GET", &path, Value::Null).await;
        }
    }

    async fn pay(&self, talk: &mut Talk, payments: usize) {
        for _ in 0..payments {
            let body = json!({"merchant_id": self.merchant_id, "amount": 1000, "currency": "USD"}).to_string();
            let ask =
                Ask { operation: "pay", door: Door::PaymentsApi, method: "POST", path: "/payments", ..self.as_self() };
            talk.ask(Ask { body: &body, ..ask }).await;
        }
    }

    /// Payments and tests that arrive and fail, and what the portal tells of them.
    async fn receive(&self, talk: &mut Talk) {
        let endpoint_id = self.endpoint.parse().unwrap();
        for mood in [json!({"mood": "failing", "rate": 0.5}), json!({"mood": "well"})] {
            talk.lab.simulator().put_mood(endpoint_id, &mood, ANSWER).await.unwrap();
            self.pay(talk, 5).await;
            for endpoint in [&self.endpoint, &self.unreachable] {
                talk.operate("test_endpoint", "POST", &format!("/endpoints/{endpoint}/test"), Value::Null).await;
            }
            until("everything to have ended", Duration::from_secs(60), || async {
                let unrouted = talk.lab.count(UNROUTED).await;
                let open = talk.lab.count("select count(*) from deliveries where state = 'pending'").await;
                ((unrouted, open) == (0, 0), (unrouted, open))
            })
            .await;
        }
        let listed = talk.operate("list_deliveries", "GET", "/deliveries?limit=250", Value::Null).await;
        for delivery in listed["items"].as_array().unwrap() {
            let id = text(&delivery["delivery_id"]);
            talk.operate("list_attempts", "GET", &format!("/deliveries/{id}/attempts"), Value::Null).await;
            talk.operate("why", "GET", &format!("/why/{id}"), Value::Null).await;
        }
        for path in ["/events", "/parked-records", "/merchants", "/openapi.json"] {
            talk.operate("list", "GET", path, Value::Null).await;
        }
    }

    /// With secrets where they do not belong.
    async fn ask_wrongly(&self, talk: &mut Talk) {
        let tokens =
            [talk.known.service_tokens.clone(), vec![self.token.clone(), talk.known.made_up("wrong token")]].concat();
        let unknown = "ep_0000000000000000000000000000000f";
        for (door, path) in [
            (Door::Portal, "/merchants".to_owned()),
            (Door::Portal, format!("/endpoints/{unknown}")),
            (Door::Portal, format!("/endpoints/{unknown}/secret")),
            (Door::DataService, "/internal/overdue".to_owned()),
            (Door::DataService, format!("/internal/endpoints/{unknown}/secret")),
            (Door::DataService, "/payload/pay_0000000000000000000000000000000f".to_owned()),
        ] {
            for token in &tokens {
                talk.ask(Ask { operation: "problem", door, path: &path, token, ..self.as_self() }).await;
            }
        }
        let (hush, v1, v1a) = (talk.known.made_up("header's value"), talk.known.made_up_v1(), talk.known.made_up_v1a());
        let endpoints = format!("/merchants/{}/endpoints", self.merchant_id);
        let url = "https://x.test/";
        let bodies = [
            json!({"url": url, "headers": {"authorization": [hush]}}).to_string(),
            json!({"url": url, "headers": {"authorization": {"value": hush}}}).to_string(),
            json!({"url": url, "headers": {"authorization": format!("{hush}\n")}}).to_string(),
            json!({"url": url, "headers": {"content-type": hush}}).to_string(),
            json!({"url": url, "headers": hush}).to_string(),
            json!({"url": url, "headers": [hush]}).to_string(),
            json!({"url": format!("https://user:{hush}@x.test/")}).to_string(),
            json!({"url": url, "secret": v1}).to_string(),
            json!({"url": url, "signature": v1}).to_string(),
            format!("{{\"url\": \"{url}\", \"headers\": {{\"authorization\": \"Bearer {hush}"),
        ];
        for body in &bodies {
            let path = &endpoints;
            talk.ask(Ask { operation: "problem", method: "POST", path, body, ..self.as_self() }).await;
            let path = &format!("/endpoints/{}", self.endpoint);
            talk.ask(Ask { operation: "problem", method: "PATCH", path, body, ..self.as_self() }).await;
        }
        for body in [
            json!({"secret": v1, "signature": "v1a"}).to_string(),
            json!({"secret": v1a, "signature": "v1"}).to_string(),
            json!({"secret": format!("{v1}AAAA{v1}")}).to_string(),
            json!({"secret": [v1a]}).to_string(),
            json!({"expires_in": v1}).to_string(),
            format!("{{\"secret\": \"{v1a}"),
        ] {
            let path = format!("/endpoints/{}/secret/rotate", self.endpoint);
            talk.ask(Ask { operation: "problem", method: "POST", path: &path, body: &body, ..self.as_self() }).await;
        }
        // To data-service as the portal, what only the portal says.
        let portal = talk.lab.stack.secrets().text("data-service-portal-token").unwrap();
        for (path, body) in [
            ("/internal/secrets", json!({"signature": v1}).to_string()),
            ("/internal/sealed-answers", json!({"answer": [hush]}).to_string()),
            ("/internal/sealed-answers/open", json!({"key_id": "x", "ciphertext": hush}).to_string()),
            ("/internal/sealed-headers", json!({"endpoint_id": self.endpoint, "change": {"x": [hush]}}).to_string()),
            ("/internal/sealed-headers", json!({"endpoint_id": self.endpoint, "change": hush}).to_string()),
            ("/internal/sealed-headers", format!("{{\"change\": {{\"authorization\": \"{hush}")),
        ] {
            let (door, token) = (Door::DataService, portal.as_str());
            talk.ask(Ask { operation: "problem", door, method: "POST", path, token, body: &body, ..self.as_self() })
                .await;
        }
    }

    /// A GET at the portal with the merchant's own token.
    fn as_self(&self) -> Ask<'_> {
        let (door, token) = (Door::Portal, self.token.as_str());
        Ask { operation: "", door, method: "GET", path: "/", token, key: None, body: "" }
    }
}

const UNROUTED: &str = "select count(*) from domain_events e
    where not exists (select from routed_events r where r.event_id = e.event_id)";

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
