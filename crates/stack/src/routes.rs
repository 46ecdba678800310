//! Which way the connections between processes take: straight to a door, or through a proxy that can disturb them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::by_name::by_name;
use crate::ports::{Door, Ports, free_port};

/// Connections of one kind: who connects where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Link {
    /// The load, to the API.
    LoadToPaymentsApi,
    /// payments-api, to the database.
    PaymentsApiToPostgres,
    /// data-service, to the database.
    DataServiceToPostgres,
    /// cdc-relay, to the database and its log.
    RelayToPostgres,
    /// cdc-relay, to the broker.
    RelayToKafka,
    /// Restate, to the broker; so does webhook-consumer when it looks after the subscription.
    RestateToKafka,
    /// Restate, to the handlers: to whichever webhook-consumer takes the connection.
    RestateToConsumers,
    /// webhook-consumer, to Restate's ingress.
    ConsumersToIngress,
    /// webhook-consumer, to Restate's admin API.
    ConsumersToAdmin,
    /// webhook-consumer, to data-service.
    ConsumersToDataService,
    /// webhook-consumer, to the merchants.
    ConsumersToMerchants,
}

impl Link {
    /// All of them, along the way of an event.
    pub const ALL: [Self; 11] = [
        Self::LoadToPaymentsApi,
        Self::PaymentsApiToPostgres,
        Self::DataServiceToPostgres,
        Self::RelayToPostgres,
        Self::RelayToKafka,
        Self::RestateToKafka,
        Self::RestateToConsumers,
        Self::ConsumersToIngress,
        Self::ConsumersToAdmin,
        Self::ConsumersToDataService,
        Self::ConsumersToMerchants,
    ];

    /// As it is written in a plan.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LoadToPaymentsApi => "load>payments-api",
            Self::PaymentsApiToPostgres => "payments-api>postgres",
            Self::DataServiceToPostgres => "data-service>postgres",
            Self::RelayToPostgres => "cdc-relay>postgres",
            Self::RelayToKafka => "cdc-relay>kafka",
            Self::RestateToKafka => "restate>kafka",
            Self::RestateToConsumers => "restate>webhook-consumer",
            Self::ConsumersToIngress => "webhook-consumer>restate-ingress",
            Self::ConsumersToAdmin => "webhook-consumer>restate-admin",
            Self::ConsumersToDataService => "webhook-consumer>data-service",
            Self::ConsumersToMerchants => "webhook-consumer>merchants",
        }
    }

    /// Where it leads to.
    #[must_use]
    pub fn door(self) -> Door {
        match self {
            Self::LoadToPaymentsApi => Door::PaymentsApi,
            Self::PaymentsApiToPostgres | Self::DataServiceToPostgres | Self::RelayToPostgres => Door::Postgres,
            Self::RelayToKafka | Self::RestateToKafka => Door::Kafka,
            Self::RestateToConsumers => Door::WebhookConsumer,
            Self::ConsumersToIngress => Door::RestateIngress,
            Self::ConsumersToAdmin => Door::RestateAdmin,
            Self::ConsumersToDataService => Door::DataService,
            Self::ConsumersToMerchants => Door::MerchantSimulator,
        }
    }
}

by_name!(Link, "link");

/// A way through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    /// Where the proxy listens.
    front: u16,
    /// Where the broker listens for this way alone, if it leads to the broker.
    listener: Option<u16>,
}

/// A listener of the broker that says of itself that it is elsewhere: whom it answers must come through the proxy again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// In its configuration.
    pub name: &'static str,
    /// Where it is.
    pub port: u16,
    /// Where it says that it is.
    pub advertised: u16,
}

/// The way of each link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes(BTreeMap<Link, Way>);

impl Routes {
    /// Every link through a proxy of its own, on free ports.
    ///
    /// # Errors
    /// If the machine has none left.
    pub fn through_proxies() -> anyhow::Result<Self> {
        let way = |link: Link| {
            let listener = if link.door() == Door::Kafka { Some(free_port()?) } else { None };
            anyhow::Ok((link, Way { front: free_port()?, listener }))
        };
        Ok(Self(Link::ALL.into_iter().map(way).collect::<Result<_, _>>()?))
    }

    /// The port of the proxy in front; none if the link is straight.
    #[must_use]
    pub fn front(&self, link: Link) -> Option<u16> {
        self.0.get(&link).map(|way| way.front)
    }

    /// The port that whoever uses the link connects to.
    #[must_use]
    pub fn port(&self, link: Link, ports: &Ports) -> u16 {
        self.front(link).unwrap_or_else(|| ports.of(link.door()))
    }

    /// The port that the proxy in front connects to.
    #[must_use]
    pub fn back(&self, link: Link, ports: &Ports) -> u16 {
        self.0.get(&link).and_then(|way| way.listener).unwrap_or_else(|| ports.of(link.door()))
    }

    /// The broker's further listeners.
    pub fn listeners(&self) -> impl Iterator<Item = Listener> {
        self.0.iter().filter_map(|(link, way)| {
            let name = if *link == Link::RelayToKafka { "RELAY" } else { "RESTATE" };
            Some(Listener { name, port: way.listener?, advertised: way.front })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_is_found_by_its_name() {
        assert!(Link::ALL.into_iter().all(|link| link.name().parse() == Ok(link)));
    }

    #[test]
    fn a_straight_link_leads_to_its_door_and_another_one_to_its_proxy() {
        let ports = Ports::documented(&[]);
        assert_eq!(Routes::default().port(Link::RelayToPostgres, &ports), 5432);
        let routes = Routes::through_proxies().unwrap();
        for link in Link::ALL {
            assert_eq!(Some(routes.port(link, &ports)), routes.front(link));
            assert_ne!(routes.port(link, &ports), routes.back(link, &ports), "{link:?}");
        }
        assert_eq!(routes.back(Link::RelayToPostgres, &ports), 5432);
        let listeners: Vec<_> = routes.listeners().map(|listener| (listener.name, listener.advertised)).collect();
        let front = |link| routes.front(link).unwrap();
        assert_eq!(
            listeners,
            [("RELAY", front(Link::RelayToKafka)), ("RESTATE", front(Link::RestateToKafka))],
            "the broker sends each back to its own proxy"
        );
    }
}
