//! The command line and the environment.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use chassis::egress::EgressFlags;
use chassis::flags::{Listen, ServiceFlags, duration, read_trimmed};
use chassis::telemetry::LogFormat;
use url::Url;

use crate::identity_key;

/// Delivers, durably.
#[derive(Debug, clap::Parser)]
#[command(version = chassis::version!())]
pub struct Config {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Serve Restate's invocations, and reconcile.
    Serve(Box<Serve>),
    /// Register with Restate: deployment, Kafka cluster, subscription. May be repeated; `serve` looks after it too.
    Register(Box<Register>),
}

/// Where Restate is and what it should know.
#[derive(Debug, Clone, clap::Args)]
pub struct RestateFlags {
    /// Restate's admin API.
    #[arg(long, env = "EVERHOOK_RESTATE_ADMIN_URL", default_value = "http://127.0.0.1:9070")]
    pub restate_admin_url: Url,
    /// A file with the token for Restate's admin API, if it asks for one.
    #[arg(long, env = "EVERHOOK_RESTATE_ADMIN_TOKEN_FILE")]
    pub restate_admin_token_file: Option<PathBuf>,
    /// Where Restate reaches this service.
    #[arg(long, env = "EVERHOOK_ADVERTISED_URL", default_value = "http://127.0.0.1:9080")]
    pub advertised_url: Url,
    /// Kafka's brokers as host:port, separated by commas, as this process and Restate reach them.
    #[arg(long, env = "EVERHOOK_KAFKA", default_value = "127.0.0.1:9092")]
    pub kafka: String,
    /// A property for Kafka clients, as name=value; may be repeated.
    #[arg(long = "kafka-property", env = "EVERHOOK_KAFKA_PROPERTIES", value_delimiter = ',', value_parser = property)]
    pub kafka_properties: Vec<Property>,
    /// The topic with the events.
    #[arg(long, env = "EVERHOOK_TOPIC", default_value = "webhook-events")]
    pub topic: String,
    /// Kafka's consumer group of the subscription.
    #[arg(long, env = "EVERHOOK_GROUP_ID", default_value = "everhook")]
    pub group_id: String,
    /// Kafka's static member id of the subscription: without it, a killed Restate waits 45 s. Leave it empty for a
    /// Restate of several nodes.
    #[arg(long, env = "EVERHOOK_GROUP_INSTANCE_ID", default_value = "everhook-restate")]
    pub group_instance_id: String,
}

/// Flags of `register`.
#[derive(Debug, clap::Args)]
pub struct Register {
    #[command(flatten)]
    pub restate: RestateFlags,
    /// How the log is written to stderr.
    #[arg(long, env = "EVERHOOK_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Check the configuration, say what is wrong with it, and end. Opens no secret and connects to nothing.
    #[arg(long)]
    pub check_config: bool,
}

