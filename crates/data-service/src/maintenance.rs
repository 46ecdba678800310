//! Keeps partitions ahead of time.

use std::time::Duration;

use chassis::Lifecycle;
use chassis::error_chain::Chain;

use crate::app::App;

const EVERY: Duration = Duration::from_secs(3600);
const AFTER_A_FAILURE: Duration = Duration::from_secs(60);

/// Looks now and then every hour. A failure is told and tried again: whoever reads all partitions for long stands in the
/// way. Sixty days are left, and then the default partition takes the rows.
pub fn start(lifecycle: &Lifecycle, app: App) {
    let own = lifecycle.clone();
    lifecycle.spawn(async move {
        loop {
            let wait = match store::schema::ensure_partitions(&app.core.rare).await {
                Ok(made) => {
                    if made > 0 {
                        tracing::info!(made, "made partitions ahead of time");
                    }
                    EVERY
                }
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "partitions could not be made ahead of time");
                    AFTER_A_FAILURE
                }
            };
            if !own.sleep(wait).await {
                return;
            }
        }
    });
}
