//! Which port each door has: the documented ones, or free ones.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};

use crate::spans::{COLLECTOR, Tracing};

/// Something that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Door {
    /// PostgreSQL.
    Postgres,
    /// Kafka's clients.
    Kafka,
    /// Kafka's own metadata quorum.
    KafkaController,
    /// Restate's ingress.
    RestateIngress,
    /// Restate's admin API.
    RestateAdmin,
    /// Restate's own nodes.
    RestateNode,
    /// payments-api.
    PaymentsApi,
    /// data-service.
    DataService,
    /// portal.
    Portal,
    /// merchant-simulator.
    MerchantSimulator,
    /// webhook-consumer.
    WebhookConsumer,
    /// cdc-relay's health and metrics.
    CdcRelay,
    /// webhook-consumer's health and metrics.
    WebhookConsumerMetrics,
    /// The receiver of spans and metrics.
    Collector,
    /// The old way, which only a crash test starts.
    Baseline,
}

impl Door {
    /// Every door that `stack up` opens, in the order in which they are checked.
    pub const ALL: [Self; 14] = [
        Self::Postgres,
        Self::Kafka,
        Self::KafkaController,
        Self::RestateIngress,
        Self::RestateAdmin,
        Self::RestateNode,
        Self::PaymentsApi,
        Self::DataService,
        Self::Portal,
        Self::MerchantSimulator,
        Self::WebhookConsumer,
        Self::CdcRelay,
        Self::WebhookConsumerMetrics,
        Self::Collector,
    ];

    /// As in `--port NAME=N`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::KafkaController => "kafka-controller",
            Self::RestateIngress => "restate-ingress",
            Self::RestateAdmin => "restate-admin",
            Self::RestateNode => "restate-node",
            Self::PaymentsApi => "payments-api",
            Self::DataService => "data-service",
            Self::Portal => "portal",
            Self::MerchantSimulator => "merchant-simulator",
            Self::WebhookConsumer => "webhook-consumer",
            Self::CdcRelay => "cdc-relay",
            Self::WebhookConsumerMetrics => "webhook-consumer-metrics",
            Self::Collector => COLLECTOR,
            Self::Baseline => "baseline",
        }
    }

    fn documented(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::Kafka => 9092,
            Self::KafkaController => 9093,
            Self::RestateIngress => 8080,
            Self::RestateAdmin => 9070,
            Self::RestateNode => 5122,
            Self::PaymentsApi => 3001,
            Self::DataService => 3002,
            Self::Portal => 3003,
            Self::MerchantSimulator => 4001,
            Self::WebhookConsumer => 9080,
            Self::CdcRelay => 3004,
            Self::WebhookConsumerMetrics => 3005,
            Self::Collector => 4317,
            Self::Baseline => 3000,
        }
    }

    fn is_component(self) -> bool {
        self <= Self::RestateNode
    }
}

/// One port that the user chose: `NAME=N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    door: Door,
    port: u16,
}

impl std::str::FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Door::ALL.map(Door::name).join(", ");
        let (name, port) = text.split_once('=').ok_or("write NAME=PORT, for example postgres=5433")?;
        let door = Door::ALL.into_iter().find(|door| door.name() == name);
        let door = door.ok_or_else(|| format!("there is no {name}; there are {}", names()))?;
        match port.parse() {
            Ok(port) if port > 0 => Ok(Self { door, port }),
            _ => Err(format!("{port} is no port")),
        }
    }
}

/// A port for every door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports(BTreeMap<Door, u16>);

impl Ports {
    /// The documented ports, but for the user's choices.
    #[must_use]
    pub fn documented(choices: &[Choice]) -> Self {
        let mut ports: BTreeMap<Door, u16> = Door::ALL.into_iter().map(|door| (door, door.documented())).collect();
        ports.extend(choices.iter().map(|choice| (choice.door, choice.port)));
        Self(ports)
    }

    /// Ports that are free now.
    ///
    /// # Errors
    /// If the machine has none left.
    pub fn free() -> anyhow::Result<Self> {
        let doors = || Door::ALL.into_iter().chain([Door::Baseline]);
        Ok(Self(doors().zip(free_ports(doors().count())?).collect()))
    }

    /// The port of a door.
    #[must_use]
    pub fn of(&self, door: Door) -> u16 {
        self.0.get(&door).copied().unwrap_or_else(|| door.documented())
    }

    /// Checks that nothing listens on the components' ports, and on the services' unless `components_only`; on the port of the
    /// receiver of spans only if there is to be one.
    ///
    /// # Errors
    /// Names the first port that is taken, and the flag that chooses another.
    pub fn check_free(&self, components_only: bool, tracing: &Tracing) -> anyhow::Result<()> {
        let mut given = BTreeMap::new();
        let opens = |door: &Door| match door {
            Door::Collector => !components_only && *tracing == Tracing::Here,
            door => !components_only || door.is_component(),
        };
        for door in Door::ALL.into_iter().filter(opens) {
            let port = self.of(door);
            let name = door.name();
            if let Some(other) = given.insert(port, name) {
                bail!("port {port} is given to {other} and to {name}: choose another for one of them with --port");
            }
            match TcpListener::bind(("127.0.0.1", port)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
                    "port {port}, which {name} is to listen on, is in use: stop what listens there, or choose another \
                     with --port {name}={} (or EVERHOOK_PORTS={name}={})",
                    port.saturating_add(1),
                    port.saturating_add(1)
                ),
                Err(error) => {
                    return Err(error).with_context(|| {
                        format!("can't listen on port {port} for {name}; choose another with --port {name}=…")
                    });
                }
            }
        }
        Ok(())
    }
}

