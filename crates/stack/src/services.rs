//! Our services: which binary, which flags, where it says that it is well.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{bail, ensure};
use rustix::process::Signal;

use crate::folder::Folder;
use crate::ports::{Door, Further, Ports};
use crate::postgres::roles::{self, Login};
use crate::postgres::{BASELINE_DATABASE, DATABASE};
use crate::process::Spec;
use crate::ready::Ready;
use crate::routes::{Link, Routes};
use crate::secrets::Secrets;
use crate::spans::{COLLECTOR, METRICS, SPANS, Tracing};

/// The services of one stack.
#[derive(Debug, Clone)]
pub struct Services<'a> {
    /// The folder with the binaries.
    pub binaries: &'a Path,
    /// The data folder.
    pub folder: &'a Folder,
    /// Where everything listens.
    pub ports: &'a Ports,
    /// Where further webhook-consumers listen.
    pub further: &'a Further,
    /// Which ways lead through a proxy.
    pub routes: &'a Routes,
    /// Passwords, tokens, keys.
    pub secrets: &'a Secrets,
    /// Environment variables, over the defaults.
    pub settings: &'a [(String, String)],
    /// Where their spans go.
    pub tracing: Tracing,
}

/// Opens data-service to webhook-consumer.
const CONSUMER_TOKEN: &str = "data-service-token";
/// Opens data-service to the portal.
const PORTAL_TOKEN: &str = "data-service-portal-token";
/// The name of the token that opens the portal to its operator.
pub const OPERATOR_TOKEN: &str = "operator-token";

/// The topic between cdc-relay and webhook-consumer.
const TOPIC: &str = "webhook-events";

/// The old way, which is no part of a stack: a crash test starts it beside.
pub const BASELINE: &str = "baseline";

/// Every binary, so that a missing one is noticed before anything starts.
const SERVICES: [&str; 6] =
    ["payments-api", "data-service", "portal", "merchant-simulator", "webhook-consumer", "cdc-relay"];

/// Checks that the folder holds every service.
///
/// # Errors
/// Names the first that is missing.
pub fn check(binaries: &Path) -> anyhow::Result<()> {
    SERVICES.into_iter().try_for_each(|name| check_one(binaries, name))
}

/// Checks that the folder holds one program.
///
/// # Errors
/// If it does not.
pub fn check_one(binaries: &Path, name: &str) -> anyhow::Result<()> {
    ensure!(
        binaries.join(name).is_file(),
        "{name} is not in {}: build it with cargo build, or name the folder that holds it with EVERHOOK_BIN_DIR",
        binaries.display()
    );
    Ok(())
}

/// The door of a service that takes its socket over from the process before: requests wait there for the next one.
#[must_use]
pub fn lasting_door(name: &str) -> Option<Door> {
    match name {
        "payments-api" => Some(Door::PaymentsApi),
        "data-service" => Some(Door::DataService),
        "portal" => Some(Door::Portal),
        "webhook-consumer" => Some(Door::WebhookConsumer),
        _ => None,
    }
}

/// Whether a service brings events to their merchants. Each of these has a share of full cores of its own: what comes in
/// does not starve what goes out.
fn delivers(binary: &str) -> bool {
    matches!(binary, "cdc-relay" | "data-service" | "webhook-consumer")
}

