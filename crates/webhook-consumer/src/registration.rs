//! What Restate must know: this deployment, the Kafka cluster, and one subscription to the topic.
//!
//! The subscription remembers the topic's id in its `client.id`: Restate drops records whose offsets it has seen,
//! so a topic that was made anew, or has lost its end, needs a new subscription. So does one whose consumer hangs: it goes
//! on where its group is.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chassis::Token;
use chassis::client::{self, Limits};
use chassis::error_chain::Chain;
use chassis::flags::FileError;
use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::config::{Property, RestateFlags};
use crate::progress::{self, Groups, Position, Stall, Watch};
use crate::topic::{self, Topics};

const CLUSTER: &str = "everhook";
const SERVICE: &str = "Delivery";
const SINK: &str = "service://Delivery/event";
/// A deployment that answers later is of no use to Restate, either.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
const TOPIC_TIMEOUT: Duration = Duration::from_secs(5);
// As long as librdkafka's max.poll.interval.ms, which it may not exceed.
const SESSION_TIMEOUT_MS: &str = "300000";

/// Whether the deployment is discovered again although it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployment {
    /// Somebody asks for it: what begins from now on goes here.
    Anew,
    /// At start: the handlers or their options may have changed. But an older version that comes back does not take the
    /// work from the newer one that was registered after it, as long as that one answers.
    AtStart,
    /// Afterwards: only if Restate has forgotten it.
    IfMissing,
}

/// Looks after the registration.
pub struct Registrar {
    client: reqwest::Client,
    token: Option<Token>,
    flags: RestateFlags,
    topics: std::sync::Arc<Topics>,
    vigil: Option<Vigil>,
}

/// Looks whether the subscription goes on.
struct Vigil {
    groups: std::sync::Arc<Groups>,
    seen: Mutex<LastSeen>,
    patience: Duration,
}

struct LastSeen {
    watch: Watch,
    next_look: Instant,
    /// The last look failed; that is told once.
    is_blind: bool,
}

