//! Gets a package through npm, from a lock file with hashes. No install script is run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::process::Signal;

use super::cache::Cache;
use super::{hashes, tool};
use crate::process::{Spec, run};

/// A pinned npm project of ours.
pub struct Project {
    /// What it is called in messages.
    pub label: &'static str,
    /// The name of its folder in the cache, without the hash.
    pub name: &'static str,
    pub package_json: &'static str,
    pub package_lock: &'static str,
    /// The environment variable that makes it needless.
    pub instead: &'static str,
}

impl Project {
    /// The folder's name in the cache; another lock file is another folder.
    pub fn folder(&self) -> String {
        format!("{}-{}", self.name, &hashes::of(self.package_lock.as_bytes())[..12])
    }

    /// npm itself.
    pub fn npm(&self) -> anyhow::Result<PathBuf> {
        tool::require("npm", &format!("gets {}", self.label), "npm", self.instead)
    }

    /// Installs the project into the folder. npm checks the hashes of the lock file.
    pub async fn install(&self, cache: &Cache, folder: &Path) -> anyhow::Result<()> {
        std::fs::write(folder.join("package.json"), self.package_json).context("can't write package.json")?;
        std::fs::write(folder.join("package-lock.json"), self.package_lock).context("can't write package-lock.json")?;
        let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--loglevel=error"];
        let spec = Spec {
            name: format!("npm ci for {}", self.label),
            program: self.npm()?,
            arguments: arguments.map(Into::into).into(),
            environment: Vec::new(),
            directory: folder.to_owned(),
            log: cache.log(self.name),
            user: None,
            stop_signal: Signal::TERM,
            socket: None,
            own_session: false,
        };
        run::to_end(&spec, "check that npm reaches its registry, then start again").await
    }
}

/// What npm calls this machine's processor; none if there is no package for it.
pub fn architecture() -> Option<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Some("x64"),
        "aarch64" => Some("arm64"),
        _ => None,
    }
}
