//! One child process: started with its own log file, never outliving the launcher, always waited for.
//!
//! The thread that starts a child also waits for it. That is what makes the parent-death signal right: the kernel sends
//! it when the *thread* that forked ends, and this one ends only after the child.

pub mod frozen;
pub mod identity;
pub mod log;
pub mod run;
pub mod user;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, getppid, set_parent_process_death_signal, setsid};
use tokio::sync::{oneshot, watch};

use self::identity::Identity;
use self::user::User;

/// How to start one process.
#[derive(Debug, Clone)]
pub struct Spec {
    /// What the process is called in messages, in the state file and by [`crate::Stack`].
    pub name: String,
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Set on top of the launcher's environment, of which no variable named `EVERHOOK_…` or `PG…` is passed on.
    pub environment: Vec<(String, OsString)>,
    /// Where it runs.
    pub directory: PathBuf,
    /// The file that stdout and stderr are appended to.
    pub log: PathBuf,
    /// Whom it runs as, if not as the launcher's user.
    pub user: Option<User>,
    /// What asks it to stop cleanly.
    pub stop_signal: Signal,
    /// What it listens at, if that outlives it.
    pub socket: Option<Arc<TcpListener>>,
    /// Whether it leads a session of its own, as systemd starts a service. When the cores are full, the kernel gives each
    /// session the same share (`kernel.sched_autogroup_enabled`); PostgreSQL makes one of each backend, and all that lead
    /// none have a single share together with the launcher.
    pub own_session: bool,
}

/// A started process. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    identity: Identity,
    // Signals go through this handle: it can't hit another process that got the same number.
    handle: OwnedFd,
    exit: watch::Receiver<Option<ExitStatus>>,
    log: PathBuf,
    stop_signal: Signal,
}

/// How a process came to its end after [`Process::stop`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// By itself.
    Cleanly(ExitStatus),
    /// It did not end in time and was killed.
    Killed,
}

/// What says which sockets are passed to a process; ours are for nobody else.
const PASSED: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_FDS_FIRST_FD"];

struct Started {
    identity: Identity,
    handle: OwnedFd,
}

impl Process {
    /// Starts the process.
    ///
    /// # Errors
    /// If the log can't be opened or the program can't be executed.
    pub async fn spawn(spec: &Spec) -> anyhow::Result<Self> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&spec.log)
            .with_context(|| format!("can't open the log {}", spec.log.display()))?;
        let mut command = Command::new(&spec.program);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|n| n.starts_with("EVERHOOK_") || n.starts_with("PG")) {
                command.env_remove(name);
            }
        }
        command
            .args(&spec.arguments)
            .envs(spec.environment.iter().map(|(n, v)| (n, v)))
            .current_dir(&spec.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("can't share the log")?)
            .stderr(log);
        for name in PASSED {
            command.env_remove(name);
        }
        if let Some(socket) = &spec.socket {
            let socket = socket.try_clone().with_context(|| format!("can't share the socket of {}", spec.name))?;
            // As systemd does it, but that it begins at 0 instead of 3: a number that the child has not used yet.
            command.stdin(OwnedFd::from(socket)).env("LISTEN_FDS", "1").env("LISTEN_FDS_FIRST_FD", "0");
        }
        if let Some(user) = &spec.user {
            // The standard library drops the supplementary groups with the user.
            command.uid(user.uid).gid(user.gid);
        }
        // A ctrl-C in the terminal is for the launcher, which then stops its children in order.
        if spec.own_session {
            in_own_session(&mut command);
        } else {
            command.process_group(0);
        }
        die_with_launcher(&mut command);

        let (started, on_start) = oneshot::channel();
        let (exited, exit) = watch::channel(None);
        std::thread::Builder::new()
            .name(format!("waits for {}", spec.name))
            .spawn(move || start_and_wait(&mut command, started, &exited))
            .context("can't start a thread")?;
        let start = on_start.await.context("the thread that starts processes ended")?;
        let Started { identity, handle } =
            start.with_context(|| format!("can't start {} ({})", spec.name, spec.program.display()))?;
        Ok(Self {
            name: spec.name.clone(),
            identity,
            handle,
            exit,
            log: spec.log.clone(),
            stop_signal: spec.stop_signal,
        })
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number and start time.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &std::path::Path {
        &self.log
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn exited(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Resolves when it has ended and was waited for.
    pub fn ended(&self) -> impl Future<Output = ExitStatus> + Send + use<> {
        let mut exit = self.exit.clone();
        async move {
            match exit.wait_for(Option::is_some).await {
                Ok(status) => status.unwrap_or_else(unknown_exit),
                // The waiting thread sends before it ends, so this is a thread that died.
                Err(_) => unknown_exit(),
            }
        }
    }

    /// Sends a signal; one that has ended already is left in peace.
    ///
    /// # Errors
    /// If the signal may not be sent.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        match rustix::process::pidfd_send_signal(&self.handle, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("can't send {signal:?} to {}", self.name)),
        }
    }

    /// Asks it to stop by its own signal, waits, and kills it if it takes longer than `within`.
    ///
    /// # Errors
    /// If a signal may not be sent.
    pub async fn stop(&self, within: Duration) -> anyhow::Result<Stopped> {
        self.signal(self.stop_signal)?;
        match tokio::time::timeout(within, self.ended()).await {
            Ok(status) => Ok(Stopped::Cleanly(status)),
            Err(_) => {
                self.kill().await?;
                Ok(Stopped::Killed)
            }
        }
    }

    /// kill -9, and waits for the end.
    ///
    /// # Errors
    /// If the signal may not be sent.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)?;
        self.ended().await;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.exited().is_none()
            && let Err(error) = self.signal(Signal::KILL)
        {
            tracing::warn!(name = self.name, %error, "a process could not be killed");
        }
    }
}

