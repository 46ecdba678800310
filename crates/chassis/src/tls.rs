//! Whom this process trusts when it calls others over TLS.

use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;

/// The trust store of the machine can't be read or is empty, or the provider lacks something.
#[derive(Debug, thiserror::Error)]
#[error("setting up TLS")]
pub struct SetUp(#[from] rustls::Error);

/// The settings of every client: the system's trust store, HTTP/1.1. The store has more than a hundred certificates, so it is
/// read and parsed once in a process, not once for each client.
///
/// # Errors
/// [`SetUp`]; the next call tries again.
pub(crate) fn config() -> Result<ClientConfig, SetUp> {
    static SHARED: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(config) = SHARED.get() {
        return Ok(config.clone());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(SHARED.get_or_init(|| config).clone())
}
