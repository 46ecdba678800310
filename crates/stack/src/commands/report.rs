//! How a run tells what came of it: in words or as JSON, and on a page.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// Flags of a command that ends with a report.
#[derive(Debug, clap::Args)]
pub(super) struct ReportFlags {
    /// Write a page of Markdown into this file, too.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print one JSON object instead of words, with everything by id.
    #[arg(long)]
    pub(super) json: bool,
}

impl ReportFlags {
    /// Whether the page can be written, as far as that can be said before minutes have gone by.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let Some(file) = &self.report else { return Ok(()) };
        ensure!(!file.is_dir(), "{} is a folder: name a file for the page", file.display());
        if let Some(folder) = file.parent().filter(|folder| *folder != Path::new("")) {
            ensure!(folder.is_dir(), "there is no folder {} for the page: make it, or name another", folder.display());
        }
        Ok(())
    }

    /// Prints first and writes then: what was measured is told although the page can't be written.
    pub(super) fn tell(&self, page: impl FnOnce() -> String, text: &str) -> anyhow::Result<()> {
        print(text)?;
        let Some(file) = &self.report else { return Ok(()) };
        std::fs::write(file, page()).with_context(|| format!("can't write {}", file.display()))
    }
}

/// On stdout, with one end of line.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{}", text.trim_end()).context("can't write to stdout")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(file: &Path) -> Option<String> {
        let flags = ReportFlags { report: Some(file.to_owned()), json: false };
        flags.check().err().map(|error| error.to_string())
    }

    #[test]
    fn a_page_that_can_not_be_written_is_told_before_the_run() {
        let folder = std::env::temp_dir();
        assert_eq!(said(&folder.join("page.md")), None);
        assert_eq!(said(Path::new("page.md")), None, "in the working folder");
        assert!(said(&folder).unwrap().ends_with("is a folder: name a file for the page"));
        let nowhere = "there is no folder /nowhere/at/all for the page: make it, or name another";
        assert_eq!(said(Path::new("/nowhere/at/all/page.md")).unwrap(), nowhere);
    }
}