/// Ports of what has no door of its own, such as a second webhook-consumer: free ones, and the same after each restart,
/// since others remember them.
#[derive(Debug, Default)]
pub struct Further(Mutex<BTreeMap<String, u16>>);

impl Further {
    /// The port of that name.
    ///
    /// # Errors
    /// If the machine has none left.
    pub fn of(&self, name: &str) -> anyhow::Result<u16> {
        let mut ports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(port) = ports.get(name) {
            return Ok(*port);
        }
        let port = free_port()?;
        ports.insert(name.to_owned(), port);
        Ok(port)
    }
}

/// One more port that is free now.
///
/// # Errors
/// If the machine has none left.
pub fn free_port() -> anyhow::Result<u16> {
    free_ports(1)?.first().copied().context("no free port was found")
}

/// Free ports, all bound together so that none is given twice.
///
/// They are taken from below the range that the kernel gives to outgoing connections: a port from `bind(0)` may be
/// gone to some client before its server starts, and again while its server is restarted. Other launchers draw from the
/// same ones: each holds the UDP ports of the same numbers for as long as it lives, and takes none that is held.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    static RESERVED: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    let mut reserved = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut held = Vec::new();
    let mut ports = Vec::new();
    for _ in 0..10_000 {
        if ports.len() == count {
            return Ok(ports);
        }
        let port = rand::random_range(15_000..32_000);
        let udp = UdpSocket::bind(("127.0.0.1", port));
        if let (Ok(listener), Ok(udp)) = (TcpListener::bind(("127.0.0.1", port)), udp) {
            held.push(listener);
            reserved.push(udp);
            ports.push(port);
        }
    }
    bail!("no free port was found between 15000 and 32000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_free_and_all_different() {
        let ports = Ports::free().unwrap();
        let mut numbers: Vec<u16> = ports.0.values().copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), Door::ALL.len() + 1);
        ports.check_free(false, &Tracing::Here).unwrap();
    }

    #[test]
    fn a_port_that_was_drawn_is_drawn_by_nobody_else() {
        let port = free_port().unwrap();
        assert!(UdpSocket::bind(("127.0.0.1", port)).is_err());
        assert!(TcpListener::bind(("127.0.0.1", port)).is_ok());
    }

    #[test]
    fn what_has_no_door_keeps_its_port() {
        let further = Further::default();
        let second = further.of("webhook-consumer-2").unwrap();
        assert_ne!(further.of("webhook-consumer-3").unwrap(), second);
        assert_eq!(further.of("webhook-consumer-2").unwrap(), second);
    }

    #[test]
    fn a_taken_port_is_named_with_the_flag_that_changes_it() {
        let mut ports = Ports::free().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        ports.0.insert(Door::Portal, port);
        ports.check_free(true, &Tracing::Here).unwrap();
        let error = ports.check_free(false, &Tracing::Here).unwrap_err().to_string();
        assert!(error.starts_with(&format!("port {port}, which portal is to listen on, is in use")), "{error}");
        assert!(error.contains("--port portal="), "{error}");
    }

    #[test]
    fn a_port_for_two_doors_is_refused() {
        let mut ports = Ports::free().unwrap();
        ports.0.insert(Door::Portal, ports.of(Door::Kafka));
        let error = ports.check_free(false, &Tracing::Here).unwrap_err().to_string();
        assert!(error.contains("is given to kafka and to portal"), "{error}");
    }

    #[test]
    fn a_choice_names_a_door_and_a_port() {
        let choice: Choice = "postgres=5433".parse().unwrap();
        assert_eq!(Ports::documented(&[choice]).of(Door::Postgres), 5433);
        assert_eq!("postgres=0".parse::<Choice>(), Err("0 is no port".to_owned()));
        assert!("postgre=1".parse::<Choice>().unwrap_err().contains("there are postgres, kafka"));
    }

    #[test]
    fn the_port_of_the_receiver_of_spans_may_be_taken_where_it_is_not_needed() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ports = Ports::free().unwrap();
        ports.0.insert(Door::Collector, taken.local_addr().unwrap().port());
        let error = ports.check_free(false, &Tracing::Here).unwrap_err().to_string();
        assert!(error.contains("collector") && error.contains("--port collector="), "{error}");
        let elsewhere = Tracing::Elsewhere("http://127.0.0.1:4317".parse().unwrap());
        for tracing in [Tracing::Off, elsewhere] {
            ports.check_free(false, &tracing).unwrap();
        }
    }
}
