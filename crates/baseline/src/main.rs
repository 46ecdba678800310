//! The old way: accepts payments, and sends their webhooks from memory.

use anyhow::Context as _;
use baseline::{Flags, Outbox, router};
use chassis::{server, telemetry};
use clap::Parser;
use payments_api::{Api, ensure_demo_merchant, forget_old_keys};
use store::Durability;

/// To look up endpoints while as many requests as may be hold connections of their own.
const SENDING_CONNECTIONS: u32 = 4;

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    telemetry::init(flags.service.log_format, &flags.service.log)?;
    flags.service.run(env!("CARGO_PKG_NAME"), flags.listen, &flags, async |lifecycle| {
        let url = flags.database.url_with_password()?;
        let connect = |connections| {
            store::connect(url.as_str(), connections, "baseline", Durability::Durable)
                .context("setting up the connections to the database")
        };
        let pool = connect(flags.database.database_connections)?;
        let outbox = Outbox::new(lifecycle, connect(SENDING_CONNECTIONS)?, flags.egress.policy())
            .context("setting up the door to the receivers")?;
        let listener = server::bind(flags.listen)?;
        if flags.demo_merchant {
            ensure_demo_merchant(lifecycle, &pool).await;
        }
        forget_old_keys(lifecycle, &pool);
        server::serve(lifecycle, listener, router(Api::new(pool, flags.demo_merchant), outbox));
        Ok(())
    })
}
