//! From a name to its addresses.

use std::io;
use std::net::IpAddr;

use futures_util::future::BoxFuture;

/// The addresses of a name, in the order in which they are tried.
pub type Addresses = BoxFuture<'static, io::Result<Vec<IpAddr>>>;

/// Who knows the addresses of names. It is asked anew for each connection.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses that the name has now.
    fn addresses(&self, name: &str) -> Addresses;
}

/// What the machine is set up for: its hosts file, its name servers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, name: &str) -> Addresses {
        let name = name.to_owned();
        Box::pin(async move {
            // The port is no part of the question.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}
