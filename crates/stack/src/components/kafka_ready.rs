//! What is prepared once per Java and Kafka, so that a broker starts in a third of the time: a formatted storage folder
//! (the tool that makes it is a JVM of its own) and an archive of the loaded classes.

use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;

use super::cache::Cache;
use super::java::Java;
use super::{Kafka, hashes};
use crate::kafka::Configuration;
use crate::kafka::probe::Probe;
use crate::ports::Ports;
use crate::process::{Process, Spec, Stopped, run};
use crate::progress::Progress;
use crate::ready::{self, Ready};
use crate::routes::Routes;

/// Raised when what is prepared changes.
const REVISION: u32 = 1;

/// The flags of every broker; an archive is good only for the flags that it was made with.
#[must_use]
pub fn jvm_arguments() -> Vec<OsString> {
    ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"].map(Into::into).into()
}

/// Prepares it, if the cache does not have it.
pub async fn get(cache: &Cache, java: Java, jars: &[PathBuf], progress: &Progress) -> anyhow::Result<Kafka> {
    let class_path = class_path(jars)?;
    let name = format!("kafka-ready-{}", &hashes::of(key(&java, jars)?.as_bytes())[..12]);
    let folder = cache
        .install(&name, progress, async |folder| {
            let step = progress.begin("Kafka", "preparing a fast start, once");
            let warm_up = WarmUp { java: &java, class_path: &class_path, folder, log: cache.log("kafka-ready") };
            warm_up.run().await?;
            step.done("prepared");
            Ok(())
        })
        .await?;
    let archive = Some(folder.join("kafka.jsa")).filter(|path| path.is_file());
    Ok(Kafka { java, class_path, archive, format: folder.join("format") })
}

struct WarmUp<'a> {
    java: &'a Java,
    class_path: &'a str,
    folder: &'a Path,
    log: PathBuf,
}

impl WarmUp<'_> {
    async fn run(&self) -> anyhow::Result<()> {
        let ports = Ports::free()?;
        let data = self.folder.join("data");
        let configuration = Configuration::new(&self.folder.join("configuration"), &data, &ports, &Routes::default())?;
        let format = self.spec(
            "Kafka's storage tool",
            &["kafka.tools.StorageTool", "format", "-t", "everhookeverhookever00", "-c"],
            Vec::new(),
            &configuration,
        );
        run::to_end(&format, "see its log").await?;
        copy(&data, &self.folder.join("format"))?;

        let mut archive = OsString::from("-XX:ArchiveClassesAtExit=");
        archive.push(self.folder.join("kafka.jsa"));
        let broker =
            self.spec("Kafka", &["kafka.Kafka"], vec![archive, configuration.log4j_argument()], &configuration);
        let process = Process::spawn(&broker).await?;
        ready::wait(&process, &Ready::Kafka(Probe::new(&ports)), Duration::from_secs(60)).await?;
        // The archive is written while the JVM ends.
        if process.stop(Duration::from_secs(60)).await? == Stopped::Killed {
            bail!("Kafka did not stop within 60 s after its first start; see {}", self.log.display());
        }
        for folder in [&data, &self.folder.join("configuration")] {
            std::fs::remove_dir_all(folder).with_context(|| format!("can't remove {}", folder.display()))?;
        }
        Ok(())
    }

    fn spec(&self, name: &str, main: &[&str], jvm: Vec<OsString>, configuration: &Configuration) -> Spec {
        let mut arguments = jvm_arguments();
        arguments.extend(jvm);
        arguments.extend(["-cp".into(), self.class_path.into()]);
        arguments.extend(main.iter().map(Into::into));
        arguments.push(configuration.properties().into());
        Spec {
            name: name.to_owned(),
            program: self.java.program.clone(),
            arguments,
            environment: Vec::new(),
            directory: self.folder.to_owned(),
            log: self.log.clone(),
            user: None,
            stop_signal: Signal::TERM,
            socket: None,
            own_session: false,
        }
    }
}

fn class_path(jars: &[PathBuf]) -> anyhow::Result<String> {
    let names = jars.iter().map(|jar| jar.to_str().context("the path of Kafka's jars is not UTF-8"));
    Ok(names.collect::<anyhow::Result<Vec<_>>>()?.join(":"))
}

/// Everything that the archive and the format depend on.
fn key(java: &Java, jars: &[PathBuf]) -> anyhow::Result<String> {
    let mut key = format!("{REVISION} {} {} {:?}", java.program.display(), java.version, jvm_arguments());
    for jar in jars {
        let metadata = jar.metadata().with_context(|| format!("can't look at {}", jar.display()))?;
        // Writing to a String does not fail.
        let _ = write!(key, " {} {} {}", jar.display(), metadata.len(), metadata.mtime());
    }
    Ok(key)
}

/// Copies a folder of folders and files; what is copied can be written, whatever the original was.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir(to).with_context(|| format!("can't make {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("can't read {}", from.display()))? {
        let entry = entry.with_context(|| format!("can't read {}", from.display()))?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            let bytes =
                std::fs::read(entry.path()).with_context(|| format!("can't read {}", entry.path().display()))?;
            std::fs::write(&target, bytes).with_context(|| format!("can't write {}", target.display()))?;
        }
    }
    Ok(())
}
