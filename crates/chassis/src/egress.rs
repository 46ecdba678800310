//! The door to receivers that strangers have named: nothing is sent to an address that is not public, unless the
//! operator has allowed its network, and nothing without TLS, unless the operator has allowed that.
//!
//! Invariant: a connection is made only to [`Judged`] addresses, after the look-up that named them. There is no second
//! look-up between the judgement and the connection, so that a name can't change its mind in between.

mod address;
mod connection;
mod connector;
mod door;
mod error;
mod lookup;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;
use url::{Host, Url};

pub use address::Rule;
pub use door::{Answer, Door, Exchange, Limits};
pub use error::Error;
pub use hyper::HeaderMap;
pub use lookup::{Addresses, Lookup, SystemLookup};

pub use crate::tls::SetUp;

/// Where webhooks may be sent to besides public addresses over https.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct EgressFlags {
    /// A network that webhooks may be sent to although it is not public, such as 10.1.0.0/16; may be repeated. Addresses
    /// of a cloud's metadata service are allowed only one by one (/32, /128).
    #[arg(long = "allow-network", env = "EVERHOOK_ALLOW_NETWORKS", value_delimiter = ',', value_parser = network)]
    pub allow_networks: Vec<IpNet>,
    /// Let webhooks be sent without TLS.
    #[arg(long, env = "EVERHOOK_ALLOW_HTTP")]
    pub allow_http: bool,
}

impl EgressFlags {
    /// What these flags allow.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy { networks: self.allow_networks.clone().into(), allow_http: self.allow_http }
    }
}

/// What may be sent where. The default is the strict one: public addresses, https.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    networks: Arc<[IpNet]>,
    allow_http: bool,
}

/// Addresses that a policy allows. Nothing else can be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged(Vec<IpAddr>);

/// Why nothing is sent to a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Neither http nor https.
    #[error("a URL for webhooks begins with https://, not with {scheme}:")]
    Scheme {
        /// As it is in the URL.
        scheme: String,
    },
    /// No TLS.
    #[error("a URL for webhooks begins with https://: without TLS anybody on the way can read them")]
    Http,
    /// A user name or a password.
    #[error("a URL for webhooks has no user name and no password")]
    UserInfo,
    /// No host.
    #[error("a URL for webhooks names a host")]
    NoHost,
    /// The host is neither an address nor a name that name servers know.
    #[error("{host} is no host name: it has letters, digits, hyphens and dots")]
    HostName {
        /// As it is in the URL.
        host: String,
    },
    /// The host is, or has, an address that nothing is sent to.
    #[error(
        "{} {rule}: nothing is sent there",
        if host.parse() == Ok(*address) { format!("{address} is") } else { format!("{host} is at {address},") }
    )]
    Address {
        /// As it is in the URL.
        host: String,
        /// The address.
        address: IpAddr,
        /// What the address is.
        rule: Rule,
    },
}

impl Policy {
    /// Judges what can be known without a look-up.
    ///
    /// # Errors
    /// Says what is refused.
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            "http" => return Err(Refused::Http),
            scheme => return Err(Refused::Scheme { scheme: scheme.to_owned() }),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::UserInfo);
        }
        let address = match url.host().ok_or(Refused::NoHost)? {
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
            // Whatever a look-up would say, this name means the machine itself.
            Host::Domain(name) if is_localhost(name) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Host::Domain("") => return Err(Refused::NoHost),
            Host::Domain(name) if is_host_name(name) => return Ok(()),
            // Browsers take it. No request can be written to it.
            Host::Domain(name) => return Err(Refused::HostName { host: name.to_owned() }),
        };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        self.judge(host, vec![address]).map(drop)
    }

    /// Judges the addresses of a host. One that is refused has all of them refused: a name that mixes them has no good
    /// reason to.
    ///
    /// # Errors
    /// Names the first that is refused.
    pub fn judge(&self, host: &str, addresses: Vec<IpAddr>) -> Result<Judged, Refused> {
        for &address in &addresses {
            let Some(rule) = Rule::of(address) else { continue };
            if !self.networks.iter().any(|network| allows(network, address, rule)) {
                return Err(Refused::Address { host: host.to_owned(), address, rule });
            }
        }
        Ok(Judged(addresses))
    }
}

/// Who allows a private network hardly thinks of the metadata service in it, which hands out credentials.
fn allows(network: &IpNet, address: IpAddr, rule: Rule) -> bool {
    network.contains(&address) && (rule != Rule::Metadata || network.prefix_len() == network.max_prefix_len())
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// Underscores are in use, whatever the standards say.
fn is_host_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// A network in CIDR notation; an address alone is a network of one.
fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map(|network| network.trunc()).map_err(|_| "write a network like 10.1.0.0/16 or fd12:3456::/32".to_owned())
}

#[cfg(test)]
mod spellings;
#[cfg(test)]
mod tests;
