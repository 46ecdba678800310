//! Stands for all merchants of a test: receives webhooks, checks them, keeps the account, and has moods.

use std::sync::Arc;

use chassis::flags::{Listen, ServiceFlags};
use chassis::{server, telemetry};
use clap::Parser;
use merchant_simulator::{Simulator, router};

/// One process that stands for all merchants in tests: one account per endpoint.
///
/// It verifies each webhook's signature and timestamp, counts by webhook-id, and answers as its mood is.
/// Everything is in memory and open to whoever reaches the port: it is no part of a production.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Where to listen.
    #[arg(long, env = "EVERHOOK_LISTEN", default_value = "127.0.0.1:4001")]
    listen: Listen,
    #[command(flatten)]
    service: ServiceFlags,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    telemetry::init(flags.service.log_format, &flags.service.log)?;
    flags.service.run(env!("CARGO_PKG_NAME"), flags.listen, &flags, async |lifecycle| {
        let listener = server::bind(flags.listen)?;
        let simulator = Arc::new(Simulator::new(lifecycle.clone()));
        server::serve(lifecycle, listener, router(simulator));
        Ok(())
    })
}
