//! A listening socket that outlives the process. What comes in while one process ends and the next one starts waits in the
//! kernel instead of being refused.
//!
//! systemd keeps the socket in the unit's file descriptor store (`FileDescriptorStoreMax=`) and passes it to each process
//! (`LISTEN_FDS`); so does whoever else starts the process with a socket of its own.

use std::net::SocketAddr;
use std::os::fd::AsFd as _;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::TcpListener;

/// What systemd calls it.
const NAME: NotifyState<'static> = NotifyState::FdName("http");

/// What was passed to this process.
#[derive(Debug)]
pub enum Passed {
    /// No socket.
    Nothing,
    /// One with the address that is to be listened at.
    Fits(TcpListener),
    /// One with another address, which is closed: the configuration has changed.
    Elsewhere(SocketAddr),
}

/// Takes the socket that was passed; a second call finds nothing.
///
/// # Errors
/// If something was passed that is no TCP socket, or can't be used.
pub fn passed(address: SocketAddr) -> std::io::Result<Passed> {
    match ListenFd::from_env().take_tcp_listener(0)? {
        Some(listener) if listener.local_addr()? == address => {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener).map(Passed::Fits)
        }
        Some(listener) => Ok(Passed::Elsewhere(listener.local_addr()?)),
        None => Ok(Passed::Nothing),
    }
}

/// Asks systemd to keep the socket. Does nothing where no systemd has started the process.
pub fn keep(listener: &TcpListener) {
    if let Err(error) = sd_notify::notify_with_fds(&[NotifyState::FdStore, NAME], &[listener.as_fd()]) {
        tracing::warn!(%error, "systemd could not be asked to keep the listening socket");
    }
}

/// Asks systemd to keep no longer what it has passed.
pub fn forget() {
    if let Err(error) = sd_notify::notify(&[NotifyState::FdStoreRemove, NAME]) {
        tracing::warn!(%error, "systemd could not be asked to let a listening socket go");
    }
}