/// `ended with status 1`, `was killed by signal 9`.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Makes the child the leader of a session.
fn in_own_session(command: &mut Command) {
    #[expect(unsafe_code, reason = "between fork and exec it makes one system call and allocates nothing")]
    // SAFETY: setsid is async-signal-safe; the closure touches no lock and no memory of other threads.
    unsafe {
        command.pre_exec(|| Ok(setsid().map(drop)?));
    }
}

/// Makes the kernel kill the child when the thread that starts it ends.
pub(crate) fn die_with_launcher(command: &mut Command) {
    let launcher = getpid();
    let tie = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // If the launcher died before the call above, nothing would ever kill this child.
        if getppid() == Some(launcher) { Ok(()) } else { Err(io::Error::other("the launcher is gone")) }
    };
    #[expect(
        unsafe_code,
        reason = "between fork and exec it makes two system calls and allocates nothing when they work"
    )]
    // SAFETY: prctl and getppid are async-signal-safe; the closure touches no lock and no memory of other threads.
    unsafe {
        command.pre_exec(tie);
    }
}

fn start_and_wait(
    command: &mut Command,
    started: oneshot::Sender<io::Result<Started>>,
    exited: &watch::Sender<Option<ExitStatus>>,
) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            // Nobody listens only if the caller was cancelled.
            let _ = started.send(Err(error));
            return;
        }
    };
    let start = open(&child);
    let keep = start.is_ok();
    if started.send(start).is_err() || !keep {
        // The caller is gone, or can't signal it: it must not be left behind.
        let _ = child.kill();
    }
    let status = child.wait().unwrap_or_else(|_| unknown_exit());
    exited.send_replace(Some(status));
}

fn open(child: &Child) -> io::Result<Started> {
    let pid = Pid::from_child(child);
    let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    // The child is not waited for yet, so even one that has ended can be read in /proc.
    let identity = Identity::of(child.id()).ok_or_else(|| io::Error::other("the new process is not in /proc"))?;
    Ok(Started { identity, handle })
}

fn unknown_exit() -> ExitStatus {
    ExitStatus::from_raw(Signal::KILL.as_raw())
}
