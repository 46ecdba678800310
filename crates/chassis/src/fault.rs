//! Named points at which a test may kill this very process: between two effects, where chance hardly ever strikes.
//!
//! Only in builds with the feature `faults`, which no release has; elsewhere a point is nothing. Whoever runs the process
//! names a folder with [`FOLDER`]. A file there that is called like a point arms it for the first process that passes:
//! that one takes the file away and kills itself with SIGKILL, so that nothing of it is finished.

/// The environment variable that names the folder.
pub const FOLDER: &str = "EVERHOOK_FAULTS";

/// Whether this build has the points.
pub const BUILT_IN: bool = cfg!(feature = "faults");

/// What `--version` says after the number in a build that has them.
pub const MARK: &str = "with fault points";

/// The version of the crate that asks; a build with fault points says so.
#[macro_export]
macro_rules! version {
    () => {
        if $crate::fault::BUILT_IN {
            concat!(env!("CARGO_PKG_VERSION"), " with fault points")
        } else {
            env!("CARGO_PKG_VERSION")
        }
    };
}

/// Dies here, if the point is armed.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn point(_name: &'static str) {}

/// Dies here, if the point is armed.
#[cfg(feature = "faults")]
pub fn point(name: &'static str) {
    use std::path::PathBuf;
    use std::sync::LazyLock;

    static ARMED: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os(FOLDER).map(PathBuf::from));
    let Some(folder) = ARMED.as_deref() else { return };
    // Whoever removes it is the one: of several processes that pass, one dies.
    if std::fs::remove_file(folder.join(name)).is_ok() {
        // A refused signal leaves nothing better than to end at once, without a destructor.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort();
    }
}

#[cfg(test)]
#[cfg(feature = "faults")]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::path::Path;
    use std::process::{Command, ExitStatus};

    use super::*;

    /// Passes two points, in a process of its own.
    #[test]
    #[ignore = "the victim of the test below"]
    fn passes_two_points() {
        point("first");
        point("second");
    }

    fn victim(folder: &Path) -> ExitStatus {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "fault::tests::passes_two_points", "--ignored"]).env(FOLDER, folder);
        command.output().unwrap().status
    }

    #[test]
    fn whoever_passes_an_armed_point_is_killed_there_and_the_next_one_lives() {
        let folder = std::env::temp_dir().join(format!("everhook-faults-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(victim(&folder).success(), "nothing is armed");
        std::fs::write(folder.join("second"), "").unwrap();
        assert_eq!(victim(&folder).signal(), Some(9));
        assert!(!folder.join("second").exists(), "a point is armed once");
        assert!(victim(&folder).success());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_build_with_points_says_so() {
        assert!(crate::version!().ends_with(MARK));
    }
}
