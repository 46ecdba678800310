//! Why a POST got no answer.

use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Refused;

/// The POST got no answer. Nothing here quotes the path or the query of the URL, which may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL or a header can't be sent at all.
    #[error("{0}")]
    Request(String),
    /// The policy refuses the URL or an address.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The name has no address that could be learned.
    #[error("{name} has no address")]
    Lookup {
        /// The name.
        name: String,
        /// What the look-up said.
        source: io::Error,
    },
    /// Somebody there refused the connection.
    #[error("{address} refuses the connection")]
    ConnectRefused {
        /// The last that was tried.
        address: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// There was no connection in time.
    #[error("{} gave no connection within {}", list(addresses), humantime::format_duration(*limit))]
    ConnectTimeout {
        /// All that were tried, or would have been.
        addresses: Vec<IpAddr>,
        /// The time that it had.
        limit: Duration,
    },
    /// No connection, for another reason: no route, for example.
    #[error("{address} can't be reached")]
    Connect {
        /// The last that was tried.
        address: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate is not one to trust.
    #[error("the certificate of {address} is not trusted")]
    Certificate {
        /// Who showed it.
        address: IpAddr,
        /// What is wrong with it.
        source: io::Error,
    },
    /// No TLS session, for another reason.
    #[error("there is no TLS with {address}")]
    Tls {
        /// Who answered.
        address: IpAddr,
        /// What is wrong.
        source: io::Error,
    },
    /// No answer in time, over all.
    #[error("no answer within {}", humantime::format_duration(*limit))]
    Timeout {
        /// The time that it had.
        limit: Duration,
    },
    /// What came is no HTTP.
    #[error("the answer is not HTTP/1.1")]
    Protocol(#[source] Box<dyn StdError + Send + Sync>),
    /// The connection broke before the answer.
    #[error("the connection broke before the answer")]
    Broken(#[source] Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// The address that it is about, if it got as far as that.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::ConnectRefused { address, .. }
            | Self::Connect { address, .. }
            | Self::Certificate { address, .. }
            | Self::Tls { address, .. }
            | Self::Refused(Refused::Address { address, .. }) => Some(*address),
            Self::ConnectTimeout { addresses, .. } => addresses.first().copied(),
            Self::Request(_)
            | Self::Refused(_)
            | Self::Lookup { .. }
            | Self::Timeout { .. }
            | Self::Protocol(_)
            | Self::Broken(_) => None,
        }
    }

    /// A connection to the address that did not come to stand.
    pub(super) fn connecting(address: IpAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::ConnectionRefused => Self::ConnectRefused { address, source },
            _ => Self::Connect { address, source },
        }
    }

    /// A handshake that failed.
    pub(super) fn handshake(address: IpAddr, source: io::Error) -> Self {
        let cause = source.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        match cause {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                Self::Certificate { address, source }
            }
            _ => Self::Tls { address, source },
        }
    }

    /// What the HTTP client says; `address` is the connection's, if there was one.
    pub(super) fn exchange(error: hyper_util::client::legacy::Error, address: Option<IpAddr>) -> Arc<Self> {
        if let Some(NoConnection(error)) = cause(&error) {
            return error.clone();
        }
        // With TLS 1.3 a server can refuse a client after the handshake.
        let alert = cause::<io::Error>(&error).and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref());
        if let (Some(address), Some(alert)) = (address, alert) {
            return Arc::new(Self::Tls { address, source: io::Error::other(rustls::Error::clone(alert)) });
        }
        let is_protocol = cause::<hyper::Error>(&error).is_some_and(hyper::Error::is_parse);
        Arc::new(if is_protocol { Self::Protocol(error.into()) } else { Self::Broken(error.into()) })
    }
}

/// What the connector says, in a form in which it can be taken out of the client's error.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub(super) struct NoConnection(pub Arc<Error>);

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

/// The first of the error's causes that is a `T`.
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
