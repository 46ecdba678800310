//! The cache folder: a component is in it whole or not at all, however many launchers fill it at once.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::progress::Progress;

const BEGUN: &str = ".installing-";

/// Where the components are kept.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The chosen folder, or the default one: `/var/cache/everhook` for root, whose home PostgreSQL's user may not
    /// enter; else `$XDG_CACHE_HOME/everhook` or `~/.cache/everhook`.
    ///
    /// # Errors
    /// If it can't be made, or none was chosen and there is no home.
    pub fn choose(chosen: Option<PathBuf>) -> anyhow::Result<Self> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let root = chosen.or_else(|| match rustix::process::geteuid().is_root() {
            true => Some(PathBuf::from("/var/cache/everhook")),
            false => {
                let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
                caches.map(|folder| folder.join("everhook"))
            }
        });
        Self::open(&root.context("there is no home to keep the components in: choose a folder with --cache-dir")?)
    }

    /// Makes the folder if it is missing.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(root).with_context(|| {
            format!("can't make the cache folder {}; choose another with --cache-dir", root.display())
        })?;
        let root = root.canonicalize().with_context(|| format!("can't find {}", root.display()))?;
        Ok(Self { root })
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A log in the cache, for the steps that fill it.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.log"))
    }

    /// Whether the folder `name` is there, complete.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.root.join(name).is_dir()
    }

    /// The folder `name`, which `fill` makes if it is not there yet. It is filled under another name and renamed when
    /// complete, so that a crash half-way leaves nothing that looks complete.
    ///
    /// # Errors
    /// What `fill` returns, or if the folder can't be written.
    pub async fn install<F>(&self, name: &str, progress: &Progress, fill: F) -> anyhow::Result<PathBuf>
    where
        F: AsyncFnOnce(&Path) -> anyhow::Result<()>,
    {
        let complete = self.root.join(name);
        if complete.is_dir() {
            return Ok(complete);
        }
        let _lock = self.lock(name, progress).await?;
        if complete.is_dir() {
            return Ok(complete);
        }
        let unfinished = self.root.join(format!("{BEGUN}{name}"));
        if unfinished.exists() {
            // We hold the lock, so whoever began this is dead.
            std::fs::remove_dir_all(&unfinished)
                .with_context(|| format!("can't remove the unfinished {}", unfinished.display()))?;
        }
        std::fs::create_dir(&unfinished).with_context(|| format!("can't make {}", unfinished.display()))?;
        fill(&unfinished).await?;
        std::fs::rename(&unfinished, &complete)
            .with_context(|| format!("can't rename {} to {}", unfinished.display(), complete.display()))?;
        Ok(complete)
    }

    async fn lock(&self, name: &str, progress: &Progress) -> anyhow::Result<File> {
        let path = self.root.join(format!("{name}.lock"));
        let file = File::create(&path).with_context(|| format!("can't open the lock {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("can't lock {}", path.display()));
            }
        }
        progress.say(&format!("another launcher is getting {name}; waiting for it"));
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
        locked.context("the wait for a lock was cut off")?.with_context(|| format!("can't lock {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("everhook-cache-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    #[tokio::test]
    async fn an_install_that_fails_leaves_nothing_that_looks_complete() {
        let root = scratch("fails");
        let cache = Cache::open(&root).unwrap();
        let progress = Progress::silent();
        let failed = cache.install("thing", &progress, async |folder| {
            std::fs::write(folder.join("half"), "x")?;
            anyhow::bail!("the network is gone")
        });
        assert_eq!(failed.await.unwrap_err().to_string(), "the network is gone");
        assert!(!root.join("thing").exists());

        let second = cache.install("thing", &progress, async |folder| {
            assert!(!folder.join("half").exists(), "the second install must start from nothing");
            Ok(std::fs::write(folder.join("whole"), "x")?)
        });
        assert!(second.await.unwrap().join("whole").exists());
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn first_starts_at_the_same_time_install_once() {
        let root = scratch("once");
        let cache = Cache::open(&root).unwrap();
        let (fills, progress) = (AtomicU32::new(0), Progress::silent());
        let install = || {
            cache.install("thing", &progress, async |_| {
                fills.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                Ok(())
            })
        };
        let (a, b, c) = tokio::join!(install(), install(), install());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!(fills.load(Ordering::SeqCst), 1);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