/// On SIGTERM: the longest time-out that an endpoint may have (60 s), the wait for a slot in its rate before that, and so
/// long as a step tries to get a result recorded before the journal takes it (10 s).
const SHUTDOWN_TIMEOUT: &str = "75s";

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
#[command(mut_arg("shutdown_timeout", |arg| arg.default_value(SHUTDOWN_TIMEOUT)))]
pub struct Serve {
    /// Where Restate's invocations come in, over HTTP/2.
    #[arg(long, env = "EVERHOOK_LISTEN", default_value = "127.0.0.1:9080")]
    pub listen: Listen,
    /// Where to serve /metrics and /health: the other door is Restate's alone.
    #[arg(long, env = "EVERHOOK_METRICS_LISTEN", default_value = "127.0.0.1:3005")]
    pub metrics_listen: Listen,
    #[command(flatten)]
    pub restate: RestateFlags,
    /// Restate's ingress: overdue work is sent there.
    #[arg(long, env = "EVERHOOK_RESTATE_INGRESS_URL", default_value = "http://127.0.0.1:8080")]
    pub restate_ingress_url: Url,
    /// Restate's public key (publickeyv1_…): requests that it has not signed are refused.
    #[arg(long, env = "EVERHOOK_IDENTITY_KEY")]
    pub identity_key: Option<String>,
    /// A file with that public key, as Restate prints it or as PEM.
    #[arg(long, env = "EVERHOOK_IDENTITY_KEY_FILE")]
    pub identity_key_file: Option<PathBuf>,
    /// Take requests that nobody has signed. Only where nobody else can reach the port.
    #[arg(long, env = "EVERHOOK_OPEN")]
    pub open: bool,
    /// Where data-service is.
    #[arg(long, env = "EVERHOOK_DATA_SERVICE_URL", default_value = "http://127.0.0.1:3002")]
    pub data_service_url: Url,
    /// A file with the token for data-service.
    #[arg(long, env = "EVERHOOK_TOKEN_FILE")]
    pub token_file: PathBuf,
    /// How many POSTs of one event go side by side.
    #[arg(long, env = "EVERHOOK_WAVE", default_value_t = 64)]
    pub wave: usize,
    /// How often the reconciler looks for overdue work and at the registration.
    #[arg(long, env = "EVERHOOK_RECONCILE_EVERY", value_parser = duration, default_value = "5s")]
    pub reconcile_every: Duration,
    /// How often the next step of a job is asked for, which a resend waits for, too.
    #[arg(long, env = "EVERHOOK_JOBS_EVERY", value_parser = duration, default_value = "500ms")]
    pub jobs_every: Duration,
    /// Restate's subscription is made anew if its Kafka group commits nothing for so long although the topic grows.
    #[arg(long, env = "EVERHOOK_STALLED_AFTER", value_parser = duration, default_value = "60s")]
    pub stalled_after: Duration,
    /// How often it is looked how far the subscription is and what Restate has paused, for the metrics.
    #[arg(long, env = "EVERHOOK_OBSERVE_EVERY", value_parser = duration, default_value = "15s")]
    pub observe_every: Duration,
    #[command(flatten)]
    pub egress: EgressFlags,
    #[command(flatten)]
    pub service: ServiceFlags,
}

/// Twice Kafka's auto.commit.interval.ms.
const SHORTEST_STALL: Duration = Duration::from_secs(10);

impl Serve {
    /// Checks what clap can't.
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!(self.wave > 0, "--wave must be at least 1");
        ensure!(!self.reconcile_every.is_zero(), "--reconcile-every must be longer than nothing");
        ensure!(!self.jobs_every.is_zero(), "--jobs-every must be longer than nothing");
        ensure!(!self.observe_every.is_zero(), "--observe-every must be longer than nothing");
        ensure!(
            self.stalled_after >= SHORTEST_STALL,
            "--stalled-after must be at least 10s: Restate commits every 5 s how far it is"
        );
        let said = [self.identity_key.is_some(), self.identity_key_file.is_some(), self.open];
        ensure!(
            said.iter().filter(|said| **said).count() == 1,
            "give Restate's public key with --identity-key or --identity-key-file, or say --open if nobody else can \
             reach the port: one of the three"
        );
        Ok(())
    }

    /// Restate's public key as the SDK takes it; none if the door is open. Reads the key's file.
    pub fn identity_key(&self) -> anyhow::Result<Option<String>> {
        match &self.identity_key_file {
            Some(file) => {
                let text = read_trimmed(file).context("reading --identity-key-file")?;
                identity_key::parse(&text).map(Some).with_context(|| format!("reading {}", file.display()))
            }
            None => Ok(self.identity_key.clone()),
        }
    }
}

/// A property for Kafka clients. Its value may be a password, so it is not shown.
#[derive(Clone)]
pub struct Property {
    /// librdkafka's name.
    pub name: String,
    /// As librdkafka reads it.
    pub value: String,
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=***", self.name)
    }
}

fn property(text: &str) -> Result<Property, String> {
    let (name, value) = text.split_once('=').ok_or("write name=value")?;
    Ok(Property { name: name.to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn it_stops_later_than_the_longest_time_out_of_an_endpoint() {
        let words = ["webhook-consumer", "serve", "--open", "--token-file", "/nowhere"];
        match Config::try_parse_from(words).unwrap().command {
            Command::Serve(serve) => assert_eq!(serve.service.shutdown_timeout, Duration::from_secs(75)),
            Command::Register(_) => panic!("it was to serve"),
        }
    }

    #[test]
    fn a_property_s_value_is_not_shown() {
        let property = property("sasl.password=hush").unwrap();
        assert_eq!((property.value.as_str(), format!("{property:?}").as_str()), ("hush", "sasl.password=***"));
    }
}
