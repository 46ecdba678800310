//! The schema: migrations, and partitions ahead of time.

use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migration, Migrator};

use crate::Error;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// How many days ahead partitions exist.
pub const PARTITION_DAYS_AHEAD: i32 = 60;

/// What became of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrated {
    /// It has all the migrations of this program: so many.
    UpToDate(usize),
    /// A newer program has been here; this is the version of the first migration that this one does not know. It has
    /// all of this program's, since migrations are only ever added.
    Newer(i64),
}

/// Runs the migrations that the database lacks. A program that was rolled back finds a newer schema and leaves it alone.
///
/// # Errors
/// If one fails, or the database has an older one that this program does not know.
pub async fn migrate(pool: &PgPool) -> Result<Migrated, MigrateError> {
    let newest = MIGRATIONS.iter().map(|migration| migration.version).max();
    match MIGRATIONS.run(pool).await {
        Ok(()) => Ok(Migrated::UpToDate(MIGRATIONS.iter().count())),
        Err(MigrateError::VersionMissing(version)) if Some(version) > newest => Ok(Migrated::Newer(version)),
        Err(error) => Err(error),
    }
}

/// The embedded migrations in their order: the name of each file, and the SHA-384 of its bytes in hexadecimal digits.
#[must_use]
pub fn embedded() -> Vec<(String, String)> {
    let file = |migration: &Migration| format!("{}_{}.sql", migration.version, migration.description.replace(' ', "_"));
    let hash = |migration: &Migration| migration.checksum.iter().map(|byte| format!("{byte:02x}")).collect();
    MIGRATIONS.iter().map(|migration| (file(migration), hash(migration))).collect()
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
