//! Takes the end of a topic's files away, as a power cut does where the disk had not written what it had been given.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

/// What was taken away from a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Which.
    pub partition: i32,
    /// The first offset that is gone.
    pub from: i64,
    /// The offset that the next record would have had.
    pub end: i64,
}

/// A batch of records in a file: where it begins, and which offsets it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batch {
    position: usize,
    first: i64,
    last: i64,
}

/// Before a batch's own length counts: its first offset and the length.
const PROLOGUE: usize = 12;
/// Where in a batch the distance of its last offset from its first is.
const LAST_DELTA: usize = 23;

/// Cuts at least `records` records off each partition of a topic in Kafka's data folder, in whole batches, and leaves
/// some torn bytes of the first that is gone.
///
/// # Errors
/// If a partition has fewer records in its newest file, or a file can't be read or written.
pub fn cut(data: &Path, topic: &str, records: u64) -> anyhow::Result<Vec<Cut>> {
    let mut cuts = Vec::new();
    for entry in std::fs::read_dir(data).with_context(|| format!("can't read {}", data.display()))? {
        let entry = entry.with_context(|| format!("can't read {}", data.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let partition = name.strip_prefix(topic).and_then(|rest| rest.strip_prefix('-'));
        let Some(partition) = partition.and_then(|number| number.parse().ok()) else { continue };
        let segment = newest_segment(&entry.path())?;
        let bytes = std::fs::read(&segment).with_context(|| format!("can't read {}", segment.display()))?;
        let batches = batches(&bytes).with_context(|| format!("{} is no file of Kafka's", segment.display()))?;
        let Some(end) = batches.last().map(|batch| batch.last + 1) else { bail!("{name} holds no records") };
        let wanted = end.saturating_sub_unsigned(records);
        let first_gone = batches.iter().rfind(|batch| batch.first <= wanted);
        let first_gone = first_gone.with_context(|| format!("{name} has fewer than {records} records to be cut"))?;
        let file = OpenOptions::new().write(true).open(&segment);
        let file = file.with_context(|| format!("can't open {}", segment.display()))?;
        let kept = u64::try_from(first_gone.position + PROLOGUE).context("the file is too long")?;
        file.set_len(kept)
            .and_then(|()| file.sync_all())
            .with_context(|| format!("can't cut {}", segment.display()))?;
        cuts.push(Cut { partition, from: first_gone.first, end });
    }
    ensure!(!cuts.is_empty(), "{} holds no partition of {topic}", data.display());
    cuts.sort_unstable_by_key(|cut| cut.partition);
    Ok(cuts)
}

/// Segments are named by their first offset, in digits of one length.
fn newest_segment(partition: &Path) -> anyhow::Result<PathBuf> {
    let entries = std::fs::read_dir(partition).with_context(|| format!("can't read {}", partition.display()))?;
    let files = entries.flatten().map(|entry| entry.path());
    let segments = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    segments.max().with_context(|| format!("{} holds no segment", partition.display()))
}

/// The batches of a file, whose unused end is zeros or nothing.
fn batches(bytes: &[u8]) -> Option<Vec<Batch>> {
    let number = |at: usize, width: usize| bytes.get(at..at + width);
    let mut batches = Vec::new();
    let mut position = 0;
    while let Some(length) = number(position + 8, 4) {
        let length = usize::try_from(i32::from_be_bytes(length.try_into().ok()?)).ok()?;
        if length == 0 {
            break;
        }
        let first = i64::from_be_bytes(number(position, 8)?.try_into().ok()?);
        let delta = i32::from_be_bytes(number(position + LAST_DELTA, 4)?.try_into().ok()?);
        batches.push(Batch { position, first, last: first + i64::from(delta) });
        position += PROLOGUE + length;
    }
    (position <= bytes.len()).then_some(batches)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch as far as its header goes, with so many bytes of records.
    fn batch(first: i64, records: i32, size: usize) -> Vec<u8> {
        let length = i32::try_from(LAST_DELTA + 4 - PROLOGUE + size).unwrap();
        let mut bytes = first.to_be_bytes().to_vec();
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; LAST_DELTA - PROLOGUE]);
        bytes.extend((records - 1).to_be_bytes());
        bytes.extend(vec![7; size]);
        bytes
    }

    #[test]
    fn whole_batches_are_cut_and_torn_bytes_stay() {
        let data = std::env::temp_dir().join(format!("everhook-tail-{}", std::process::id()));
        let partition = data.join("events-1");
        std::fs::create_dir_all(&partition).unwrap();
        std::fs::create_dir_all(data.join("events-else-0")).unwrap();
        let first = batch(40, 3, 100);
        let file = [first.clone(), batch(43, 2, 50), batch(45, 1, 10)].concat();
        std::fs::write(partition.join("00000000000000000000.log"), "an older one").unwrap();
        std::fs::write(partition.join("00000000000000000040.log"), &file).unwrap();

        // Of the two records of one batch none stays.
        assert_eq!(cut(&data, "events", 2).unwrap(), [Cut { partition: 1, from: 43, end: 46 }]);
        let left = std::fs::read(partition.join("00000000000000000040.log")).unwrap();
        assert_eq!(left.len(), first.len() + PROLOGUE);
        assert_eq!(left, file[..left.len()]);
        let error = cut(&data, "nothing", 1).unwrap_err().to_string();
        assert!(error.contains("holds no partition of nothing"), "{error}");
        std::fs::remove_dir_all(&data).unwrap();
    }

    #[test]
    fn more_than_there_is_is_not_cut() {
        let data = std::env::temp_dir().join(format!("everhook-tail-short-{}", std::process::id()));
        std::fs::create_dir_all(data.join("events-0")).unwrap();
        std::fs::write(data.join("events-0/00000000000000000040.log"), batch(40, 3, 100)).unwrap();
        let error = cut(&data, "events", 4).unwrap_err().to_string();
        assert!(error.contains("fewer than 4 records"), "{error}");
        std::fs::remove_dir_all(&data).unwrap();
    }
}
