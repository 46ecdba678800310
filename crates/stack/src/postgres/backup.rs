//! Copies of PostgreSQL's data folder. The packages that are fetched hold no pg_basebackup, so this does what it does.

use std::fs::{DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, ensure};
use sqlx::postgres::PgConnection;

use crate::process::user::User;

/// What a copy leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Everything is copied.
    Nothing,
    /// What pg_basebackup leaves out, and the log, which is copied when all else is.
    AsInABackup,
}

/// Folders that a backup holds empty: what is in them means something to the running server alone. Among them are the
/// replication slots, whose promise to keep the log nobody can keep for a copy.
const EMPTY: [&str; 7] =
    ["pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"];
/// Files of the running server.
const OMITTED: [&str; 3] = ["postmaster.pid", "postmaster.opts", "pg_internal.init"];

/// Takes a base backup of the server that runs in `data`, with the log that it needs.
///
/// # Errors
/// If the server refuses, or a file can't be copied.
pub async fn take(connection: &mut PgConnection, data: &Path, to: &Path) -> anyhow::Result<()> {
    sqlx::query("select pg_backup_start('everhook', true)")
        .execute(&mut *connection)
        .await
        .context("can't begin a backup")?;
    copy(data, to, None, Left::AsInABackup)?;
    let (label,): (String,) = sqlx::query_as("select labelfile from pg_backup_stop(false)")
        .fetch_one(connection)
        .await
        .context("can't end a backup")?;
    std::fs::write(to.join("backup_label"), label).context("can't write the backup's label")?;
    // The log is complete only now.
    copy(&data.join("pg_wal"), &to.join("pg_wal"), None, Left::Nothing)
}

/// Copies a folder with everything in it, and gives it to `owner`.
///
/// # Errors
/// If a file can't be copied. One that goes away meanwhile is none of the backup's.
pub fn copy(from: &Path, to: &Path, owner: Option<&User>, left: Left) -> anyhow::Result<()> {
    make(to, owner)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("can't read {}", from.display()))? {
        let entry = entry.with_context(|| format!("can't read {}", from.display()))?;
        let (source, target, name) = (entry.path(), to.join(entry.file_name()), entry.file_name());
        let name = name.to_string_lossy();
        let kind = entry.file_type().with_context(|| format!("can't look at {}", source.display()))?;
        ensure!(!kind.is_symlink(), "{} is a link, as a tablespace has; it is not copied", source.display());
        if kind.is_dir() {
            match left {
                Left::AsInABackup if EMPTY.contains(&name.as_ref()) || name == "pg_wal" => make(&target, owner)?,
                _ => copy(&source, &target, owner, left)?,
            }
        } else if left == Left::Nothing || !OMITTED.contains(&name.as_ref()) {
            match std::fs::copy(&source, &target) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                copied => copied.with_context(|| format!("can't copy {}", source.display()))?,
            };
            owner.map_or(Ok(()), |owner| owner.own(&target))?;
        }
    }
    Ok(())
}

/// PostgreSQL refuses a data folder that others may enter.
fn make(folder: &Path, owner: Option<&User>) -> anyhow::Result<()> {
    if !folder.exists() {
        let made = DirBuilder::new().mode(0o700).create(folder);
        made.with_context(|| format!("can't make {}", folder.display()))?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o700))
            .with_context(|| format!("can't set the rights of {}", folder.display()))?;
    }
    owner.map_or(Ok(()), |owner| owner.own(folder))
}
