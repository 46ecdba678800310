//! The operator's door: endpoints, and what became of every event.

use anyhow::Context as _;
use chassis::{Lifecycle, Token, client, lifecycle, server, telemetry};
use clap::Parser;
use portal::{DataService, Flags, Portal, router};
use store::Durability;

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    telemetry::init(flags.service.log_format, &flags.service.log)?;
    if flags.service.only_checks(flags.listen)? {
        return Ok(());
    }
    tracing::info!(?flags, "starting");
    lifecycle::run(flags.service.threads, async {
        let lifecycle = Lifecycle::on_signals()?;
        let operator = Token::from_file(&flags.operator_token_file)?;
        let client = client::build(client::Limits::default()).context("setting up the HTTP client")?;
        let token = Token::from_file(&flags.data_service_token_file)?;
        let data_service = DataService::new(client, &flags.data_service_url, token)?;
        let url = flags.database.url_with_password()?;
        let pool = store::connect(url.as_str(), flags.database.database_connections, "portal", Durability::Durable)
            .context("setting up the connections to the database")?;
        let portal = Portal { pool, data_service, egress: flags.egress.policy() };
        let listener = server::bind(flags.listen).await?;
        server::serve(&lifecycle, listener, router(portal, operator));
        lifecycle.finish(flags.service.shutdown_timeout).await?;
        Ok(())
    })
}