impl Services<'_> {
    /// The services that a stack starts, in no order: each waits for what it needs.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        SERVICES.to_vec()
    }

    /// The migrations of a database, run by the superuser.
    ///
    /// # Errors
    /// If the superuser's password can't be written.
    pub fn migrate(&self, database: &str) -> anyhow::Result<Spec> {
        let port = self.ports.of(Door::Postgres);
        let arguments = self.database_named(database, Arguments::default().word("migrate"), &roles::SUPERUSER, port)?;
        Ok(Spec { log: self.folder.log("migrate"), ..self.spec("data-service migrate", "data-service", arguments) })
    }

    /// How to start a service, and how to know that it can be used. `webhook-consumer-2` and the like
    /// are further webhook-consumers, on free ports.
    ///
    /// # Errors
    /// If there is no such service, or a secret can't be written.
    pub fn service(&self, name: &str) -> anyhow::Result<(Spec, Ready)> {
        let port = |door| anyhow::Ok(self.ports.of(door));
        let (binary, port, arguments) = match name {
            "payments-api" => (name, port(Door::PaymentsApi)?, self.payments_api()?),
            "data-service" => (name, port(Door::DataService)?, self.data_service()?),
            "portal" => (name, port(Door::Portal)?, self.portal()?),
            "merchant-simulator" => (name, port(Door::MerchantSimulator)?, Arguments::default()),
            "webhook-consumer" => {
                let (port, metrics) = (port(Door::WebhookConsumer)?, port(Door::WebhookConsumerMetrics)?);
                (name, port, self.webhook_consumer(port, metrics)?)
            }
            further if further.starts_with("webhook-consumer-") => {
                let (port, metrics) = (self.further.of(further)?, self.further.of(&format!("{further}-metrics"))?);
                ("webhook-consumer", port, self.webhook_consumer(port, metrics)?)
            }
            "cdc-relay" => (name, port(Door::CdcRelay)?, self.cdc_relay()?),
            BASELINE => (name, port(Door::Baseline)?, self.baseline()?),
            COLLECTOR => ("stack", port(Door::Collector)?, self.collector()),
            _ => bail!("there is no service {name}"),
        };
        let listen = format!("127.0.0.1:{port}");
        let arguments = match self.tracing.endpoint(self.ports) {
            Some(endpoint) if name != COLLECTOR => {
                arguments.flag("--otlp-endpoint", endpoint).flag("--span-spool", self.folder.of("spans"))
            }
            _ => arguments,
        };
        let arguments = arguments.flag("--listen", &listen);
        let ready = match name {
            "webhook-consumer" => {
                Ready::Handlers { port, advertised: self.advertised(port), admin: self.url(Door::RestateAdmin) }
            }
            // It registers itself only when it is elected.
            further if further.starts_with("webhook-consumer-") => Ready::Http2(port),
            COLLECTOR => Ready::Http2(port),
            "cdc-relay" => Ready::Streaming(format!("http://{listen}/status")),
            _ => Ready::Http(vec![format!("http://{listen}/health")]),
        };
        Ok((self.spec(name, binary, arguments), ready))
    }

    fn payments_api(&self) -> anyhow::Result<Arguments> {
        let port = self.port(Link::PaymentsApiToPostgres);
        let arguments = self.database(Arguments::default(), &roles::PAYMENTS_API, port)?;
        Ok(arguments.word("--open").word("--demo-merchant"))
    }

    fn data_service(&self) -> anyhow::Result<Arguments> {
        Ok(self
            .database(Arguments::default().word("serve"), &roles::DATA_SERVICE, self.port(Link::DataServiceToPostgres))?
            .flag("--token-file", self.secrets.file(CONSUMER_TOKEN)?)
            .flag("--portal-token-file", self.secrets.file(PORTAL_TOKEN)?)
            .flag("--key-file", self.secrets.key_file("endpoint-secrets-key")?))
    }

    fn portal(&self) -> anyhow::Result<Arguments> {
        Ok(self
            .database(Arguments::default(), &roles::PORTAL, self.ports.of(Door::Postgres))?
            .flag("--operator-token-file", self.secrets.file(OPERATOR_TOKEN)?)
            .flag("--token-key-file", self.secrets.key_file("portal-token-key")?)
            .flag("--data-service-url", self.url(Door::DataService))
            .flag("--data-service-token-file", self.secrets.file(PORTAL_TOKEN)?)
            .reaching_loopback())
    }

    fn webhook_consumer(&self, port: u16, metrics: u16) -> anyhow::Result<Arguments> {
        let (_, identity_key) = self.secrets.identity_key()?;
        Ok(Arguments::default()
            .word("serve")
            .flag("--metrics-listen", format!("127.0.0.1:{metrics}"))
            .flag("--data-service-url", self.by(Link::ConsumersToDataService))
            .flag("--token-file", self.secrets.file(CONSUMER_TOKEN)?)
            .flag("--restate-admin-url", self.by(Link::ConsumersToAdmin))
            .flag("--restate-ingress-url", self.by(Link::ConsumersToIngress))
            .flag("--identity-key", identity_key)
            .flag("--kafka", self.kafka(Link::RestateToKafka))
            .flag("--topic", TOPIC)
            .flag("--advertised-url", format!("http://127.0.0.1:{}", self.advertised(port)))
            // So short that a start does not wait for the look after the one that found no topic yet.
            .flag("--reconcile-every", "1s")
            .reaching_loopback())
    }

    fn cdc_relay(&self) -> anyhow::Result<Arguments> {
        let port = self.port(Link::RelayToPostgres);
        let arguments = self.database(Arguments::default(), &roles::CDC_RELAY, port)?;
        Ok(arguments.flag("--kafka", self.kafka(Link::RelayToKafka)).flag("--topic", TOPIC))
    }

    fn baseline(&self) -> anyhow::Result<Arguments> {
        let port = self.ports.of(Door::Postgres);
        let database = self.database_named(BASELINE_DATABASE, Arguments::default(), &roles::BASELINE, port)?;
        Ok(database.word("--demo-merchant").reaching_loopback())
    }

    fn collector(&self) -> Arguments {
        let logs = self.folder.logs();
        let arguments = Arguments::default().word("collect").flag("--file", logs.join(SPANS));
        arguments.flag("--metrics-file", logs.join(METRICS))
    }

    fn database(&self, arguments: Arguments, login: &Login, port: u16) -> anyhow::Result<Arguments> {
        self.database_named(DATABASE, arguments, login, port)
    }

    fn database_named(&self, name: &str, arguments: Arguments, login: &Login, port: u16) -> anyhow::Result<Arguments> {
        Ok(arguments
            .flag("--database-url", format!("postgres://{}@127.0.0.1:{port}/{name}", login.role))
            .flag("--database-password-file", self.secrets.file(&login.secret())?))
    }

    fn url(&self, door: Door) -> String {
        format!("http://127.0.0.1:{}", self.ports.of(door))
    }

    /// The URL at the end of a link.
    fn by(&self, link: Link) -> String {
        format!("http://127.0.0.1:{}", self.port(link))
    }

    fn kafka(&self, link: Link) -> String {
        format!("127.0.0.1:{}", self.port(link))
    }

    fn port(&self, link: Link) -> u16 {
        self.routes.port(link, self.ports)
    }

    /// Where Restate reaches the handlers that listen on this port. A proxy in front stands for all of them.
    fn advertised(&self, port: u16) -> u16 {
        self.routes.front(Link::RestateToConsumers).unwrap_or(port)
    }

    fn spec(&self, name: &str, binary: &str, arguments: Arguments) -> Spec {
        // Of the launcher's variables named EVERHOOK_…, these two are meant for the services too.
        let passed_on = ["EVERHOOK_LOG", "EVERHOOK_LOG_FORMAT"];
        let set = passed_on.into_iter().filter_map(|name| Some((name.to_owned(), std::env::var_os(name)?)));
        Spec {
            name: name.to_owned(),
            program: self.binaries.join(binary),
            arguments: arguments.0,
            environment: set.chain(self.settings.iter().map(|(name, value)| (name.clone(), value.into()))).collect(),
            directory: self.folder.root().to_owned(),
            log: self.folder.log(name),
            user: None,
            stop_signal: Signal::TERM,
            socket: None,
            own_session: delivers(binary),
        }
    }
}

/// A command line under construction.
#[derive(Debug, Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn word(mut self, word: &str) -> Self {
        self.0.push(word.into());
        self
    }

    fn flag(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.0.extend([name.into(), value.into()]);
        self
    }

    /// The receivers are on this machine, and without TLS.
    fn reaching_loopback(self) -> Self {
        self.flag("--allow-network", "127.0.0.0/8").flag("--allow-network", "::1").word("--allow-http")
    }
}
