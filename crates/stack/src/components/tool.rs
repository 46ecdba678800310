//! Finds the programs that the set-up needs, and says in one sentence how to get a missing one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::bail;

/// The first executable file with this name on the PATH.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

/// Like [`find`]; `purpose` says what it is needed for, `package` what Debian and Ubuntu call it, `instead` which
/// variable makes it needless.
pub fn require(name: &str, purpose: &str, package: &str, instead: &str) -> anyhow::Result<PathBuf> {
    match find(name) {
        Some(path) => Ok(path),
        None => bail!(
            "{name} is missing, which {purpose}: install it (Debian, Ubuntu: apt-get install {package}) or set {instead}"
        ),
    }
}

/// Whether the file may be executed by somebody.
pub fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
