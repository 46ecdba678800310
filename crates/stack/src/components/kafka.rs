//! Apache Kafka's jars, from Maven, each checked against its hash.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use rustix::process::Signal;

use super::cache::Cache;
use super::java::Java;
use super::{Installed, Kafka, hashes, kafka_ready, tool};
use crate::process::{Spec, run};
use crate::progress::Progress;

const POM: &str = include_str!("pinned/kafka/pom.xml");
const HASHES: &str = include_str!("pinned/kafka/SHA256SUMS");
const LABEL: &str = "Kafka 4.4.0";
const NAME: &str = "kafka-4.4.0";

/// The jars, a Java, and what is prepared once for the two.
pub async fn get(cache: &Cache, installed: &Installed, progress: &Progress) -> anyhow::Result<Kafka> {
    let java = Java::find(installed.java.as_deref())?;
    let libs = match &installed.kafka_libs {
        Some(libs) => libs.canonicalize().with_context(|| format!("can't find {}", libs.display()))?,
        None => libs(cache, progress).await?,
    };
    let jars = jars(&libs)?;
    kafka_ready::get(cache, java, &jars, progress).await
}

/// Checks that Maven is there, if it will be needed.
pub fn check_tools(cache: &Cache, installed: &Installed) -> anyhow::Result<()> {
    if installed.kafka_libs.is_none() && !cache.has(&folder()) {
        maven()?;
    }
    Ok(())
}

fn maven() -> anyhow::Result<PathBuf> {
    tool::require("mvn", &format!("gets {LABEL}"), "maven", "EVERHOOK_KAFKA_LIBS")
}

/// The folder's name in the cache; other pins are another folder.
fn folder() -> String {
    format!("{NAME}-{}", &hashes::of(format!("{POM}{HASHES}").as_bytes())[..12])
}

async fn libs(cache: &Cache, progress: &Progress) -> anyhow::Result<PathBuf> {
    let name = folder();
    let folder = cache.install(&name, progress, async |folder| {
        let step = progress.begin(LABEL, "getting it through Maven (43 MB on disk)");
        std::fs::write(folder.join("pom.xml"), POM).context("can't write pom.xml")?;
        let spec = Spec {
            name: format!("mvn for {LABEL}"),
            program: maven()?,
            arguments: ["-B", "-ntp", "dependency:copy-dependencies"].map(Into::into).into(),
            environment: Vec::new(),
            directory: folder.to_owned(),
            log: cache.log(NAME),
            user: None,
            stop_signal: Signal::TERM,
            socket: None,
            own_session: false,
        };
        run::to_end(&spec, "check that Maven reaches its repository, then start again").await?;
        hashes::check_folder(&folder.join("libs"), HASHES)
            .with_context(|| format!("the jars that Maven gave for {LABEL} are not the pinned ones"))?;
        step.done("there");
        Ok(())
    });
    Ok(folder.await?.join("libs"))
}

fn jars(libs: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(libs).with_context(|| format!("can't read {}", libs.display()))?;
    let mut jars = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("can't read {}", libs.display()))?.path();
        if path.extension().is_some_and(|e| e == "jar") {
            jars.push(path);
        }
    }
    ensure!(
        jars.iter().any(|jar| jar.file_name().is_some_and(|n| n.to_string_lossy().starts_with("kafka_2."))),
        "there is no jar of the Kafka broker in {}: EVERHOOK_KAFKA_LIBS is to name the folder libs of a Kafka",
        libs.display()
    );
    // One order for ever: the archive is good only for the class path that it was made with.
    jars.sort();
    Ok(jars)
}
