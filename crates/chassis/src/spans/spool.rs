//! Spans in files until they are sent. A write to a file outlives the process, though not the machine.
//!
//! Each process appends to segments of its own, one JSON line a span, and removes a segment once all of its spans are sent
//! or given up. A segment is locked as long as its process lives: what is there and not locked, a dead one has left behind.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use super::Span;

/// A segment that has grown to so many bytes is followed by another.
const SEGMENT: u64 = 1 << 20;

/// The segments of this process.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    /// What each file of this service begins with.
    service: &'static str,
    /// Spans that were appended, and spans that are done with, since the start.
    appended: u64,
    done: u64,
    /// Oldest first; the last one is written to.
    segments: VecDeque<Segment>,
    lines: Vec<u8>,
    made: u32,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// How many were appended when its last one was.
    through: u64,
}

impl Spool {
    /// The spool of a service; makes the folder.
    ///
    /// # Errors
    /// If the folder can't be made or written.
    pub fn open(folder: &Path, service: &'static str) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut spool = Self {
            folder: folder.to_owned(),
            service,
            appended: 0,
            done: 0,
            segments: VecDeque::new(),
            lines: Vec::new(),
            made: 0,
        };
        spool.grow()?;
        Ok(spool)
    }

    /// What dead processes of the service have left behind. Their segments are removed with [`LeftBehind::remove`].
    ///
    /// # Errors
    /// If the folder or a segment can't be read.
    pub fn left_behind(&self) -> io::Result<Vec<LeftBehind>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let is_of_service = path
                .file_name()
                .and_then(|name| name.to_str()?.strip_suffix(".spans")?.strip_prefix(self.service))
                .is_some_and(|rest| rest.starts_with('.'));
            if !is_of_service || self.segments.iter().any(|own| own.path == path) {
                continue;
            }
            let file = File::open(&path)?;
            match file.try_lock() {
                Ok(()) => all.push(LeftBehind { spans: read(&file), path, _lock: file }),
                // It lives.
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Appends spans; they are with the system when this returns.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn append(&mut self, spans: &[Span]) -> io::Result<()> {
        self.lines.clear();
        for span in spans {
            serde_json::to_writer(&mut self.lines, span)?;
            self.lines.push(b'\n');
        }
        if self.segments.back().is_none_or(|segment| segment.bytes >= SEGMENT) {
            self.grow()?;
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.file.write_all(&self.lines)?;
            self.appended += u64::try_from(spans.len()).unwrap_or(u64::MAX);
            segment.bytes += u64::try_from(self.lines.len()).unwrap_or(u64::MAX);
            segment.through = self.appended;
        }
        Ok(())
    }

    /// So many of the oldest are sent or given up.
    ///
    /// # Errors
    /// If a segment can't be removed or emptied.
    pub fn finish(&mut self, spans: usize) -> io::Result<()> {
        self.done += u64::try_from(spans).unwrap_or(u64::MAX);
        while let [first, _, ..] = self.segments.make_contiguous()
            && first.through <= self.done
        {
            let segment = self.segments.pop_front();
            segment.map_or(Ok(()), |segment| std::fs::remove_file(segment.path))?;
        }
        match self.segments.front_mut() {
            Some(last) if self.done >= self.appended && last.bytes > 0 => {
                last.bytes = 0;
                last.file.set_len(0)
            }
            _ => Ok(()),
        }
    }

    fn grow(&mut self) -> io::Result<()> {
        self.made += 1;
        let name =
            format!("{}.{}.{:016x}.{}.spans", self.service, std::process::id(), rand::random::<u64>(), self.made);
        let path = self.folder.join(name);
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        file.lock()?;
        self.segments.push_back(Segment { path, file, bytes: 0, through: self.appended });
        Ok(())
    }
}

/// A segment of a process that is dead.
#[derive(Debug)]
pub struct LeftBehind {
    path: PathBuf,
    _lock: File,
    /// What is in it.
    pub spans: Vec<Span>,
}

impl LeftBehind {
    /// It is sent.
    ///
    /// # Errors
    /// If it can't be removed.
    pub fn remove(self) -> io::Result<()> {
        std::fs::remove_file(self.path)
    }
}

/// The spans up to the first line that is none: its process was killed while it wrote.
fn read(file: &File) -> Vec<Span> {
    let lines = BufReader::new(file).lines();
    lines.map_while(|line| serde_json::from_str(&line.ok()?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("everhook-spool-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    fn span(n: u64) -> Span {
        let start = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        Span::new("webhook.post", u128::MAX - u128::from(n), n + 1, (start, start + Duration::from_nanos(n)))
            .under(7)
            .with("event.id", format!("evt_{n}"))
            .with("delivery.attempt", 2_u32)
            .with("everhook.from_timestamps", true)
            .linked([(u128::MAX, 3)])
            .failed(Some("timeout".into()))
    }

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn what_was_not_sent_is_there_for_the_next_process_and_only_once() {
        let folder = folder("left");
        let mut dead = Spool::open(&folder, "consumer").unwrap();
        dead.append(&[span(0), span(1)]).unwrap();
        dead.append(&[span(2)]).unwrap();
        dead.segments.back_mut().unwrap().file.write_all(br#"{"name":"cut o"#).unwrap();
        let next = Spool::open(&folder, "consumer").unwrap();
        assert!(next.left_behind().unwrap().is_empty(), "it lives");
        drop(dead);
        let other = Spool::open(&folder, "con").unwrap();
        assert!(other.left_behind().unwrap().is_empty(), "another service's");
        let mut left = next.left_behind().unwrap();
        assert!(next.left_behind().unwrap().is_empty(), "somebody has it in hand");
        let left = left.pop().unwrap();
        let as_json = |spans: &[Span]| serde_json::to_string(spans).unwrap();
        assert_eq!(as_json(&left.spans), as_json(&[span(0), span(1), span(2)]));
        left.remove().unwrap();
        assert_eq!(files(&folder), 2, "those of the two that live");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn segments_of_which_all_is_done_are_removed() {
        let folder = folder("segments");
        let mut spool = Spool::open(&folder, "consumer").unwrap();
        let most = 12_000;
        (0..most).for_each(|n| spool.append(&[span(n)]).unwrap());
        let all = files(&folder);
        assert!(all > 2, "{all}");
        spool.finish(5_000).unwrap();
        assert!((2..all).contains(&files(&folder)));
        spool.finish(usize::try_from(most).unwrap() - 5_000).unwrap();
        let last = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
        assert_eq!((files(&folder), last.metadata().unwrap().len()), (1, 0));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
