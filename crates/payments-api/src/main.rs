//! Accepts payments. Whatever it acknowledges is committed, and its event with it.

use anyhow::Context as _;
use axum::middleware::from_fn_with_state;
use chassis::places::{Places, admit};
use chassis::{server, telemetry};
use clap::Parser;
use payments_api::{Api, Flags, ensure_demo_merchant, forget_old_keys, router};
use store::Durability;

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    telemetry::init(flags.service.log_format, &flags.service.log)?;
    flags.service.run(env!("CARGO_PKG_NAME"), flags.listen, &flags, async |lifecycle| {
        let door = flags.door()?;
        let url = flags.database.url_with_password()?;
        let pool =
            store::connect(url.as_str(), flags.database.database_connections, "payments-api", Durability::Durable)
                .context("setting up the connections to the database")?;
        let listener = server::take_over(flags.listen)?;
        if flags.demo_merchant {
            ensure_demo_merchant(lifecycle, &pool).await;
        }
        forget_old_keys(lifecycle, &pool);
        let router = router(Api::new(pool, flags.demo_merchant).sampling(flags.trace_sample_ratio), door);
        let places = Places::new(flags.most_under_way);
        server::serve(lifecycle, listener, router.layer(from_fn_with_state(places, admit)));
        Ok(())
    })
}
