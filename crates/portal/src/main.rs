//! The operator's door: endpoints, and what became of every event.

use std::time::Duration;

use anyhow::Context as _;
use chassis::{Token, client, server, telemetry};
use clap::Parser;
use portal::{DataService, Flags, Portal, TokenKeys, router};
use store::{Durability, Statements};

/// Less than whoever asks the portal waits (15 s, where it is ours), so that they are told what is missing.
const DATA_SERVICE_ANSWERS_WITHIN: Duration = Duration::from_secs(10);

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    telemetry::init(flags.service.log_format, &flags.service.log)?;
    flags.service.run(env!("CARGO_PKG_NAME"), flags.listen, &flags, async |lifecycle| {
        let operator = Token::from_file(&flags.operator_token_file)?;
        let limits = client::Limits { whole: DATA_SERVICE_ANSWERS_WITHIN, ..client::Limits::default() };
        let client = client::build(limits).context("setting up the HTTP client")?;
        let token = Token::from_file(&flags.data_service_token_file)?;
        let data_service = DataService::new(client, &flags.data_service_url, token)?;
        let url = flags.database.url_with_password()?;
        let connect = |connections: u32, statements| {
            store::connect_for(statements, url.as_str(), connections.max(1), "portal", Durability::Durable)
                .context("setting up the connections to the database")
        };
        let for_lists = flags.database.database_connections / 2;
        let lists = connect(for_lists, Statements::Scans)?;
        let pool = connect(flags.database.database_connections.saturating_sub(for_lists), Statements::Any)?;
        let token_keys = TokenKeys::from_file(&flags.token_key_file)?;
        let portal = Portal { pool, lists, data_service, token_keys, egress: flags.egress.policy() };
        let listener = server::take_over(flags.listen)?;
        server::serve(lifecycle, listener, router(portal, operator));
        Ok(())
    })
}
