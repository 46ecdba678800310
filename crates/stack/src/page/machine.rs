//! What was measured, and on what: without it no figure means anything.

use std::fmt;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::components::Components;
use crate::procfs::kib;

/// The machine, the versions, the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// When it began, RFC 3339.
    pub began_at: String,
    /// As many threads as run at once.
    pub cores: usize,
    /// As the processor calls itself.
    pub cpu: String,
    /// In MiB.
    pub memory_mib: u64,
    /// Name and release.
    pub kernel: String,
    /// The commit that the working folder has, and whether something was changed since; none outside a repository.
    pub commit: Option<String>,
    /// Whether this program and, presumably, our services were built without optimisation.
    pub debug_build: bool,
    /// What the components say of themselves.
    pub versions: Vec<String>,
}

impl Setting {
    /// Asks everybody. What can't be found out is left out or said to be unknown: it is no reason not to measure.
    #[must_use]
    pub fn of(components: &Components) -> Self {
        let file = |path| std::fs::read_to_string(path).unwrap_or_default();
        let release = file("/proc/sys/kernel/osrelease");
        Self {
            began_at: verifier::now().to_string(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: cpu(&file("/proc/cpuinfo")),
            memory_mib: kib(&file("/proc/meminfo"), "MemTotal:").unwrap_or(0) / 1024,
            kernel: format!("Linux {}", release.trim()),
            commit: commit(),
            debug_build: cfg!(debug_assertions),
            versions: versions(components),
        }
    }

    /// The head of a page: what it is, when and by which command it was measured, and on what.
    ///
    /// # Errors
    /// If the formatter can't be written to.
    pub fn head(&self, f: &mut fmt::Formatter<'_>, title: &str, command: &str) -> fmt::Result {
        let Self { began_at, cores, cpu, memory_mib, kernel, commit, versions, debug_build } = self;
        let commit = commit.as_deref().unwrap_or("unknown");
        let date = began_at.split('T').next().unwrap_or_default();
        let memory_gib = f64::from(u32::try_from(*memory_mib).unwrap_or(0)) / 1024.0;
        writeln!(f, "# {title}\n")?;
        writeln!(f, "Measured on {date} by `{command}`, which wrote this page; commit {commit}.")?;
        writeln!(f, "{cores} cores ({cpu}), {memory_gib:.0} GiB, {kernel}.")?;
        writeln!(f, "{}.\n", versions.join("; "))?;
        if *debug_build {
            writeln!(f, "**Built without optimisation: these figures say nothing of speed.**\n")?;
        }
        Ok(())
    }
}

fn cpu(cpuinfo: &str) -> String {
    let named = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    named.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn commit() -> Option<String> {
    let commit = said_by(Path::new("git"), &["rev-parse", "--short=10", "HEAD"])?;
    let changed = said_by(Path::new("git"), &["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit} with changes") })
}

fn versions(components: &Components) -> Vec<String> {
    let postgres = said_by(&components.postgres_bin.join("postgres"), &["--version"]);
    let restate = said_by(&components.restate_server, &["--version"]);
    // Kafka has no short word for it; its jar's name does: kafka_2.13-4.4.0.jar.
    let jars = components.kafka.class_path.split(':').map(Path::new);
    let version = jars.filter_map(|jar| jar.file_stem()?.to_str()?.strip_prefix("kafka_2.")?.rsplit_once('-')).next();
    let kafka = version.map(|(_, version)| format!("Apache Kafka {version}"));
    let java = components.kafka.java.version.lines().next().map(str::to_owned);
    [postgres, kafka, java, restate].into_iter().flatten().collect()
}

/// The first line that a program writes; none if it can't be run or fails.
fn said_by(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}
