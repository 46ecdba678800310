//! The truth at delivery time, and the ledger: webhook-consumer's only door to the database.

mod app;
mod compose;
mod config;
mod internal;
mod keyring;
mod maintenance;
mod payload;

use anyhow::Context as _;
use chassis::{Lifecycle, lifecycle, server, telemetry};
use clap::Parser as _;

use config::{Command, Config, Migrate, Serve};

fn main() -> anyhow::Result<()> {
    match Config::parse().command {
        Command::Migrate(flags) => lifecycle::run(1, migrate(flags)),
        Command::Serve(flags) => {
            telemetry::init(flags.service.log_format, &flags.service.log).context("reading --log")?;
            flags.validate()?;
            if flags.service.check_config {
                return Ok(());
            }
            lifecycle::run(flags.service.threads, serve(flags))
        }
    }
}

async fn migrate(flags: Migrate) -> anyhow::Result<()> {
    telemetry::init(flags.log_format, "info").context("starting the log")?;
    let url = flags.database.url_with_password()?;
    let pool = store::connect(url.as_str(), 1, "data-service migrate", store::Durability::Durable)?;
    let migrations = store::schema::migrate(&pool).await.context("running the migrations")?;
    let partitions = store::schema::ensure_partitions(&pool).await?;
    tracing::info!(migrations, new_partitions = partitions, "the schema is up to date");
    Ok(())
}

async fn serve(flags: Serve) -> anyhow::Result<()> {
    tracing::info!(config = ?flags, "data-service starts");
    let lifecycle = Lifecycle::on_signals().context("installing signal handlers")?;
    let app = app::App::new(&flags, &lifecycle)?;
    let listener = server::bind(flags.listen).await?;
    maintenance::start(&lifecycle, app.clone());
    let router = app::router(app, &flags)?;
    server::serve(&lifecycle, listener, router);
    lifecycle.finish(flags.service.shutdown_timeout).await?;
    Ok(())
}
