//! The command line.

use chassis::database::DatabaseFlags;
use chassis::egress::EgressFlags;
use chassis::flags::{Listen, ServiceFlags};
use clap::Parser;

/// The old way, for comparison: accepts payments, then sends their webhooks from memory.
///
/// Whoever reaches the port may make payments and endpoints, and endpoints' secrets are stored in clear: it is no part
/// of a production. Give it a database of its own, or the new way delivers its events, too.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Flags {
    /// Where to listen.
    #[arg(long, env = "EVERHOOK_LISTEN", default_value = "127.0.0.1:3000")]
    pub listen: Listen,
    /// Make a merchant named "Demo merchant", and take payments that name no merchant for it.
    #[arg(long, env = "EVERHOOK_DEMO_MERCHANT")]
    pub demo_merchant: bool,
    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseFlags,
    /// Where webhooks may be sent to.
    #[command(flatten)]
    pub egress: EgressFlags,
    /// What every service takes.
    #[command(flatten)]
    pub service: ServiceFlags,
}
