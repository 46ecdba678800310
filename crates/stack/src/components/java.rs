//! The Java that runs Kafka.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use super::tool;

/// Kafka 4 does not start on an older one.
const OLDEST: u32 = 17;

/// A Java runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Java {
    /// The executable.
    pub program: PathBuf,
    /// What it says about itself; a class data archive is good for this one only.
    pub version: String,
}

impl Java {
    /// The one that is named, that of JAVA_HOME, or the first on the PATH.
    ///
    /// # Errors
    /// If there is none, or it is too old.
    pub fn find(named: Option<&Path>) -> anyhow::Result<Self> {
        let of_home = || {
            let program = PathBuf::from(std::env::var_os("JAVA_HOME")?).join("bin/java");
            tool::is_executable(&program).then_some(program)
        };
        let program = match named {
            Some(program) => {
                ensure!(
                    tool::is_executable(program),
                    "{}, which EVERHOOK_JAVA names, is no program: name the java executable",
                    program.display()
                );
                program.to_owned()
            }
            None => match of_home() {
                Some(program) => program,
                None => tool::require("java", "runs Kafka", "openjdk-17-jre-headless", "EVERHOOK_JAVA")?,
            },
        };
        let output = Command::new(&program)
            .arg("-version")
            .output()
            .with_context(|| format!("can't run {} -version", program.display()))?;
        let version = String::from_utf8_lossy(&output.stderr).into_owned();
        match major(&version) {
            Some(major) if major >= OLDEST => Ok(Self { program, version }),
            Some(major) => bail!(
                "{} is Java {major} and Kafka needs {OLDEST} or newer: install one (Debian, Ubuntu: apt-get install \
                 openjdk-17-jre-headless) or set EVERHOOK_JAVA",
                program.display()
            ),
            None => bail!("{} -version does not say a version: set EVERHOOK_JAVA to a working java", program.display()),
        }
    }
}

fn major(version: &str) -> Option<u32> {
    let quoted = version.split('"').nth(1)?;
    let mut numbers = quoted.split(['.', '-', '_', '+']).map(str::parse::<u32>);
    match numbers.next()?.ok()? {
        1 => numbers.next()?.ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_all_styles() {
        assert_eq!(major("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime"), Some(17));
        assert_eq!(major("java version \"1.8.0_391\""), Some(8));
        assert_eq!(major("openjdk version \"25\" 2025-09-16"), Some(25));
        assert_eq!(major("Picked up JAVA_TOOL_OPTIONS: -Da=b\nopenjdk version \"21-ea\""), Some(21));
        assert_eq!(major("no java here"), None);
    }
}
