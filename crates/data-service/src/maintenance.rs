//! Keeps partitions ahead of time.

use std::time::Duration;

use chassis::Lifecycle;
use chassis::error_chain::Chain;

use crate::app::App;

const EVERY: Duration = Duration::from_secs(3600);

/// Looks now and then every hour. A failure is told and tried again: sixty days are left, and then the default
/// partition takes the rows.
pub fn start(lifecycle: &Lifecycle, app: App) {
    let own = lifecycle.clone();
    lifecycle.spawn(async move {
        loop {
            match store::schema::ensure_partitions(&app.core.rare).await {
                Ok(0) => {}
                Ok(made) => tracing::info!(made, "made partitions ahead of time"),
                Err(error) => tracing::error!(error = %Chain(&error), "partitions could not be made ahead of time"),
            }
            if !own.sleep(EVERY).await {
                return;
            }
        }
    });
}
