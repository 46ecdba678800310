//! The whole way of an event, on the real components, while they are killed, stopped and wiped.

mod alerts;
mod bad_records;
mod consumer_killed;
mod darkness;
mod disasters;
mod in_order;
mod latest_only;
mod overload;
mod rate_limit;
mod recovered;
mod relay_killed;
mod replaced;
mod secrets;
mod stalled;
mod test_events;
mod traces;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chassis::{Lifecycle, Token};
use indicatif::ProgressBar;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use reqwest::Method;
use serde_json::Value;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use stack::components::{self, Cache, Installed};
use stack::ports::{Door, Ports};
use stack::progress::Progress;
use stack::scratch::Scratch;
use stack::spans::Tracing;
use stack::{Kit, Stack};
use url::Url;
use verifier::account::Account;
use verifier::load::{Options, Pace, Ready, Summary, Until, set_up};
use verifier::simulator::Simulator;
use verifier::verdict::{self, Verdict, Witness};

const ANSWER: Duration = Duration::from_secs(60);
/// Far more than anything takes, also where others keep the machine busy.
const LONG: Duration = Duration::from_secs(300);
const TOPIC: &str = "webhook-events";

const COMMITTED: &str = "select count(*) from domain_events";
const BY_CDC: &str = "select count(*) from routed_events where from_cdc";
const BY_THE_SWEEP: &str = "select count(*) from routed_events where not from_cdc";

/// One pipeline at a time: two cores carry one, and some tests look at the clock.
pub(super) static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A running pipeline on free ports, gone when it is dropped.
struct Lab {
    stack: Stack,
    scratch: Scratch,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl Lab {
    /// Everything is up; `settings` are environment variables of our services.
    async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_with(settings, Tracing::Off).await
    }

    /// As [`Lab::start`], and the spans go there.
    async fn start_with(settings: &[(&str, &str)], tracing: Tracing) -> Self {
        let turn = TURN.lock().await;
        let progress = Progress::silent();
        let cache = Cache::choose(std::env::var_os("EVERHOOK_CACHE_DIR").map(Into::into)).unwrap();
        let components = components::all(&cache, &Installed::from_environment(), &progress).await.unwrap();
        let (mut scratch, folder) = Scratch::new().await.unwrap();
        let kit = Kit::Everything(components, binaries());
        let stack = Stack::new(folder, Ports::free().unwrap(), kit, progress).unwrap();
        let stack = stack.with_tracing(tracing);
        let stack = settings.iter().fold(stack, |stack, (name, value)| stack.with_setting(name, value));
        if let Err(error) = stack.start_all().await {
            panic!("{error:#}; the logs are in {}", scratch.keep_logs().display());
        }
        Self { stack, scratch, _turn: turn }
    }

    fn url(&self, door: Door) -> Url {
        format!("http://127.0.0.1:{}", self.stack.ports().of(door)).parse().unwrap()
    }

    fn account_file(&self) -> PathBuf {
        self.stack.folder().of("account.jsonl")
    }

    /// Merchants and endpoints are made; the load is then driven by [`Ready::drive`].
    async fn set_up(&self, until: Until, pace: Pace, changes: usize) -> Ready {
        self.set_up_for(5, until, pace, changes).await
    }

    /// As [`Lab::set_up`], with so many merchants.
    async fn set_up_for(&self, merchants: usize, until: Until, pace: Pace, changes: usize) -> Ready {
        set_up(Options { merchants, ..self.options(until, pace, changes) }).await.unwrap()
    }

    /// Five merchants with an endpoint each.
    fn options(&self, until: Until, pace: Pace, changes: usize) -> Options {
        Options {
            account: self.account_file(),
            api_url: self.url(Door::PaymentsApi),
            token_file: None,
            portal_url: self.url(Door::Portal),
            operator_token_file: self.stack.secrets().file("operator-token").unwrap(),
            simulator_url: self.url(Door::MerchantSimulator),
            merchants: 5,
            endpoints_per_merchant: 1,
            event_types: vec!["*".parse().unwrap()],
            changes,
            until,
            pace,
            seed: 7,
            answer_within: ANSWER,
            one_try: Duration::from_secs(5),
        }
    }

