//! The schema: migrations, and partitions ahead of time.

use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};

use crate::Error;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// How many days ahead partitions exist.
pub const PARTITION_DAYS_AHEAD: i32 = 60;

/// Runs the migrations that the database lacks; answers how many it has then.
///
/// # Errors
/// If one fails, or the database has one that this program does not know.
pub async fn migrate(pool: &PgPool) -> Result<usize, MigrateError> {
    MIGRATIONS.run(pool).await?;
    Ok(MIGRATIONS.iter().count())
}

/// Makes the partitions that are missing between today and [`PARTITION_DAYS_AHEAD`]; answers how many it made.
///
/// # Errors
/// If the database refuses.
pub async fn ensure_partitions(pool: &PgPool) -> Result<i32, Error> {
    let made = sqlx::query_scalar!(r#"select ensure_partitions($1) as "made!""#, PARTITION_DAYS_AHEAD)
        .fetch_one(pool)
        .await
        .map_err(Error::doing("making partitions ahead of time"))?;
    Ok(made)
}
