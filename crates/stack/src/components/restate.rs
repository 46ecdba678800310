//! Restate, from npm.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::Installed;
use super::cache::Cache;
use super::npm::{Project, architecture};
use super::tool::is_executable;
use crate::progress::Progress;

const PROJECT: Project = Project {
    label: "Restate 1.7.12",
    name: "restate-1.7.12",
    package_json: include_str!("pinned/restate/package.json"),
    package_lock: include_str!("pinned/restate/package-lock.json"),
    instead: "EVERHOOK_RESTATE_SERVER",
};

/// Checks that npm is there, if it will be needed.
pub fn check_tools(cache: &Cache, installed: &Installed) -> anyhow::Result<()> {
    if installed.restate_server.is_none() && !cache.has(&PROJECT.folder()) {
        PROJECT.npm()?;
    }
    Ok(())
}

/// The restate-server.
pub async fn get(cache: &Cache, installed: Option<&Path>, progress: &Progress) -> anyhow::Result<PathBuf> {
    if let Some(server) = installed {
        ensure!(
            is_executable(server),
            "{}, which EVERHOOK_RESTATE_SERVER names, is no program: name the restate-server itself",
            server.display()
        );
        return server.canonicalize().with_context(|| format!("can't find {}", server.display()));
    }
    let architecture = architecture().context(
        "there is no Restate package for this processor: install restate-server and set EVERHOOK_RESTATE_SERVER",
    )?;
    let server =
        PathBuf::from(format!("node_modules/@restatedev/restate-server-linux-{architecture}/bin/restate-server"));
    let folder = cache
        .install(&PROJECT.folder(), progress, async |folder| {
            let step = progress.begin(PROJECT.label, "getting it through npm (216 MB on disk)");
            PROJECT.install(cache, folder).await?;
            ensure!(is_executable(&folder.join(&server)), "the Restate package holds no restate-server");
            step.done("there");
            Ok(())
        })
        .await?;
    Ok(folder.join(server))
}
