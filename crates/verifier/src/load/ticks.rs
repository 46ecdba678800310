//! The clock of an open loop.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// Sends the moment of each tick, `rate` a second from now on, until the receiver is dropped.
///
/// The ticks come from a thread, since the runtime's timer is only exact to a millisecond or two,
/// which would be a good part of the latency that is measured.
///
/// # Errors
/// If the thread can't be started.
pub fn start(rate: f64) -> std::io::Result<mpsc::UnboundedReceiver<Instant>> {
    let (ticks, receiver) = mpsc::unbounded_channel();
    std::thread::Builder::new().name("ticks".to_owned()).spawn(move || {
        let start = Instant::now();
        for n in 0_u32.. {
            let due = start + Duration::from_secs_f64(f64::from(n) / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if ticks.send(due).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ticks_are_due_at_even_distances_and_never_early() {
        let mut ticks = start(200.0).unwrap();
        let first = ticks.recv().await.unwrap();
        for n in 1..20 {
            let due = ticks.recv().await.unwrap();
            let distance = (due - first).as_secs_f64();
            assert!((distance - f64::from(n) / 200.0).abs() < 1e-6, "tick {n} is due after {distance} s");
            assert!(Instant::now() >= due);
        }
    }
}
