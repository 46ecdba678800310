//! A stack's data folder: what it holds, whose it is, and that only one launcher uses it.

use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The file by which a folder is known to be ours to empty.
const MARKER: &str = "everhook-data";
const MARKER_TEXT: &str = "This folder belongs to Everhook's stack, which may remove everything in it.\n";
const LOCK: &str = "lock";
/// For the owner alone.
const CLOSED: u32 = 0o700;
/// The name of the folder with every log.
pub const LOGS: &str = "logs";

/// A data folder that this launcher has locked.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    // Unlocked by being closed.
    _lock: File,
}

/// `/var/lib/everhook` for root, whose home PostgreSQL's user may not enter; else `$XDG_STATE_HOME/everhook` or
/// `~/.local/state/everhook`. None without a home.
#[must_use]
pub fn default_root() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/everhook"));
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    state.map(|folder| folder.join("everhook"))
}

impl Folder {
    /// Makes the folder, or takes one that was made before.
    ///
    /// # Errors
    /// If it holds something else, or another launcher uses it.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        make(root, passable())?;
        let root = root.canonicalize().with_context(|| format!("can't find {}", root.display()))?;
        if !root.join(MARKER).exists() {
            let mut entries = std::fs::read_dir(&root).with_context(|| format!("can't read {}", root.display()))?;
            if entries.next().is_some() {
                bail!(
                    "{} holds something that is not Everhook's: choose another folder with --data-dir",
                    root.display()
                );
            }
            std::fs::write(root.join(MARKER), MARKER_TEXT)
                .with_context(|| format!("can't write to {}", root.display()))?;
        }
        let Some(lock) = lock(&root)? else {
            bail!(
                "another stack uses {}: stop it with stack down, or choose another folder with --data-dir",
                root.display()
            );
        };
        let folder = Self { root, _lock: lock };
        make(&folder.logs(), CLOSED)?;
        Ok(folder)
    }

    /// Removes everything but the marker and the lock.
    ///
    /// # Errors
    /// If something can't be removed.
    pub fn empty(&self) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(&self.root).with_context(|| format!("can't read {}", self.root.display()))? {
            let entry = entry.with_context(|| format!("can't read {}", self.root.display()))?;
            if entry.file_name() != MARKER && entry.file_name() != LOCK {
                remove(&entry.path())?;
            }
        }
        make(&self.logs(), CLOSED)
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder with every log.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join(LOGS)
    }

    /// The log of a process.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// The folder of a component.
    #[must_use]
    pub fn of(&self, component: &str) -> PathBuf {
        self.root.join(component)
    }
}

/// Whether the folder carries our marker.
#[must_use]
pub fn is_ours(root: &Path) -> bool {
    root.join(MARKER).is_file()
}

/// Locks the folder; none if another launcher has it.
///
/// # Errors
/// If the lock can't be opened.
pub fn lock(root: &Path) -> anyhow::Result<Option<File>> {
    let path = root.join(LOCK);
    let file = File::create(&path).with_context(|| format!("can't open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("can't lock {}", path.display())),
    }
}

/// Removes a file or a folder with everything in it.
///
/// # Errors
/// If something can't be removed.
pub fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    removed.with_context(|| format!("can't remove {}", path.display()))
}

/// Root's data folder can be passed through, but not listed, by PostgreSQL's user; anybody else's is closed.
fn passable() -> u32 {
    if rustix::process::geteuid().is_root() { 0o711 } else { CLOSED }
}

fn make(path: &Path, mode: u32) -> anyhow::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent).with_context(|| format!("can't make {}", parent.display()))?;
    let made = DirBuilder::new().mode(mode).create(path);
    made.with_context(|| format!("can't make {}; choose another folder with --data-dir", path.display()))?;
    // The process's umask may have taken something away.
    std::fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("can't set the rights of {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("everhook-folder-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_not_touched() {
        let root = scratch("else");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("thesis.tex"), "years of work").unwrap();
        let error = Folder::open(&root).unwrap_err().to_string();
        assert!(error.contains("is not Everhook's"), "{error}");
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 1);
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn two_launchers_do_not_share_a_folder() {
        let root = scratch("two");
        let first = Folder::open(&root).unwrap();
        let error = Folder::open(&root).unwrap_err().to_string();
        assert!(error.starts_with("another stack uses"), "{error}");
        drop(first);
        Folder::open(&root).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn an_emptied_folder_keeps_its_marker_and_nothing_else() {
        let root = scratch("empty");
        let folder = Folder::open(&root).unwrap();
        std::fs::create_dir(folder.of("kafka")).unwrap();
        std::fs::write(folder.log("kafka"), "x").unwrap();
        folder.empty().unwrap();
        assert!(is_ours(&root));
        assert!(!folder.of("kafka").exists() && !folder.log("kafka").exists());
        std::fs::remove_dir_all(&root).unwrap();
    }
}
