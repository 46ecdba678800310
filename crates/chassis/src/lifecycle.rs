//! How a process starts its tasks, hears that it should stop, and stops cleanly.

use std::future::Future;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// The one door for spawned tasks, and the one signal to stop. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Tasks were still running when the time to stop was over.
#[derive(Debug, thiserror::Error)]
#[error("{count} tasks were still running {timeout:?} after the request to stop")]
pub struct StillRunning {
    /// How many.
    pub count: usize,
    /// How long they were given.
    pub timeout: Duration,
}

impl Lifecycle {
    /// A lifecycle that stops on SIGTERM and SIGINT.
    ///
    /// # Errors
    /// If the signal handlers can't be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        let lifecycle = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = lifecycle.stop.clone();
        lifecycle.spawn(async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("stopping on SIGTERM"),
                _ = interrupt.recv() => tracing::info!("stopping on SIGINT"),
                () = stop.cancelled() => {}
            }
            stop.cancel();
        });
        Ok(lifecycle)
    }

    /// Runs a task that [`Lifecycle::finish`] waits for. It should end soon after [`Lifecycle::stopped`].
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Runs a task without which the process is of no use: when it ends, for whatever reason, the process stops.
    pub fn spawn_vital<F>(&self, name: &'static str, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let guard = StopOnDrop { name, stop: self.stop.clone() };
        self.tasks.spawn(async move {
            let _guard = guard;
            task.await
        });
    }

    /// Asks everything to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether the process was asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Resolves when the process is asked to stop.
    pub fn stopped(&self) -> WaitForCancellationFutureOwned {
        self.stop.clone().cancelled_owned()
    }

    /// Sleeps; false if the process was asked to stop meanwhile.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(duration) => true,
        }
    }

    /// Tells systemd that the process serves, waits for the request to stop, then for the tasks, at most `timeout`.
    ///
    /// # Errors
    /// If tasks are still running then; they die with the process.
    pub async fn finish(&self, timeout: Duration) -> Result<(), StillRunning> {
        tell_systemd(NotifyState::Ready);
        self.stop.cancelled().await;
        tell_systemd(NotifyState::Stopping);
        self.tasks.close();
        tokio::time::timeout(timeout, self.tasks.wait())
            .await
            .map_err(|_| StillRunning { count: self.tasks.len(), timeout })
    }
}

/// Does nothing where no systemd has started the process with `Type=notify`.
fn tell_systemd(state: NotifyState<'_>) {
    let said = state.to_string();
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, said, "systemd could not be told");
    }
}

struct StopOnDrop {
    name: &'static str,
    stop: CancellationToken,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            tracing::error!(task = self.name, "a vital task ended; the process stops");
            self.stop.cancel();
        }
    }
}

/// Runs the whole process on a runtime with so many threads; one means the current thread.
///
/// # Errors
/// If the runtime can't be built, or what `main` returns.
pub fn run<F, E>(threads: usize, main: F) -> Result<(), E>
where
    F: Future<Output = Result<(), E>>,
    E: From<std::io::Error>,
{
    let runtime = if threads <= 1 {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?
    };
    runtime.block_on(main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_vital_task_that_ends_stops_the_process() {
        let lifecycle = Lifecycle::default();
        lifecycle.spawn_vital("short", async {});
        lifecycle.finish(Duration::from_secs(5)).await.unwrap();
        assert!(lifecycle.is_stopping());
    }

    #[tokio::test]
    async fn a_task_that_does_not_stop_is_counted() {
        let lifecycle = Lifecycle::default();
        lifecycle.spawn(std::future::pending::<()>());
        lifecycle.stop();
        let error = lifecycle.finish(Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(error.count, 1);
    }
}
