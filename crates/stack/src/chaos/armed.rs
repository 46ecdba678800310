//! The points that are armed now, and which death was due to one of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use tokio::sync::oneshot;

use super::target::Point;

/// The folder in which a file arms a point, and who waits for it to be hit.
#[derive(Debug)]
pub struct Armed {
    folder: PathBuf,
    waiting: Mutex<BTreeMap<Point, oneshot::Sender<String>>>,
}

impl Armed {
    /// Nothing is armed yet.
    ///
    /// # Errors
    /// If the folder can't be made.
    pub fn new(folder: PathBuf) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        Ok(Self { folder, waiting: Mutex::default() })
    }

    /// Arms a point; the answer tells which process has died there.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn arm(&self, point: Point) -> anyhow::Result<oneshot::Receiver<String>> {
        let (hit, told) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(point, hit);
        let file = self.folder.join(point.name());
        std::fs::write(&file, "").with_context(|| format!("can't write {}", file.display()))?;
        Ok(told)
    }

    /// Disarms a point; false if it was hit before.
    #[must_use]
    pub fn disarm(&self, point: Point) -> bool {
        let disarmed = std::fs::remove_file(self.folder.join(point.name())).is_ok();
        if disarmed {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&point);
        }
        disarmed
    }

    /// A process was killed by somebody. Answers the point that it was hit at, if it was one, and whoever armed that was told:
    /// it starts the process again.
    pub fn explain(&self, process: &str) -> Option<Point> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has given up starts nothing.
        waiting.retain(|_, told| !told.is_closed());
        let passed = |point: &Point| point.is_passed_by(process) && !self.folder.join(point.name()).exists();
        let point = waiting.keys().copied().find(passed)?;
        waiting.remove(&point)?.send(process.to_owned()).is_ok().then_some(point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_explained_once_by_a_point_whose_file_is_gone() {
        let folder = std::env::temp_dir().join(format!("everhook-armed-{}", std::process::id()));
        let armed = Armed::new(folder.clone()).unwrap();
        let mut told = armed.arm(Point::PostBeforeRecord).unwrap();
        let _other = armed.arm(Point::KafkaBeforePosition).unwrap();
        assert_eq!(armed.explain("webhook-consumer-2"), None, "nobody has passed");
        std::fs::remove_file(folder.join("post.before_record")).unwrap();
        assert_eq!(armed.explain("cdc-relay"), None, "it does not pass there");
        assert_eq!(armed.explain("webhook-consumer-2"), Some(Point::PostBeforeRecord));
        assert_eq!(told.try_recv().unwrap(), "webhook-consumer-2");
        assert_eq!(armed.explain("webhook-consumer-2"), None);
        assert!(armed.disarm(Point::KafkaBeforePosition) && !armed.disarm(Point::KafkaBeforePosition));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_point_that_nobody_waits_for_any_more_explains_nothing_and_hides_no_other_one() {
        let folder = std::env::temp_dir().join(format!("everhook-given-up-{}", std::process::id()));
        let armed = Armed::new(folder.clone()).unwrap();
        drop(armed.arm(Point::FanOutBetweenRecords).unwrap());
        std::fs::remove_file(folder.join(Point::FanOutBetweenRecords.name())).unwrap();
        assert_eq!(armed.explain("webhook-consumer"), None, "it would never be started again");
        drop(armed.arm(Point::FanOutBetweenRecords).unwrap());
        let mut told = armed.arm(Point::PostBeforeRecord).unwrap();
        for point in [Point::FanOutBetweenRecords, Point::PostBeforeRecord] {
            std::fs::remove_file(folder.join(point.name())).unwrap();
        }
        assert_eq!(armed.explain("webhook-consumer"), Some(Point::PostBeforeRecord));
        assert_eq!(told.try_recv().unwrap(), "webhook-consumer");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
