//! Runs PostgreSQL: TCP on the loopback only, passwords, logical replication, every commit on disk.

pub mod backup;
pub mod roles;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;
use sqlx::postgres::PgConnectOptions;

use crate::ports::{Door, Ports};
use crate::process::user::User;
use crate::process::{Spec, run};
use crate::secrets::Secrets;

/// The user that only the set-up uses.
pub const SUPERUSER: &str = "postgres";

/// The database of the services.
pub const DATABASE: &str = "everhook";

/// The database of the old way: what is committed there, nobody captures.
pub const BASELINE_DATABASE: &str = "everhook_baseline";

/// A PostgreSQL that is to run in a folder.
#[derive(Debug)]
pub struct Postgres<'a> {
    /// The folder with `initdb` and `postgres`.
    pub bin: &'a Path,
    /// The folder that holds its data folder.
    pub folder: &'a Path,
    /// Its log.
    pub log: PathBuf,
    /// Whom it runs as.
    pub user: Option<User>,
}

impl Postgres<'_> {
    /// Makes the data folder if there is none, and says how to start PostgreSQL in it.
    ///
    /// # Errors
    /// If initdb fails or the folders can't be used by PostgreSQL's user.
    pub async fn prepare(&self, ports: &Ports, secrets: &Secrets) -> anyhow::Result<Spec> {
        std::fs::create_dir_all(self.folder).with_context(|| format!("can't make {}", self.folder.display()))?;
        if let Some(user) = &self.user {
            user.own(self.folder)?;
        }
        check_reaches(self.folder, "--data-dir")?;
        check_reaches(self.bin, "--cache-dir or EVERHOOK_POSTGRES_BIN")?;
        let data = self.data();
        if !data.exists() {
            self.initialise(&data, secrets).await?;
        }
        vacate(&data, Duration::from_secs(15)).await?;
        let settings = [
            format!("port={}", ports.of(Door::Postgres)),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "wal_level=logical".to_owned(),
            "max_wal_senders=10".to_owned(),
            "max_replication_slots=10".to_owned(),
            "max_connections=200".to_owned(),
            // After a crash it flushes the file system instead of each of some thousand files.
            "recovery_init_sync_method=syncfs".to_owned(),
            "log_line_prefix=%m [%p] %q%u@%d ".to_owned(),
        ];
        let mut arguments: Vec<OsString> = vec!["-D".into(), data.into()];
        arguments.extend(settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]));
        Ok(self.spec("postgres", "postgres", arguments))
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// initdb in another folder that is renamed, so that a crash half-way leaves nothing that looks complete.
    async fn initialise(&self, data: &Path, secrets: &Secrets) -> anyhow::Result<()> {
        let unfinished = data.with_extension("unfinished");
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished).with_context(|| format!("can't remove {}", unfinished.display()))?;
        }
        let password = secrets.text(&roles::SUPERUSER.secret())?;
        // PostgreSQL's user may not read our secrets, so it gets this one in a file of its own.
        let password_file = self.folder.join("password");
        crate::secrets::write_private(&password_file, &password)?;
        if let Some(user) = &self.user {
            user.own(&password_file)?;
        }
        let mut arguments: Vec<OsString> =
            ["-U", SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "-D"].map(Into::into).into();
        arguments.push(unfinished.clone().into());
        let mut pwfile = OsString::from("--pwfile=");
        pwfile.push(&password_file);
        arguments.push(pwfile);
        let made = run::to_end(&self.spec("initdb", "initdb", arguments), "PostgreSQL's log says why").await;
        std::fs::remove_file(&password_file).context("can't remove the password file of initdb")?;
        made?;
        std::fs::rename(&unfinished, data).context("can't rename PostgreSQL's data folder")
    }

    fn spec(&self, name: &str, program: &str, arguments: Vec<OsString>) -> Spec {
        Spec {
            name: name.to_owned(),
            program: self.bin.join(program),
            arguments,
            environment: vec![("LC_ALL".to_owned(), "C".into())],
            directory: self.folder.to_owned(),
            log: self.log.clone(),
            user: self.user.clone(),
            // A fast shutdown: it does not wait for clients to leave.
            stop_signal: Signal::INT,
            socket: None,
            own_session: false,
        }
    }
}

/// Checks that PostgreSQL's user may pass through every folder on the way to this one, which `flag` chooses.
///
/// # Errors
/// Names the folder that is closed.
pub fn check_reaches(folder: &Path, flag: &str) -> anyhow::Result<()> {
    match User::for_postgres()? {
        Some(user) => user.check_reaches(folder, &format!("choose one that everybody may pass through with {flag}")),
        None => Ok(()),
    }
}

/// How the superuser connects to a database.
///
/// # Errors
/// If its password can't be read.
pub fn superuser(ports: &Ports, secrets: &Secrets, database: &str) -> anyhow::Result<PgConnectOptions> {
    Ok(PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(ports.of(Door::Postgres))
        .username(SUPERUSER)
        .password(&secrets.text(&roles::SUPERUSER.secret())?)
        .database(database))
}

/// Waits until nobody lives in the data folder: the back ends of a killed PostgreSQL live a moment longer and hold its
/// shared memory. Then the lock file that it left is void, and is removed: PostgreSQL itself would respect it as long
/// as its number is taken, be it by a dead process that nobody has waited for yet.
async fn vacate(data: &Path, within: Duration) -> anyhow::Result<()> {
    let data = data.canonicalize().with_context(|| format!("can't find {}", data.display()))?;
    let deadline = tokio::time::Instant::now() + within;
    while let Some(pid) = inhabitant(&data) {
        if tokio::time::Instant::now() >= deadline {
            bail!("process {pid} still uses {}: stop it, for example with stack down", data.display());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    match std::fs::remove_file(data.join("postmaster.pid")) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("can't remove a void postmaster.pid"),
        _ => Ok(()),
    }
}

fn inhabitant(folder: &Path) -> Option<String> {
    // A process that may not be looked at belongs to somebody else.
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    let mut living =
        entries.filter(|entry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder));
    living.next().map(|entry| entry.file_name().to_string_lossy().into_owned())
}
