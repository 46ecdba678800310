//! Makes connections: looks the name up, has the policy judge what was found, connects to that and to nothing else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use hyper::Uri;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;
use tower_service::Service;

use super::connection::{Connection, Facts};
use super::error::{Error, NoConnection};
use super::{Judged, Lookup, Policy, SetUp};
use crate::tls;

/// So long one address is tried alone before the next is tried beside it (RFC 8305).
const HEAD_START: Duration = Duration::from_millis(250);

#[derive(Clone)]
pub(super) struct Connector {
    policy: Policy,
    lookup: Arc<dyn Lookup>,
    tls: TlsConnector,
    limit: Duration,
}

impl Connector {
    /// `limit` is for all of it: look-up, connection, TLS.
    pub fn new(policy: Policy, lookup: Arc<dyn Lookup>, limit: Duration) -> Result<Self, SetUp> {
        let tls = TlsConnector::from(Arc::new(tls::config()?));
        Ok(Self { policy, lookup, tls, limit })
    }

    async fn connect(&self, uri: Uri) -> Result<Connection, Error> {
        let began = Instant::now();
        let deadline = tokio::time::Instant::now() + self.limit;
        let in_time = |error: io::Error| match error.kind() {
            io::ErrorKind::TimedOut => io::Error::other(format!("not done within {:?}", self.limit)),
            _ => error,
        };
        let is_https = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });

        // An address in the URL goes the same way as one that a name server has given.
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => {
                let found = timeout_at(deadline, self.lookup.addresses(host)).await.map_err(io::Error::from).flatten();
                found.map_err(|source| Error::Lookup { name: host.to_owned(), source: in_time(source) })?
            }
        };
        let judged = self.policy.judge(host, addresses)?;

        let (address, stream) = match timeout_at(deadline, reach(host, &judged, port)).await {
            Ok(reached) => reached?,
            Err(_) => return Err(Error::ConnectTimeout { addresses: judged.0, limit: self.limit }),
        };
        // Without it the last packet of a POST would wait for the receiver's delayed acknowledgement.
        stream.set_nodelay(true).map_err(|source| Error::connecting(address, source))?;
        let stream = match is_https {
            false => Either::Left(stream),
            true => {
                let handshake = async {
                    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
                    self.tls.connect(name, stream).await
                };
                let done = timeout_at(deadline, handshake).await.map_err(io::Error::from).flatten();
                Either::Right(done.map_err(|source| Error::handshake(address, in_time(source)))?)
            }
        };
        Ok(Connection::new(stream, Facts::new(address, began.elapsed())))
    }
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = NoConnection;
    type Future = BoxFuture<'static, Result<Connection, NoConnection>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoConnection>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let own = self.clone();
        Box::pin(async move { own.connect(uri).await.map_err(|error| NoConnection(Arc::new(error))) })
    }
}

/// The first connection that stands. The addresses are tried in their order; each begins when the one before it has
/// failed or has had its head start.
async fn reach(host: &str, addresses: &Judged, port: u16) -> Result<(IpAddr, TcpStream), Error> {
    let mut waiting = addresses.0.iter().copied();
    let mut under_way = FuturesUnordered::new();
    let mut failed = None;
    loop {
        if let Some(address) = waiting.next() {
            under_way.push(async move {
                let connected = TcpStream::connect(SocketAddr::new(address, port)).await;
                connected.map(|stream| (address, stream)).map_err(|source| Error::connecting(address, source))
            });
        }
        if under_way.is_empty() {
            let no_address = || Error::Lookup { name: host.to_owned(), source: io::ErrorKind::NotFound.into() };
            return Err(failed.unwrap_or_else(no_address));
        }
        tokio::select! {
            Some(done) = under_way.next() => match done {
                Ok(reached) => return Ok(reached),
                Err(error) => failed = Some(error),
            },
            () = tokio::time::sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
}