/// The registration could not be looked at or mended; it may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token could not be read.
    #[error("reading the token for Restate's admin API")]
    Token(#[source] FileError),
    /// The client could not be set up.
    #[error("setting up the HTTP client")]
    Client(#[source] client::SetUp),
    /// The topic's id could not be had.
    #[error("looking the topic up")]
    Topic(#[source] topic::Error),
    /// Restate's admin API did not answer.
    #[error("asking Restate's admin API: {method} {path}")]
    Call {
        /// HTTP method.
        method: Method,
        /// Path.
        path: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Restate's admin API said no.
    #[error("Restate's admin API answered {status} to {method} {path}: {body}")]
    Refused {
        /// HTTP method.
        method: Method,
        /// Path.
        path: String,
        /// Its status.
        status: StatusCode,
        /// Its words.
        body: String,
    },
    /// How far the subscription is can't be looked at.
    #[error("looking how far the subscription is")]
    Progress(#[source] progress::Error),
    /// A look-up in Kafka died.
    #[error("a look-up in Kafka was cut off")]
    Cut,
}

#[derive(Deserialize)]
struct Deployments {
    deployments: Vec<KnownDeployment>,
}

#[derive(Deserialize)]
struct KnownDeployment {
    id: String,
    uri: Option<String>,
}

#[derive(Deserialize)]
struct Service {
    name: String,
    /// What begins goes to this one.
    deployment_id: String,
}

#[derive(Deserialize)]
struct Services {
    services: Vec<Service>,
}

#[derive(Deserialize)]
struct Clusters {
    clusters: Vec<Cluster>,
}

#[derive(Deserialize)]
struct Cluster {
    name: String,
    #[serde(default)]
    properties: Map<String, Value>,
}

#[derive(Deserialize)]
struct Subscriptions {
    subscriptions: Vec<Subscription>,
}

#[derive(Deserialize)]
struct Subscription {
    id: String,
    source: String,
    sink: String,
    #[serde(default)]
    options: Map<String, Value>,
}

#[derive(Deserialize)]
struct Answered {
    rows: [Paused; 1],
}

#[derive(Deserialize)]
struct Paused {
    paused: u64,
}

impl KnownDeployment {
    fn is_at(&self, uri: &str) -> bool {
        self.uri.as_deref().is_some_and(|known| known.trim_end_matches('/') == uri.trim_end_matches('/'))
    }
}

impl Registrar {
    /// Sets up the clients; connects to nothing yet.
    /// A subscription that stands still for longer than `stalled_after` while its topic grows is made anew.
    pub fn new(flags: &RestateFlags, stalled_after: Option<Duration>) -> Result<Self, Error> {
        let limits = Limits { connect: Duration::from_secs(2), whole: Duration::from_secs(20) };
        let token =
            flags.restate_admin_token_file.as_deref().map(Token::from_file).transpose().map_err(Error::Token)?;
        Ok(Self {
            client: client::build(limits).map_err(Error::Client)?,
            token,
            topics: std::sync::Arc::new(Topics::new(&flags.kafka, &flags.kafka_properties).map_err(Error::Topic)?),
            vigil: stalled_after.map(|patience| Vigil::new(flags, patience)).transpose()?,
            flags: flags.clone(),
        })
    }

    /// Makes what is missing; leaves alone what is right.
    pub async fn ensure(&self, deployment: Deployment) -> Result<(), Error> {
        let ensured = async {
            self.ensure_deployment(deployment).await?;
            self.ensure_cluster().await?;
            self.ensure_subscription().await
        };
        let done = ensured.await;
        if let (Err(_), Some(vigil)) = (&done, &self.vigil) {
            // While Kafka or Restate are away, nothing can go on.
            let mut seen = vigil.seen();
            seen.watch.forget_all();
            // What comes back may have lost something.
            seen.next_look = Instant::now();
        }
        done
    }

    async fn ensure_deployment(&self, deployment: Deployment) -> Result<(), Error> {
        let uri = self.flags.advertised_url.as_str();
        if deployment != Deployment::Anew {
            let Deployments { deployments } = self.get("/deployments").await?;
            let is_known = deployments.iter().any(|known| known.is_at(uri));
            if is_known && deployment == Deployment::IfMissing {
                return Ok(());
            }
            if is_known && let Some(newer) = self.newer(&deployments).await? {
                tracing::warn!(
                    uri,
                    newer,
                    "another deployment was registered after this one and keeps the work that begins; run \
                     `webhook-consumer register` with this --advertised-url to bring it back here"
                );
                return Ok(());
            }
        }
        self.send(Method::POST, "/deployments", Some(json!({ "uri": uri, "force": true }))).await?;
        tracing::info!(uri, "the deployment is registered with Restate");
        Ok(())
    }

    /// Where the work that begins goes to, if that is another deployment than this one, and answers.
    async fn newer<'a>(&self, deployments: &'a [KnownDeployment]) -> Result<Option<&'a str>, Error> {
        let Services { services } = self.get("/services").await?;
        let latest = services.iter().find(|service| service.name == SERVICE).map(|service| &service.deployment_id);
        let latest = deployments.iter().find(|known| Some(&known.id) == latest);
        let Some(latest) = latest.filter(|latest| !latest.is_at(self.flags.advertised_url.as_str())) else {
            return Ok(None);
        };
        let Some(uri) = latest.uri.as_deref() else { return Ok(None) };
        let health = self.client.get(format!("{}/health", uri.trim_end_matches('/'))).timeout(HEALTH_TIMEOUT);
        Ok(health.send().await.is_ok().then_some(uri))
    }

    async fn ensure_cluster(&self) -> Result<(), Error> {
        let mut properties = Map::new();
        properties.insert("bootstrap.servers".to_owned(), self.flags.kafka.clone().into());
        properties.insert("reconnect.backoff.ms".to_owned(), "50".into());
        properties.insert("reconnect.backoff.max.ms".to_owned(), "1000".into());
        if !self.flags.group_instance_id.is_empty() {
            // A named member that was away for longer than its session does not join again (docs/decisions.md).
            properties.insert("session.timeout.ms".to_owned(), SESSION_TIMEOUT_MS.into());
        }
        for Property { name, value } in &self.flags.kafka_properties {
            properties.insert(name.clone(), value.clone().into());
        }
        let known: Clusters = self.get("/kafka-clusters").await?;
        match known.clusters.iter().find(|cluster| cluster.name == CLUSTER) {
            // Restate may hide values such as passwords, so only where the brokers are is compared.
            Some(known) if known.properties.get("bootstrap.servers") == properties.get("bootstrap.servers") => Ok(()),
            Some(_) => {
                let body = json!({ "properties": properties });
                self.send(Method::PATCH, &format!("/kafka-clusters/{CLUSTER}"), Some(body)).await
            }
            None => {
                let body = json!({ "name": CLUSTER, "properties": properties });
                self.send(Method::POST, "/kafka-clusters", Some(body)).await
            }
        }
    }

    async fn ensure_subscription(&self) -> Result<(), Error> {
        let Some(topic_id) = self.topic_id().await? else {
            tracing::info!(topic = self.flags.topic, "the topic does not exist yet; the subscription waits for it");
            return Ok(());
        };
        let client_id = format!("everhook-{topic_id}");
        let source = format!("kafka://{CLUSTER}/{}", self.flags.topic);
        let known: Subscriptions = self.get("/subscriptions").await?;
        let stall = match &self.vigil {
            Some(vigil) if !known.subscriptions.is_empty() => vigil.look(&self.flags.topic).await,
            _ => None,
        };
        let mut right = false;
        for subscription in known.subscriptions.iter().filter(|s| s.source == source && s.sink == SINK) {
            let of_this_topic = subscription.options.get("client.id").and_then(Value::as_str) == Some(&client_id);
            if of_this_topic && !right && stall.is_none() {
                right = true;
                continue;
            }
            self.send(Method::DELETE, &format!("/subscriptions/{}", subscription.id), None).await?;
            match stall {
                Some((Stall { partition, position, .. }, members)) if of_this_topic && position.is_beyond() => {
                    tracing::warn!(
                        subscription.id,
                        partition,
                        committed = position.committed,
                        end = position.end,
                        members,
                        "the topic has lost records that the subscription had read; it was deleted, and is made anew: \
                         Restate would take new records for those"
                    );
                }
                Some((Stall { partition, position, for_so_long }, members)) if of_this_topic => tracing::warn!(
                    subscription.id,
                    partition,
                    committed = position.committed,
                    end = position.end,
                    members,
                    ?for_so_long,
                    "the subscription stood still while its topic grew; it was deleted, and is made anew"
                ),
                _ => tracing::warn!(subscription.id, "a subscription to another topic of this name was deleted"),
            }
        }
        if right {
            return Ok(());
        }
        let mut options = json!({
            "group.id": self.flags.group_id,
            "client.id": client_id,
            "auto.offset.reset": "earliest",
        });
        if !self.flags.group_instance_id.is_empty() {
            options["group.instance.id"] = self.flags.group_instance_id.clone().into();
        }
        let body = json!({ "source": source, "sink": SINK, "options": options });
        self.send(Method::POST, "/subscriptions", Some(body)).await?;
        tracing::info!(topic = self.flags.topic, topic_id, "Restate is subscribed to the topic");
        Ok(())
    }

    /// How far the subscription is in each partition of the topic.
    pub async fn positions(&self) -> Result<BTreeMap<i32, Position>, Error> {
        match &self.vigil {
            Some(vigil) => vigil.positions(&self.flags.topic).await,
            None => Ok(BTreeMap::new()),
        }
    }

    /// How many invocations Restate has paused.
    pub async fn paused(&self) -> Result<u64, Error> {
        let (method, path) = (Method::POST, "/query");
        let query = json!({ "query": "select count(*) as paused from sys_invocation where status = 'paused'" });
        let response = self.call(method.clone(), path, Some(query)).await?;
        let answer = response.json().await;
        let Answered { rows: [Paused { paused }] } =
            answer.map_err(|source| Error::Call { method, path: path.to_owned(), source })?;
        Ok(paused)
    }

    async fn topic_id(&self) -> Result<Option<String>, Error> {
        let (topics, topic) = (self.topics.clone(), self.flags.topic.clone());
        tokio::task::spawn_blocking(move || topics.id(&topic, TOPIC_TIMEOUT))
            .await
            .map_err(|_| Error::Cut)?
            .map_err(Error::Topic)
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let response = self.call(Method::GET, path, None).await?;
        response.json().await.map_err(|source| Error::Call { method: Method::GET, path: path.to_owned(), source })
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<(), Error> {
        self.call(method, path, body).await.map(drop)
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<reqwest::Response, Error> {
        let failed = |source| Error::Call { method: method.clone(), path: path.to_owned(), source };
        let base = self.flags.restate_admin_url.as_str().trim_end_matches('/');
        let request = self.client.request(method.clone(), format!("{base}{path}"));
        // Restate answers a query in a format of its own, if nobody wants JSON.
        let mut request = request.header(ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.text().await.map_err(failed)?;
        Err(Error::Refused { method, path: path.to_owned(), status, body })
    }
}

impl Vigil {
    fn new(flags: &RestateFlags, patience: Duration) -> Result<Self, Error> {
        let groups = Groups::new(&flags.kafka, &flags.kafka_properties, &flags.group_id).map_err(Error::Progress)?;
        let seen = LastSeen { watch: Watch::new(patience), next_look: Instant::now(), is_blind: false };
        Ok(Self { groups: std::sync::Arc::new(groups), seen: Mutex::new(seen), patience })
    }

    fn seen(&self) -> MutexGuard<'_, LastSeen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the subscription has stood still for too long, and how many members its group has, if Kafka says so.
    /// It need not be known for the rest of the registration, so a failure is told and no more.
    async fn look(&self, topic: &str) -> Option<(Stall, Option<usize>)> {
        if Instant::now() < self.seen().next_look {
            return None;
        }
        let positions = self.positions(topic).await;
        let stall = {
            let now = Instant::now();
            let mut seen = self.seen();
            seen.next_look = now + self.patience / 10;
            match positions {
                Ok(positions) => {
                    seen.is_blind = false;
                    seen.watch.look(&positions, now)?
                }
                Err(error) => {
                    if !seen.is_blind {
                        tracing::warn!(error = %Chain(&error), "how far the subscription is can't be seen");
                    }
                    seen.is_blind = true;
                    seen.watch.forget();
                    return None;
                }
            }
        };
        // The next one gets as long.
        self.seen().watch.forget();
        Some((stall, self.ask(|groups| groups.members(TOPIC_TIMEOUT)).await.ok()))
    }

    async fn positions(&self, topic: &str) -> Result<BTreeMap<i32, Position>, Error> {
        let topic = topic.to_owned();
        self.ask(move |groups| groups.positions(&topic, TOPIC_TIMEOUT)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Groups) -> Result<T, progress::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let groups = self.groups.clone();
        let asked = tokio::task::spawn_blocking(move || question(&groups)).await;
        asked.map_err(|_| Error::Cut)?.map_err(Error::Progress)
    }
}

#[cfg(test)]
mod tests;
