//! Runs Kafka: one node that is broker and controller, its records on disk before they are acknowledged.

mod configuration;
pub mod probe;
pub mod tail;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::process::Signal;

pub use self::configuration::Configuration;
use crate::components::{self, jvm_arguments};
use crate::ports::Ports;
use crate::process::Spec;
use crate::routes::Routes;

/// Prepares the folder (configuration, formatted storage) and says how to start Kafka in it.
///
/// # Errors
/// If the folder can't be written.
pub fn prepare(
    kafka: &components::Kafka,
    folder: &Path,
    log: PathBuf,
    ports: &Ports,
    routes: &Routes,
) -> anyhow::Result<Spec> {
    let data = folder.join("data");
    let configuration = Configuration::new(&folder.join("configuration"), &data, ports, routes)?;
    if !data.exists() {
        format(&kafka.format, &data)?;
    }
    let mut arguments = jvm_arguments();
    if let Some(archive) = &kafka.archive {
        let mut argument = OsString::from("-XX:SharedArchiveFile=");
        argument.push(archive);
        // An archive that does not fit is only a slower start.
        arguments.extend(["-Xshare:auto".into(), argument]);
    }
    arguments.push(configuration.log4j_argument());
    arguments.extend(["-cp".into(), kafka.class_path.as_str().into(), "kafka.Kafka".into()]);
    arguments.push(configuration.properties().into());
    Ok(Spec {
        name: "kafka".to_owned(),
        program: kafka.java.program.clone(),
        arguments,
        environment: Vec::new(),
        directory: folder.to_owned(),
        log,
        user: None,
        stop_signal: Signal::TERM,
        socket: None,
        own_session: false,
    })
}

/// Copies the prepared format, under a cluster id and a directory id of its own.
fn format(prepared: &Path, data: &Path) -> anyhow::Result<()> {
    const METADATA: &str = "__cluster_metadata-0";
    let unfinished = data.with_extension("unfinished");
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished).with_context(|| format!("can't remove {}", unfinished.display()))?;
    }
    std::fs::create_dir_all(unfinished.join(METADATA)).context("can't make Kafka's data folder")?;
    let entries = std::fs::read_dir(prepared.join(METADATA)).context("can't read Kafka's prepared format")?;
    for entry in entries {
        let entry = entry.context("can't read Kafka's prepared format")?;
        std::fs::copy(entry.path(), unfinished.join(METADATA).join(entry.file_name()))
            .context("can't copy Kafka's prepared format")?;
    }
    let properties =
        std::fs::read_to_string(prepared.join("meta.properties")).context("can't read Kafka's prepared format")?;
    std::fs::write(unfinished.join("meta.properties"), with_new_ids(&properties))
        .context("can't write meta.properties")?;
    std::fs::rename(&unfinished, data).context("can't rename Kafka's data folder")
}

fn with_new_ids(properties: &str) -> String {
    let lines = properties.lines().map(|line| match line.split_once('=') {
        Some((name @ ("cluster.id" | "directory.id"), _)) => format!("{name}={}\n", new_id()),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// An id as Kafka writes one. It takes none that begins with a hyphen, which a tool would read as a flag.
fn new_id() -> String {
    let mut bytes: [u8; 16] = rand::random();
    bytes[0] &= 0x7f;
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_copied_with_ids_of_its_own() {
        let prepared =
            "#\nnode.id=1\ndirectory.id=_aQrJTyNRl2PyXH9kgV0Hg\nversion=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\n";
        let first = with_new_ids(prepared);
        assert!(first.starts_with("#\nnode.id=1\ndirectory.id="), "{first}");
        assert!(!first.contains("_aQrJTyNRl2PyXH9kgV0Hg") && !first.contains("MkU3OEVBNTcwNTJENDM2Qg"), "{first}");
        assert_ne!(first, with_new_ids(prepared));
    }
}
