//! Asks a service on this machine for its health: what an image's health check runs, which has no shell and no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::StatusCode;

use crate::client::{self, Limits};
use crate::lifecycle;

/// An image's health check is given up after 5 s by default.
const LIMITS: Limits = Limits { connect: Duration::from_secs(2), whole: Duration::from_secs(4) };

/// The service is not well, or nobody answers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime could not be started.
    #[error("starting the runtime")]
    Runtime(#[from] std::io::Error),
    /// The client could not be set up.
    #[error("setting up the HTTP client")]
    Client(#[source] client::SetUp),
    /// No answer.
    #[error("nobody answers at {url}; is the service running, with the same --listen?")]
    Silent {
        /// What was asked.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Another answer than 200.
    #[error("{url} answered {status}")]
    Unwell {
        /// What was asked.
        url: String,
        /// Its answer.
        status: StatusCode,
    },
}

/// Asks `GET /health` of the service that listens at this address. Blocks for at most 4 s.
///
/// # Errors
/// If it does not answer 200.
pub fn ask(listen: SocketAddr) -> Result<(), Error> {
    let url = format!("http://{}/health", from_here(listen));
    lifecycle::run(1, async {
        let client = client::build(LIMITS).map_err(Error::Client)?;
        let response = client.get(&url).send().await.map_err(|source| Error::Silent { url: url.clone(), source })?;
        match response.status() {
            StatusCode::OK => Ok(()),
            status => Err(Error::Unwell { url: url.clone(), status }),
        }
    })
}

/// Where a process of this machine reaches one that may listen on every address.
fn from_here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    fn answers_once(status: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let read = stream.read(&mut [0; 1024]).unwrap();
            assert!(read > 0);
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        });
        address
    }

    #[test]
    fn a_service_is_well_only_if_it_answers_200() {
        ask(answers_once("200 OK")).unwrap();
        let error = ask(answers_once("503 Service Unavailable")).unwrap_err().to_string();
        assert!(error.ends_with("/health answered 503 Service Unavailable"), "{error}");
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = ask(free).unwrap_err().to_string();
        assert!(error.contains("is the service running"), "{error}");
    }

    #[test]
    fn a_service_on_every_address_is_asked_on_the_loopback() {
        for (listen, asked) in
            [("0.0.0.0:3001", "127.0.0.1:3001"), ("[::]:3001", "[::1]:3001"), ("10.1.2.3:4", "10.1.2.3:4")]
        {
            assert_eq!(from_here(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
