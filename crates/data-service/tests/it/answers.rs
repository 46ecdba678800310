//! Takes answers apart; anything but what is expected fails the test with what came.

use std::time::Duration;

use domain::ledger::Stop;
use domain::protocol::{Answer, Attempt, Later, Opened};

pub fn attempts(opened: Opened) -> Vec<Attempt> {
    match opened {
        Opened::Deliveries { attempts, later } => {
            assert!(later.is_empty(), "nothing was to be waited for: {later:?}");
            attempts
        }
        other => panic!("these are no deliveries: {other:?}"),
    }
}

pub fn waits(opened: Opened) -> Vec<Later> {
    match opened {
        Opened::Deliveries { attempts, later } => {
            assert!(attempts.is_empty(), "nothing was to be attempted: {attempts:?}");
            later
        }
        other => panic!("these are no deliveries: {other:?}"),
    }
}

pub fn attempt(answer: Answer) -> Attempt {
    match answer {
        Answer::Attempt(attempt) => *attempt,
        other => panic!("this is no attempt: {other:?}"),
    }
}

pub fn later(answer: Answer) -> Later {
    match answer {
        Answer::Later(later) => later,
        other => panic!("this is no wait: {other:?}"),
    }
}

pub fn stop(answer: Answer) -> Stop {
    match answer {
        Answer::Stop { why, successors } if successors.is_empty() => why,
        other => panic!("this is no stop, or somebody was behind: {other:?}"),
    }
}

/// Whoever was behind a delivery that has ended, and may go now.
pub fn successors(answer: Answer) -> Vec<Later> {
    match answer {
        Answer::Stop { successors, .. } => successors,
        other => panic!("this is no stop: {other:?}"),
    }
}

/// Whether a wait is the scheduled one, with its ten percent of jitter and some time for the way.
pub fn is_about(delay_ms: u64, scheduled: Duration) -> bool {
    let scheduled = scheduled.as_secs_f64() * 1000.0;
    #[expect(clippy::cast_precision_loss, reason = "waits are far below 2^53 ms")]
    let delay = delay_ms as f64;
    delay >= scheduled * 0.89 && delay <= scheduled * 1.11
}
