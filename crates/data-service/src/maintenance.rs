//! Keeps partitions ahead of time, drops those of days that are old, and deletes secrets that have expired.

use std::time::Duration;

use chassis::Lifecycle;
use chassis::error_chain::Chain;

use store::retention::Ages;

use crate::app::App;
use crate::retention::drop_old_days;

const EVERY: Duration = Duration::from_secs(3600);
const AFTER_A_FAILURE: Duration = Duration::from_secs(60);
const SECRETS_AT_ONCE: i64 = 1_000;

/// Looks now and then every hour. A failure is told and tried again: whoever reads all partitions for long stands in the
/// way. Sixty days are left, and then the default partition takes the rows; an expired secret signs nothing.
pub fn start(lifecycle: &Lifecycle, app: App, ages: Ages) {
    let own = lifecycle.clone();
    lifecycle.spawn(async move {
        loop {
            // What lies in a default partition gets one of its day, before old days are dropped.
            let partitions = make_partitions(&app).await;
            let days = drop_old_days(&app, ages).await;
            let secrets = delete_expired_secrets(&app).await;
            let wait = if partitions && days && secrets { EVERY } else { AFTER_A_FAILURE };
            if !own.sleep(wait).await {
                return;
            }
        }
    });
}

async fn make_partitions(app: &App) -> bool {
    match store::schema::ensure_partitions(&app.core.rare).await {
        Ok(made) => {
            if made > 0 {
                tracing::info!(made, "made partitions ahead of time");
            }
            true
        }
        Err(error) => {
            tracing::error!(error = %Chain(&error), "partitions could not be made ahead of time");
            false
        }
    }
}

/// Deletes the secrets that sign no more, a thousand at once; answers whether it could.
pub async fn delete_expired_secrets(app: &App) -> bool {
    loop {
        match store::secrets::delete_expired_secrets(&app.core.rare, SECRETS_AT_ONCE).await {
            Ok(0) => return true,
            Ok(deleted) => tracing::info!(deleted, "deleted signing secrets that had expired"),
            Err(error) => {
                tracing::error!(error = %Chain(&error), "expired signing secrets could not be deleted");
                return false;
            }
        }
    }
}
