//! A database, a topic and relays for one test.

use std::collections::HashSet;
use std::fs::File;
use std::future::Future;
use std::hash::Hash;
use std::net::TcpListener;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chassis::client::{self, Limits};
use futures_util::FutureExt as _;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use url::Url;

/// The table as the migrations make it, partitioned, with its publication.
const SCHEMA: &str = r#"
    create table domain_events (
        event_id text collate "C" primary key,
        event_type text not null,
        object_type text not null,
        object_id text collate "C" not null,
        object_version bigint not null,
        merchant_id text collate "C" not null,
        occurred_at timestamptz not null,
        traceparent text,
        snapshot jsonb,
        xid xid8 not null
    ) partition by range (event_id);
    create table domain_events_default partition of domain_events default;
    create table domain_events_early partition of domain_events for values from ('evt_0') to ('evt_8');
    create publication everhook_events for table domain_events
        with (publish = 'insert', publish_via_partition_root = true);
"#;

/// One test's world.
pub struct Lab {
    /// Names database, slot and topic.
    pub name: String,
    /// The database.
    pub url: Url,
    server: Url,
    kafka: String,
    relays: Mutex<Vec<Relay>>,
    folder: PathBuf,
}

/// A relay process. It is killed when the lab ends.
pub struct Relay {
    child: Child,
    log: PathBuf,
}

/// One Kafka record.
#[derive(Debug, Clone)]
pub struct Stored {
    pub partition: i32,
    pub key: Option<String>,
    pub value: Value,
    pub headers: Vec<(String, String)>,
    pub timestamp_ms: i64,
}

/// Runs a test in a world of its own, and cleans up after it, also when it fails.
pub async fn in_lab<F: AsyncFnOnce(&Lab)>(test: F) {
    let lab = Lab::new().await;
    lab.execute(SCHEMA).await;
    let ended = AssertUnwindSafe(test(&lab)).catch_unwind().await;
    lab.kill_all();
    if ended.is_err() {
        for relay in lab.relays.lock().unwrap().iter() {
            eprintln!("--- {}\n{}", relay.log.display(), relay.log_text());
        }
    }
    lab.clean().await;
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

/// Asks until the answer is `Ok`; the last answer is in the failure.
pub async fn eventually<T, F: Future<Output = Result<T, String>>>(within: Duration, mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + within;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(status) => assert!(Instant::now() < deadline, "not within {within:?}: {status}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/run-tests.sh e2e, which sets it"))
}

