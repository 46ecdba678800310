//! Reads files of spans.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::Spans;
use super::otlp::Request;

/// Why spans can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("can't read the spans in {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is none of an OTLP file.
    #[error("line {line} of {path} holds no spans in OTLP/JSON")]
    Line {
        /// Of which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

impl Spans {
    /// Reads files.
    ///
    /// # Errors
    /// If one can't be read, or has a line that holds no spans; but for a last one that was cut off, which is counted.
    pub fn read<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, Error> {
        let mut spans = Self::default();
        for path in paths {
            let path = path.as_ref();
            let file = File::open(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
            spans.read_from(BufReader::new(file), path)?;
        }
        Ok(spans)
    }

    /// Reads the lines of one file; `path` is for the errors.
    pub(crate) fn read_from(&mut self, mut file: impl io::BufRead, path: &Path) -> Result<(), Error> {
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            let read =
                file.read_until(b'\n', &mut text).map_err(|source| Error::Read { path: path.to_owned(), source })?;
            if read == 0 {
                break;
            }
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match serde_json::from_slice::<Request>(&text) {
                Ok(request) => request.add_to(self),
                Err(_) if !text.ends_with(b"\n") => self.lines_cut_off += 1,
                Err(source) => return Err(Error::Line { path: path.to_owned(), line, source }),
            }
        }
        Ok(())
    }
}
