//! The last lines of a process's log, and the error that carries them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// How many lines are shown.
pub const TAIL_LINES: usize = 20;

/// Far more than so many lines of any log need.
const TAIL_BYTES: u64 = 64 * 1024;

/// Something that runs on its own failed; what it said is in its log.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct Failure {
    /// What failed and what to do.
    pub sentence: String,
    /// Where its whole log is.
    pub log: PathBuf,
    /// The log's last lines, read at the moment of the failure.
    pub tail: Vec<String>,
    /// Whether it has ended; otherwise it lives and is of no use.
    pub ended: bool,
}

impl Failure {
    /// A failure of something that has ended, with the tail that the log has now.
    #[must_use]
    pub fn new(sentence: impl Into<String>, log: &Path) -> Self {
        Self { sentence: sentence.into(), log: log.to_owned(), tail: tail(log), ended: true }
    }

    /// The same of something that still lives.
    #[must_use]
    pub fn alive(self) -> Self {
        Self { ended: false, ..self }
    }
}

/// The last [`TAIL_LINES`] lines of a log; none if it can't be read.
#[must_use]
pub fn tail(log: &Path) -> Vec<String> {
    let text = last_bytes(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|&line| line.to_owned()).collect()
}

fn last_bytes(log: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_last_twenty_lines() {
        let path = std::env::temp_dir().join(format!("everhook-tail-{}", std::process::id()));
        let lines: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        assert_eq!(tail(&path), lines[80..]);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_log_that_is_not_there_has_no_tail() {
        assert!(tail(Path::new("/nonexistent/log")).is_empty());
    }
}
