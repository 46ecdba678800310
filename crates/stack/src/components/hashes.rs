//! Lists of SHA-256 hashes as `sha256sum` writes them, and the check of a folder against one.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

/// The hash in lower-case hex.
pub fn of(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Checks that the folder holds exactly the files of the list, each with its hash.
///
/// # Errors
/// Names the first file that is missing, is another one, or is not on the list.
pub fn check_folder(folder: &Path, list: &str) -> anyhow::Result<()> {
    let mut expected = parse(list)?;
    for entry in std::fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))? {
        let entry = entry.with_context(|| format!("can't read {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(hash) = expected.remove(name.as_str()) else { bail!("{name} is not on the list of pinned files") };
        let bytes = std::fs::read(entry.path()).with_context(|| format!("can't read {name}"))?;
        let found = of(&bytes);
        if found != hash {
            bail!("{name} is not the pinned file: its SHA-256 is {found}, pinned is {hash}");
        }
    }
    match expected.keys().next() {
        Some(missing) => bail!("{missing} is missing"),
        None => Ok(()),
    }
}

fn parse(list: &str) -> anyhow::Result<BTreeMap<&str, &str>> {
    list.lines()
        .map(|line| {
            let (hash, name) = line.split_once("  ").with_context(|| format!("{line:?} is no hash and name"))?;
            Ok((name, hash))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a.jar\n\
                        cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34  b.jar\n";

    fn check(name: &str, files: &[(&str, &str)]) -> Result<(), String> {
        let folder = std::env::temp_dir().join(format!("everhook-hashes-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let checked = check_folder(&folder, LIST).map_err(|error| error.to_string());
        std::fs::remove_dir_all(&folder).unwrap();
        checked
    }

    #[test]
    fn the_very_files_pass() {
        assert_eq!(check("pass", &[("a.jar", "abc"), ("b.jar", "def")]), Ok(()));
    }

    #[test]
    fn a_missing_a_changed_and_a_further_file_are_named() {
        assert_eq!(check("missing", &[("a.jar", "abc")]), Err("b.jar is missing".to_owned()));
        let changed = check("changed", &[("a.jar", "abc"), ("b.jar", "evil")]).unwrap_err();
        assert!(changed.starts_with("b.jar is not the pinned file"), "{changed}");
        let further = check("further", &[("a.jar", "abc"), ("b.jar", "def"), ("c.jar", "")]);
        assert_eq!(further, Err("c.jar is not on the list of pinned files".to_owned()));
    }
}