    /// Waits at most so long for everything that was acknowledged; prints the verdict and keeps the logs if it is bad.
    async fn verdict(&mut self, wait: Duration) -> Verdict {
        let account = Account::read(&self.account_file()).unwrap();
        let options = verdict::Options { wait, ..verdict::Options::default() };
        let witness = Witness::of(&account).unwrap();
        let (verdict, _) = witness.verdict(&account, options, &ProgressBar::hidden()).await.unwrap();
        if !verdict.balanced || verdict.unknown > 0 {
            panic!(
                "{}\nthe logs are in {}",
                serde_json::to_string_pretty(&verdict).unwrap(),
                self.scratch.keep_logs().display()
            );
        }
        verdict
    }

    fn simulator(&self) -> Simulator {
        Simulator::new(&self.url(Door::MerchantSimulator), Duration::from_secs(10)).unwrap()
    }

    async fn database(&self) -> PgConnection {
        PgConnection::connect_with(&self.stack.superuser("everhook").unwrap()).await.unwrap()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.database().await).await.unwrap()
    }

    /// Waits until a count has grown by so much; answers what it is then.
    async fn grows(&self, count: &'static str, by: i64) -> i64 {
        let before = self.count(count).await;
        until(&format!("{count} to grow by {by}"), LONG, || async {
            let now = self.count(count).await;
            (now >= before + by, (before, now))
        })
        .await;
        self.count(count).await
    }

    /// The end of each partition of the topic, which is how many records it has had, and how far the subscription's group
    /// has committed.
    async fn positions(&self) -> Vec<(i64, i64)> {
        let brokers = format!("127.0.0.1:{}", self.stack.ports().of(Door::Kafka));
        let timeout = Duration::from_secs(10);
        tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", &brokers)
                .set("group.id", "everhook")
                .set("enable.auto.commit", "false")
                .create()
                .unwrap();
            let metadata = consumer.fetch_metadata(Some(TOPIC), timeout).unwrap();
            let mut partitions: Vec<_> = metadata.topics()[0].partitions().iter().map(|p| p.id()).collect();
            partitions.sort_unstable();
            let mut asked = TopicPartitionList::new();
            for partition in &partitions {
                asked.add_partition(TOPIC, *partition);
            }
            let committed = consumer.committed_offsets(asked, timeout).unwrap();
            let position = |partition| {
                let (_, end) = consumer.fetch_watermarks(TOPIC, partition, timeout).unwrap();
                match committed.find_partition(TOPIC, partition).unwrap().offset() {
                    Offset::Offset(offset) => (end, offset),
                    _ => (end, 0),
                }
            };
            partitions.into_iter().map(position).collect()
        })
        .await
        .unwrap()
    }

    /// The portal's answer to the operator.
    async fn portal(&self, path: &str) -> Value {
        self.ask_portal(Method::GET, path, None).await
    }

    /// Changes something at the portal.
    async fn operate(&self, path: &str, change: Value) -> Value {
        self.ask_portal(Method::PATCH, path, Some(change)).await
    }

    async fn ask_portal(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let token = Token::from_file(&self.stack.secrets().file("operator-token").unwrap()).unwrap();
        self.ask_portal_as(&token, method, path, body).await
    }

    async fn ask_portal_as(&self, token: &Token, method: Method, path: &str, body: Option<Value>) -> Value {
        let client = chassis::client::build(chassis::client::Limits::default()).unwrap();
        let request = client.request(method.clone(), self.url(Door::Portal).join(path).unwrap());
        let request = body.iter().fold(request, reqwest::RequestBuilder::json);
        let response = request.bearer_auth(token.expose()).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn stop(self) {
        self.stack.stop_all().await.unwrap();
    }
}

/// Beside the test's own binary.
fn binaries() -> PathBuf {
    std::env::var_os("EVERHOOK_BIN_DIR")
        .map_or_else(|| std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned(), PathBuf::from)
}

/// Drives the load beside whatever else the test does.
async fn drive(ready: &Ready, lifecycle: &Lifecycle) -> Summary {
    let summary = ready.drive(lifecycle, &ProgressBar::hidden()).await.unwrap();
    assert_eq!((summary.refused, summary.unknown), (0, 0), "{summary}");
    summary
}

/// Polls until the condition holds; panics with the last value seen when the time is over.
async fn until<T: std::fmt::Debug, F: Future<Output = (bool, T)>>(what: &str, within: Duration, look: impl Fn() -> F) {
    let deadline = Instant::now() + within;
    loop {
        let (holds, seen) = look().await;
        if holds {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: not within {within:?}; last seen: {seen:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
