//! The truth at delivery time, and the ledger: webhook-consumer's only door to the database.

use std::io::Write as _;

use anyhow::Context as _;
use chassis::{Lifecycle, Token, lifecycle, server, telemetry};
use clap::Parser as _;

use data_service::config::{Command, Config, Migrate, Serve};
use data_service::{app, maintenance, observe};
use store::schema::Migrated;

fn main() -> anyhow::Result<()> {
    match Config::parse().command {
        Command::Migrate(flags) => lifecycle::run(1, migrate(flags)),
        Command::Migrations => list_migrations(),
        Command::Serve(flags) => {
            telemetry::init(flags.service.log_format, &flags.service.log).context("reading --log")?;
            flags.validate()?;
            flags
                .service
                .run(env!("CARGO_PKG_NAME"), flags.listen, &flags, async |lifecycle| serve(&flags, lifecycle).await)
        }
    }
}

fn list_migrations() -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    for (file, hash) in store::schema::embedded() {
        writeln!(stdout, "{file} {hash}").context("writing to stdout")?;
    }
    Ok(())
}

async fn migrate(flags: Migrate) -> anyhow::Result<()> {
    telemetry::init(flags.log_format, "info").context("starting the log")?;
    if flags.check_config {
        return Ok(());
    }
    let url = flags.database.url_with_password()?;
    let pool = store::connect(url.as_str(), 1, "data-service migrate", store::Durability::Durable)?;
    match store::schema::migrate(&pool).await.context("running the migrations")? {
        Migrated::UpToDate(migrations) => tracing::info!(migrations, "the schema is up to date"),
        Migrated::Newer(version) => tracing::warn!(version, "the schema is newer than this program, and left as it is"),
    }
    let partitions = store::schema::ensure_partitions(&pool).await?;
    tracing::info!(new_partitions = partitions, "the partitions of the next days are there");
    Ok(())
}

async fn serve(flags: &Serve, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    let app = app::App::new(flags, lifecycle)?;
    let listener = server::take_over(flags.listen)?;
    maintenance::start(lifecycle, app.clone(), flags.ages());
    observe::start(lifecycle, app.pool_for_scans(), flags.pace());
    let consumer = Token::from_file(&flags.token_file).context("reading --token-file")?;
    let portal = Token::from_file(&flags.portal_token_file).context("reading --portal-token-file")?;
    let router = app::router(app, consumer, portal);
    server::serve(lifecycle, listener, router);
    Ok(())
}