impl Lab {
    async fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("relay_{}_{}_{number}", std::process::id(), since.as_millis());
        let server: Url = variable("EVERHOOK_TEST_POSTGRES_URL").parse().unwrap();
        let mut url = server.clone();
        url.set_path(&name);
        let folder = std::env::temp_dir().join(&name);
        let kafka = variable("EVERHOOK_TEST_KAFKA");
        std::fs::create_dir_all(&folder).unwrap();
        let lab = Self { name, url, server, kafka, relays: Mutex::default(), folder };
        let mut connection = connect(&lab.server).await;
        sqlx::query(AssertSqlSafe(format!("create database {}", lab.name))).execute(&mut connection).await.unwrap();
        lab
    }

    /// A new connection to the test's database.
    pub async fn connect(&self) -> PgConnection {
        connect(&self.url).await
    }

    /// Runs statements.
    pub async fn execute(&self, sql: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// One value, as text.
    pub async fn ask(&self, sql: &str) -> Option<String> {
        let mut connection = self.connect().await;
        let answer = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_optional(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        answer.flatten()
    }

    /// Starts a relay. Flags win over what the lab has set.
    pub fn relay(&self, more: &[&str]) -> String {
        self.relay_on(&self.url, more)
    }

    /// Starts a relay that reaches the database at another address.
    pub fn relay_on(&self, url: &Url, more: &[&str]) -> String {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = self.folder.join(format!("relay-{port}.log"));
        // The relay takes the password from a file alone.
        let mut address = url.clone();
        address.set_password(None).unwrap();
        let password = self.folder.join("password");
        std::fs::write(&password, url.password().unwrap_or("none is asked for")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_cdc-relay"))
            .env_clear()
            .env("EVERHOOK_DATABASE_PASSWORD_FILE", &password)
            .env("EVERHOOK_LISTEN", format!("127.0.0.1:{port}"))
            .env("EVERHOOK_DATABASE_URL", address.as_str())
            .env("EVERHOOK_KAFKA", &self.kafka)
            .env("EVERHOOK_TOPIC", &self.name)
            .env("EVERHOOK_SLOT", &self.name)
            .env("EVERHOOK_HEARTBEAT_INTERVAL", "500ms")
            .env("EVERHOOK_LOG", "info,cdc_relay=debug")
            .args(more)
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        self.relays.lock().unwrap().push(Relay { child, log });
        format!("http://127.0.0.1:{port}")
    }

    /// Kills the newest relay with SIGKILL.
    pub fn kill(&self) {
        self.relays.lock().unwrap().last_mut().unwrap().kill();
    }

    /// Kills the oldest relay with SIGKILL.
    pub fn kill_first(&self) {
        self.relays.lock().unwrap().first_mut().unwrap().kill();
    }

    fn kill_all(&self) {
        self.relays.lock().unwrap().iter_mut().for_each(Relay::kill);
    }

    /// Asks the newest relay to stop, and waits for its end. Returns its log.
    pub async fn stop(&self) -> String {
        let pid = self.relays.lock().unwrap().last().unwrap().child.id();
        assert!(Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap().success());
        eventually(Duration::from_secs(20), async || {
            match self.relays.lock().unwrap().last_mut().unwrap().child.try_wait().unwrap() {
                Some(status) if status.success() => Ok(()),
                Some(status) => panic!("the relay ended with {status}"),
                None => Err("the relay is still running".to_owned()),
            }
        })
        .await;
        self.log()
    }

    /// What the newest relay has logged.
    pub fn log(&self) -> String {
        self.relays.lock().unwrap().last().unwrap().log_text()
    }

    /// Waits for a line in the newest relay's log.
    pub async fn logged(&self, words: &str) {
        eventually(Duration::from_secs(30), async || {
            if self.log().contains(words) { Ok(()) } else { Err(format!("the log does not say: {words}")) }
        })
        .await;
    }

    /// Everything in the topic.
    pub async fn records(&self) -> Vec<Stored> {
        let (kafka, topic) = (self.kafka.clone(), self.name.clone());
        tokio::task::spawn_blocking(move || read_topic(&kafka, &topic)).await.unwrap()
    }

    /// Waits until the topic has this many records with different keys; returns all records.
    pub async fn until_keys(&self, count: usize) -> Vec<Stored> {
        self.until_different(count, "keys", |record| record.key.clone()).await
    }

    /// Waits until the topic has this many changes of one transaction; returns all records.
    pub async fn until_changes(&self, count: usize) -> Vec<Stored> {
        self.until_different(count, "changes", |record| record.value["metadata"]["commit_idx"].as_u64()).await
    }

    async fn until_different<T: Eq + Hash>(
        &self,
        count: usize,
        what: &str,
        of: impl Fn(&Stored) -> Option<T>,
    ) -> Vec<Stored> {
        eventually(Duration::from_secs(60), async || {
            let records = self.records().await;
            let different = records.iter().filter_map(&of).collect::<HashSet<_>>().len();
            if different >= count {
                Ok(records)
            } else {
                Err(format!("{different} of {count} {what} in {} records", records.len()))
            }
        })
        .await
    }

    /// Deletes the topic under the relay.
    pub async fn delete_topic(&self) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
        for deleted in admin.delete_topics(&[&self.name], &options).await.unwrap() {
            assert!(matches!(deleted, Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))), "{deleted:?}");
        }
    }

    /// For a client of the same Kafka.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.kafka);
        config
    }

    async fn clean(&self) {
        let mut connection = connect(&self.server).await;
        sqlx::query(
            "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where database = $1 and active",
        )
        .bind(&self.name)
        .execute(&mut connection)
        .await
        .unwrap();
        eventually(Duration::from_secs(10), async || {
            let mut connection = connect(&self.server).await;
            sqlx::query("select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1")
                .bind(&self.name)
                .execute(&mut connection)
                .await
                .map_err(|error| error.to_string())
        })
        .await;
        sqlx::query(AssertSqlSafe(format!("drop database {} with (force)", self.name)))
            .execute(&mut connection)
            .await
            .unwrap();
        self.delete_topic().await;
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

impl Relay {
    fn kill(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }

    fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

async fn connect(url: &Url) -> PgConnection {
    let options = sqlx::postgres::PgConnectOptions::from_url(url).unwrap();
    PgConnection::connect_with(&options).await.unwrap()
}

/// Asks a relay something over HTTP.
pub async fn get(url: &str, path: &str) -> Result<String, String> {
    let client = client::build(Limits { whole: Duration::from_secs(2), ..Limits::default() }).unwrap();
    let answer = client.get(format!("{url}/{path}")).send().await.map_err(|error| error.to_string())?;
    answer.text().await.map_err(|error| error.to_string())
}

/// `GET /status`
pub async fn status(url: &str) -> Result<Value, String> {
    serde_json::from_str(&get(url, "status").await?).map_err(|error| error.to_string())
}

/// Waits until the relay streams and a heartbeat has come back.
pub async fn relaying(url: &str) {
    eventually(Duration::from_secs(30), async || {
        let status = status(url).await?;
        let ready = status["connected"] == true && status["last_heartbeat_at"].is_string();
        if ready { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

/// One value of `GET /metrics`.
pub async fn metric(url: &str, name: &str) -> Result<f64, String> {
    let text = get(url, "metrics").await?;
    let line = text.lines().find(|line| line.split(' ').next() == Some(name)).ok_or(format!("no {name} in {text}"))?;
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).ok_or(line.to_owned())
}

fn read_topic(kafka: &str, topic: &str) -> Vec<Stored> {
    let timeout = Duration::from_secs(10);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .set("group.id", "nobody")
        .set("enable.auto.commit", "false")
        .set("fetch.message.max.bytes", "10000000")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), timeout).unwrap();
    let mut ends = std::collections::HashMap::new();
    let mut all = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        let Ok((low, high)) = consumer.fetch_watermarks(topic, partition.id(), timeout) else { return Vec::new() };
        if high > low {
            ends.insert(partition.id(), high);
            all.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
        }
    }
    consumer.assign(&all).unwrap();
    let mut records = Vec::new();
    while !ends.is_empty() {
        match consumer.poll(timeout) {
            Some(Ok(message)) => {
                if ends.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
                    ends.remove(&message.partition());
                }
                records.push(stored(&message));
            }
            // The topic was deleted and made again while we read: the next look sees the new one.
            Some(Err(KafkaError::MessageConsumption(_))) | None => return Vec::new(),
            Some(Err(error)) => panic!("{error}"),
        }
    }
    records
}

fn stored(message: &rdkafka::message::BorrowedMessage<'_>) -> Stored {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), text(header.value.unwrap_or_default()))).collect()
    });
    Stored {
        partition: message.partition(),
        key: message.key().map(text),
        value: serde_json::from_slice(message.payload().unwrap()).unwrap(),
        headers: headers.unwrap_or_default(),
        timestamp_ms: message.timestamp().to_millis().unwrap(),
    }
}
