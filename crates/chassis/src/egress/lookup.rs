//! From a name to its addresses.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

/// The addresses of a name, in the order in which they are tried.
pub type Addresses = BoxFuture<'static, io::Result<Vec<IpAddr>>>;

/// Who knows the addresses of names. It is asked anew for each connection.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses that the name has now.
    fn addresses(&self, name: &str) -> Addresses;
}

/// What the machine is set up for: its hosts file, its name servers.
#[derive(Debug, Clone)]
pub struct SystemLookup {
    look_up: fn(&str) -> io::Result<Vec<IpAddr>>,
    names: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// A look-up by the system holds a thread, for half a minute where no name server answers, and can't be called off. So a
/// name has this many turns, or a dead one would take the threads from all others. A look-up that works takes a
/// millisecond: nobody notices the queue.
const TURNS_OF_A_NAME: usize = 4;

/// From so many names on, those that are not under way are forgotten.
const MOST_NAMES: usize = 1_000;

impl Default for SystemLookup {
    fn default() -> Self {
        // The port is no part of the question.
        Self::by(|name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }
}

impl SystemLookup {
    fn by(look_up: fn(&str) -> io::Result<Vec<IpAddr>>) -> Self {
        Self { look_up, names: Arc::default() }
    }

    fn turns(&self, name: &str) -> Arc<Semaphore> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= MOST_NAMES {
            names.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        names.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(TURNS_OF_A_NAME))).clone()
    }
}

impl Lookup for SystemLookup {
    fn addresses(&self, name: &str) -> Addresses {
        let (look_up, turns, name) = (self.look_up, self.turns(name), name.to_owned());
        Box::pin(async move {
            let turn = turns.acquire_owned().await.map_err(io::Error::other)?;
            let looking_up = tokio::task::spawn_blocking(move || {
                let found = look_up(&name);
                // Only now: whoever waited for it may have given up long ago.
                drop(turn);
                found
            });
            looking_up.await.map_err(io::Error::other)?
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn dead_or_alive(name: &str) -> io::Result<Vec<IpAddr>> {
        if name == "dead.test" {
            std::thread::sleep(Duration::from_secs(2));
        }
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    }

    #[test]
    fn a_name_whose_name_server_is_dead_keeps_no_other_name_waiting() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(6).build().unwrap();
        runtime.block_on(async {
            let lookup = SystemLookup::by(dead_or_alive);
            for _ in 0..20 {
                let dead = tokio::time::timeout(Duration::from_millis(10), lookup.addresses("dead.test")).await;
                assert!(dead.is_err(), "{dead:?}");
            }
            let alive = tokio::time::timeout(Duration::from_secs(1), lookup.addresses("alive.test")).await;
            assert_eq!(alive.unwrap().unwrap(), [IpAddr::from(Ipv4Addr::LOCALHOST)]);
        });
        runtime.shutdown_background();
    }

    #[test]
    fn names_that_nobody_looks_up_any_more_are_forgotten() {
        let lookup = SystemLookup::default();
        let held = lookup.turns("0.test");
        for number in 1..3 * MOST_NAMES {
            drop(lookup.turns(&format!("{number}.test")));
        }
        assert!(lookup.names.lock().unwrap().len() <= MOST_NAMES);
        assert!(Arc::ptr_eq(&held, &lookup.turns("0.test")));
    }
}
