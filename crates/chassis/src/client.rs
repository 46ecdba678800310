//! The one door out: HTTP clients with time-outs that follow no redirect. They are for URLs that the operator has given;
//! what strangers have given goes through [`crate::egress`].

use std::time::Duration;

use crate::tls;

/// A connection that was idle for so long is not used again: a server that stops closes what is idle for longer
/// ([`crate::connections`]), and a request that meets this would be lost.
pub const REUSED_WITHIN: Duration = Duration::from_secs(1);

/// Limits of a client.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a connection to stand.
    pub connect: Duration,
    /// For the whole request.
    pub whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), whole: Duration::from_secs(15) }
    }
}

/// A client could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUp {
    /// There are no settings for TLS.
    #[error(transparent)]
    Tls(#[from] tls::SetUp),
    /// The client refuses its settings.
    #[error("setting up HTTP")]
    Http(#[from] reqwest::Error),
}

/// A client with these limits. It verifies certificates by the system's trust store.
///
/// # Errors
/// If the trust store of the machine can't be read or is empty.
#[expect(clippy::disallowed_methods, reason = "this is the door that the others are sent to")]
pub fn build(limits: Limits) -> Result<reqwest::Client, SetUp> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::config()?)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(limits.connect)
        .timeout(limits.whole)
        .tcp_nodelay(true)
        .pool_max_idle_per_host(256)
        .pool_idle_timeout(REUSED_WITHIN)
        .no_proxy()
        .build()?;
    Ok(client)
}
