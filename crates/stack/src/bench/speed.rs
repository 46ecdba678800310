//! How fast the machine is meanwhile: the CPU time of the same small piece of work, again and again.
//!
//! On a machine whose cores are shared, the same work takes up to twice the time while a neighbour is busy, and nothing else
//! tells: it is neither stolen time nor anybody's on this machine.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};

/// From one piece to the next.
const EVERY: Duration = Duration::from_millis(50);
/// Numbers that one piece writes down: some hundred microseconds.
const NUMBERS: u32 = 10_000;

/// Works from now on, on a thread of its own.
pub struct Probe {
    over: Over,
    thread: JoinHandle<Vec<Duration>>,
}

/// Ends the work, also that of a phase that has failed.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Probe {
    /// Begins.
    ///
    /// # Errors
    /// If there can be no further thread.
    pub fn begin() -> anyhow::Result<Self> {
        let over = Over(Arc::new(AtomicBool::new(false)));
        let seen = over.0.clone();
        let work = move || {
            let (mut all, mut text) = (Vec::new(), String::new());
            loop {
                all.push(piece(&mut text));
                if seen.load(Ordering::Relaxed) {
                    return all;
                }
                std::thread::sleep(EVERY);
            }
        };
        let thread =
            std::thread::Builder::new().name("speed".to_owned()).spawn(work).context("can't start a thread")?;
        Ok(Self { over, thread })
    }

    /// Ends, and answers what a piece has cost on the average, in CPU microseconds.
    ///
    /// # Errors
    /// If it has panicked.
    pub fn end(self) -> anyhow::Result<f64> {
        drop(self.over);
        let Ok(all) = self.thread.join() else { anyhow::bail!("what measures the machine's speed has panicked") };
        let total: Duration = all.iter().sum();
        Ok(total.as_secs_f64() * 1_000_000.0 / f64::from(u32::try_from(all.len())?))
    }
}

/// As a service's work: branches, calls and bytes. A chain of multiplications would not feel the neighbour on its core.
fn piece(text: &mut String) -> Duration {
    let before = cpu_time();
    for number in 0..NUMBERS {
        text.clear();
        // Writing to a text does not fail.
        let _ = write!(text, "{number}");
        black_box(&mut *text);
    }
    cpu_time().saturating_sub(before)
}

/// Of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_costs_time() {
        let probe = Probe::begin().unwrap();
        let us = probe.end().unwrap();
        assert!(us > 1.0, "{us}: the work was optimised away");
    }
}
