//! Whom PostgreSQL runs as: it refuses root, so that root lends it an unprivileged user.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, bail};

/// A user of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// As in `/etc/passwd`.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

impl User {
    /// `nobody` when the launcher is root, else none.
    ///
    /// # Errors
    /// If the launcher is root and the machine has no such user.
    pub fn for_postgres() -> anyhow::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").context("can't read /etc/passwd")?;
        let user = find(&passwd, "nobody")
            .context("PostgreSQL refuses to run as root and /etc/passwd has no user nobody: run as an ordinary user")?;
        Ok(Some(user))
    }

    /// Makes a file or folder this user's.
    ///
    /// # Errors
    /// If the owner can't be changed.
    pub fn own(&self, path: &Path) -> anyhow::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("can't give {} to {}", path.display(), self.name))
    }

    /// Checks that this user may pass through every folder on the way to `path`, itself included.
    ///
    /// # Errors
    /// Names the folder that is closed; `remedy` says what to do.
    pub fn check_reaches(&self, path: &Path, remedy: &str) -> anyhow::Result<()> {
        let path = path.canonicalize().with_context(|| format!("can't find {}", path.display()))?;
        for folder in path.ancestors() {
            let metadata = folder.metadata().with_context(|| format!("can't look at {}", folder.display()))?;
            if metadata.is_dir() && !self.may_enter(&metadata) {
                bail!("PostgreSQL runs as {} here, who may not enter {}: {remedy}", self.name, folder.display());
            }
        }
        Ok(())
    }

    fn may_enter(&self, folder: &Metadata) -> bool {
        let bit = match () {
            () if folder.uid() == self.uid => 0o100,
            () if folder.gid() == self.gid => 0o010,
            () => 0o001,
        };
        folder.mode() & bit != 0
    }
}

fn find(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [found, _, uid, gid, ..] if *found == name => {
                Some(User { name: name.to_owned(), uid: uid.parse().ok()?, gid: gid.parse().ok()? })
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "nobody2:x:1:2::/:/bin/sh\nnobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n";
        assert_eq!(find(passwd, "nobody"), Some(User { name: "nobody".to_owned(), uid: 65534, gid: 65533 }));
        assert_eq!(find(passwd, "no"), None);
    }
}
