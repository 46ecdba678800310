//! Delivers, durably: Restate's handlers, and the reconciler. Holds no database credentials and no signing secrets.

mod config;
mod counts;
mod deliver;
mod due;
mod handlers;
mod identity_key;
mod in_flight;
mod ledger_client;
mod observe;
mod position;
mod post;
mod progress;
mod reconciler;
mod registration;
mod server;
mod spans;
mod topic;
mod turns;

use anyhow::Context as _;
use chassis::{Lifecycle, lifecycle, telemetry};
use clap::Parser as _;

use config::{Command, Config, Register, Serve};
use registration::Registrar;

fn main() -> anyhow::Result<()> {
    match Config::parse().command {
        Command::Register(flags) => lifecycle::run(1, register(*flags)),
        Command::Serve(flags) => {
            telemetry::init(flags.service.log_format, &flags.service.log).context("reading --log")?;
            flags.validate()?;
            flags
                .service
                .run(env!("CARGO_PKG_NAME"), flags.listen, &flags, async |lifecycle| serve(&flags, lifecycle).await)
        }
    }
}

async fn register(flags: Register) -> anyhow::Result<()> {
    telemetry::init(flags.log_format, "info").context("starting the log")?;
    if flags.check_config {
        return Ok(());
    }
    let registrar = Registrar::new(&flags.restate, None)?;
    registrar.ensure(registration::Deployment::Anew).await.context("registering with Restate")?;
    tracing::info!("the deployment, the Kafka cluster and the subscription are registered");
    Ok(())
}

async fn serve(flags: &Serve, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    let ledger = ledger_client::LedgerClient::new(flags, lifecycle)?;
    let door = post::Door::new(flags.egress.policy()).context("setting up the door to the receivers")?;
    let deliverer = deliver::Deliverer::new(ledger.clone(), door, flags.wave);
    let endpoint = handlers::endpoint(deliverer, flags.identity_key()?.as_deref())?;
    let listener = chassis::server::take_over(flags.listen)?;
    server::serve(lifecycle, listener, endpoint);
    chassis::metrics::serve(lifecycle, flags.metrics_listen)?;
    reconciler::start(lifecycle, flags, ledger)?;
    Ok(())
}
