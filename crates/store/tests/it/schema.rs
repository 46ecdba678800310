//! The migrations: all of them are in the program, and a newer schema is left alone.

use sqlx::PgPool;
use sqlx::migrate::MigrateError;
use store::schema::{Migrated, embedded, migrate};

const APPLIED: &str = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
    values ($1, 'of another program', true, '\\x00', 0)";

#[sqlx::test(migrations = "../../migrations")]
async fn a_program_that_was_rolled_back_leaves_a_newer_schema_alone(pool: PgPool) {
    assert_eq!(migrate(&pool).await.unwrap(), Migrated::UpToDate(embedded().len()));
    sqlx::query(APPLIED).bind(99_990_101_000_000_i64).execute(&pool).await.unwrap();
    assert_eq!(migrate(&pool).await.unwrap(), Migrated::Newer(99_990_101_000_000));
    sqlx::query(APPLIED).bind(20_000_101_000_000_i64).execute(&pool).await.unwrap();
    let error = migrate(&pool).await.unwrap_err();
    assert!(matches!(error, MigrateError::VersionMissing(20_000_101_000_000)), "{error}");
}

#[test]
fn every_migration_of_the_repository_is_embedded() {
    let folder = std::fs::read_dir("../../migrations").unwrap();
    let mut files: Vec<String> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let embedded: Vec<String> = embedded().into_iter().map(|(file, _)| file).collect();
    assert_eq!(embedded, files);
}
