//! The door out against real sockets: receivers that misbehave in every way, and name servers that lie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod answers;
mod name_server;
mod reasons;
mod rebinding;
mod receiver;

use std::time::Duration;

use chassis::egress::{Door, EgressFlags, Exchange, Limits, Lookup, SystemLookup};

const LIMITS: Limits =
    Limits { connect: Duration::from_millis(800), body_bytes: 16 * 1024, body_time: Duration::from_millis(400) };

/// A door that opens to these networks, with and without TLS.
fn door(networks: &[&str], lookup: impl Lookup) -> Door {
    let allow_networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    Door::new(EgressFlags { allow_networks, allow_http: true }.policy(), LIMITS, lookup).unwrap()
}

/// A door that opens to this machine.
fn to_loopback() -> Door {
    door(&["127.0.0.0/8"], SystemLookup::default())
}

async fn post(door: &Door, url: &str) -> Exchange {
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    door.post(url, &headers, "{}".to_owned(), Duration::from_secs(1)).await
}
