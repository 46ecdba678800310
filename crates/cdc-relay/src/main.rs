//! PostgreSQL's write-ahead log to Kafka, in Sequin's message format.

use anyhow::Context as _;
use cdc_relay::flags::Flags;
use cdc_relay::report::{self, Report};
use chassis::{server, telemetry};
use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    // The library reports as an error of its own what we report in its context; a filter for it still wins.
    let filter = format!("pgwire_replication=off,{}", flags.service.log);
    telemetry::init(flags.service.log_format, &filter)?;
    flags.check().context("the configuration can't be used")?;
    flags.service.run(env!("CARGO_PKG_NAME"), flags.listen, &flags, async |lifecycle| {
        let report = Report::new();
        let (relay, watch) = flags.assemble(report.clone()).context("the configuration can't be used")?;
        let listener = server::bind(flags.listen)?;
        server::serve(lifecycle, listener, report::router(report));
        lifecycle.spawn_vital("slot watch", watch.run(lifecycle.clone()));
        lifecycle.spawn_vital("relay", relay.run(lifecycle.clone()));
        Ok(())
    })
}
