//! Appends to the account file, and syncs what must not be forgotten.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Context as _, anyhow};
use tokio::sync::oneshot;

use super::Line;

/// The one writer of an account file. Acknowledgements that are ready together share a sync.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    /// None only while it is dropped.
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Job {
    line: Vec<u8>,
    synced: oneshot::Sender<io::Result<()>>,
}

impl Writer {
    /// Opens the file, or makes it; what is in it stays, and is added to.
    ///
    /// # Errors
    /// If it can't be written, or another load is writing to it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("can't open the account {shown}"))?;
        file.try_lock().with_context(|| format!("another load is writing to the account {shown}"))?;
        drop_torn_line(&mut file).with_context(|| format!("can't read the account {shown}"))?;
        sync_folder(path).with_context(|| format!("can't sync the folder of {shown}"))?;
        let synced_file = file.try_clone().with_context(|| format!("can't share the account {shown}"))?;
        let (queue, jobs) = mpsc::channel();
        // A sync blocks: it has a thread of its own, which ends with the writer.
        let thread = std::thread::Builder::new()
            .name("account".to_owned())
            .spawn(move || write_and_sync(&synced_file, &jobs))
            .context("can't start the thread that syncs the account")?;
        Ok(Self { path: path.to_owned(), file, queue: Some(queue), thread: Some(thread) })
    }

    /// Writes a line. It survives this process from now on, and the machine from the next sync on.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn note(&self, line: &Line) -> anyhow::Result<()> {
        // Written here and not by the thread: an intent must not wait for somebody else's sync.
        (&self.file).write_all(&to_bytes(line)?).with_context(|| self.failed())
    }

    /// Writes a line and syncs it.
    ///
    /// # Errors
    /// If the file can't be written or synced.
    pub async fn sync(&self, line: &Line) -> anyhow::Result<()> {
        let (synced, answer) = oneshot::channel();
        let gone = || anyhow!("the thread that syncs the account has ended");
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(Job { line: to_bytes(line)?, synced }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?.with_context(|| self.failed())
    }

    fn failed(&self) -> String {
        format!("can't write to the account {}", self.path.display())
    }
}

impl Drop for Writer {
    /// The thread holds the file, and with it the lock: both are let go before the next writer may come.
    fn drop(&mut self) {
        self.queue = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("the thread that syncs {} died", self.path.display());
        }
    }
}

fn to_bytes(line: &Line) -> anyhow::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(line).context("can't write a line of the account as JSON")?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn write_and_sync(mut file: &File, jobs: &mpsc::Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let group: Vec<Job> = std::iter::once(first).chain(jobs.try_iter()).collect();
        let bytes: Vec<u8> = group.iter().flat_map(|job| job.line.iter().copied()).collect();
        let result = file.write_all(&bytes).and_then(|()| file.sync_data());
        for job in group {
            let result = result.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string()));
            // A caller that has gone away needs no answer.
            let _ = job.synced.send(result);
        }
    }
}

/// A line without an end was being written when a load was killed; it never counted.
fn drop_torn_line(file: &mut File) -> io::Result<()> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    if whole < bytes.len() {
        file.set_len(u64::try_from(whole).map_err(io::Error::other)?)?;
    }
    Ok(())
}

/// Without it a new file may be gone after a power cut, however well its content is synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Account, Merchant};

    fn merchant(n: u8) -> Line {
        let merchant_id = format!("mer_{n:032x}").parse().unwrap();
        Line::Merchant(Merchant { merchant_id, name: format!("merchant {n}") })
    }

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("everhook-account-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder.join("account.jsonl")
    }

    #[tokio::test]
    async fn what_was_synced_or_noted_is_read_again() {
        let path = scratch("written");
        let writer = Writer::open(&path).unwrap();
        writer.note(&merchant(1)).unwrap();
        let lines: Vec<Line> = (2..50).map(merchant).collect();
        futures_util::future::try_join_all(lines.iter().map(|line| writer.sync(line))).await.unwrap();
        let names: Vec<_> = Account::read(&path).unwrap().merchants.into_iter().map(|m| m.name).collect();
        assert_eq!(names, (1..50).map(|n| format!("merchant {n}")).collect::<Vec<_>>());
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[tokio::test]
    async fn a_torn_last_line_is_left_out_and_written_over() {
        let path = scratch("torn");
        Writer::open(&path).unwrap().sync(&merchant(1)).await.unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"kind\":\"acknow").unwrap();
        assert_eq!(Account::read(&path).unwrap().merchants.len(), 1);
        Writer::open(&path).unwrap().sync(&merchant(2)).await.unwrap();
        assert_eq!(Account::read(&path).unwrap().merchants.len(), 2);
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn two_loads_do_not_write_to_one_account() {
        let path = scratch("locked");
        let _first = Writer::open(&path).unwrap();
        let error = Writer::open(&path).unwrap_err();
        assert!(error.to_string().contains("another load"), "{error:#}");
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
