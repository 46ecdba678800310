//! A TCP proxy that disturbs what passes through it: it cuts, refuses, stalls and slows.

use std::io;
use std::time::Duration;

use chassis::Lifecycle;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// So much is read at a time.
const CHUNK: usize = 16 * 1024;
/// So many chunks may be on the way; then whoever sends has to wait, as in a full pipe.
const ON_THE_WAY: usize = 16;
/// A server on this machine takes a connection at once, or it is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// For a port that somebody else has meanwhile.
const BIND_AGAIN: Duration = Duration::from_millis(50);

/// What becomes of connections and of what they carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    Pass,
    /// What stands is cut, and nobody listens.
    Refuse,
    /// Nothing passes, in either direction, and nobody is told.
    Stall,
    /// Everything is late, and only so much passes a second, in each direction of each connection.
    Slow {
        /// How late.
        latency: Duration,
        /// How much.
        bytes_per_second: u32,
    },
}

/// One proxy. It is closed, and its connections are cut, when this value is dropped.
#[derive(Debug)]
pub struct Proxy {
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    /// Raised by each cut: a connection of an earlier number is cut.
    cuts: u64,
}

impl Proxy {
    /// Listens on a port of this machine, and connects what comes to one of these others: to each in turn, but to none
    /// that does not answer.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn open(lifecycle: &Lifecycle, front: u16, backs: Vec<u16>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", front)).await?;
        let (state, seen) = watch::channel(State { mode: Mode::Pass, cuts: 0 });
        lifecycle.spawn(serve(lifecycle.clone(), listener, front, backs, seen));
        Ok(Self { state })
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| {
            state.mode = mode;
            state.cuts += u64::from(mode == Mode::Refuse);
        });
    }

    /// Cuts the connections that stand now, and lets others pass.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }
}

async fn serve(
    lifecycle: Lifecycle,
    listener: TcpListener,
    front: u16,
    backs: Vec<u16>,
    mut state: watch::Receiver<State>,
) {
    let mut listener = Some(listener);
    let mut turn = 0;
    loop {
        let State { mode, cuts } = *state.borrow_and_update();
        if mode == Mode::Refuse {
            // With the listener goes what waits in its queue.
            listener = None;
        } else if listener.is_none() {
            match TcpListener::bind(("127.0.0.1", front)).await {
                Ok(bound) => listener = Some(bound),
                Err(error) => {
                    tracing::warn!(%error, front, "a proxy can't listen again yet");
                    sleep(BIND_AGAIN).await;
                    continue;
                }
            }
        }
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            () = lifecycle.stopped() => return,
            accepted = accept(listener.as_ref()) => match accepted {
                Ok(client) => {
                    turn += 1;
                    let mut backs = backs.clone();
                    let first = turn % backs.len().max(1);
                    backs.rotate_left(first);
                    lifecycle.spawn(connection(lifecycle.clone(), client, backs, state.clone(), cuts));
                }
                // Out of file descriptors, say: others end by and by.
                Err(error) => {
                    tracing::warn!(%error, front, "a proxy can't accept a connection");
                    sleep(BIND_AGAIN).await;
                }
            },
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(client, _)| client),
        None => std::future::pending().await,
    }
}

/// One connection, until an end closes it, it breaks, or it is cut. Unless both ends have closed it, each is told by a
/// reset, as by a host that is gone.
async fn connection(
    lifecycle: Lifecycle,
    mut client: TcpStream,
    backs: Vec<u16>,
    state: watch::Receiver<State>,
    born: u64,
) {
    let mut cut = state.clone();
    // An error is a proxy that was dropped.
    let cut = async { drop(cut.wait_for(|state| state.cuts > born).await) };
    let mut server = None;
    let is_closed = tokio::select! {
        () = cut => false,
        () = lifecycle.stopped() => false,
        carried = carry(&mut client, &mut server, &backs, state) => carried.is_ok(),
    };
    if !is_closed {
        for stream in std::iter::once(&client).chain(&server) {
            if let Err(error) = stream.set_zero_linger() {
                tracing::debug!(%error, "a connection is closed without a reset");
            }
        }
    }
}

async fn carry(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    backs: &[u16],
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    passable(&mut state).await?;
    let server = server.insert(connect(backs).await?);
    for stream in [&*client, &*server] {
        stream.set_nodelay(true)?;
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    tokio::try_join!(pump(from_client, to_server, state.clone()), pump(from_server, to_client, state))?;
    Ok(())
}

async fn connect(backs: &[u16]) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::NotFound.into();
    for back in backs {
        match timeout(CONNECT_WITHIN, TcpStream::connect(("127.0.0.1", *back))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// One direction. What is read is on the way from then on, so that what is late is not late by the sum of it.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut state: watch::Receiver<State>) -> io::Result<()> {
    let (queue, mut chunks) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let read = async move {
        loop {
            let mut chunk = vec![0; CHUNK];
            let count = from.read(&mut chunk).await?;
            chunk.truncate(count);
            if count == 0 || queue.send((Instant::now(), chunk)).await.is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let write = async {
        while let Some((read_at, chunk)) = chunks.recv().await {
            if let Mode::Slow { latency, bytes_per_second } = passable(&mut state).await? {
                let bytes = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
                sleep(Duration::from_secs_f64(f64::from(bytes) / f64::from(bytes_per_second.max(1)))).await;
                sleep_until(read_at + latency).await;
                passable(&mut state).await?;
            }
            to.write_all(&chunk).await?;
        }
        passable(&mut state).await?;
        to.shutdown().await
    };
    tokio::try_join!(read, write)?;
    Ok(())
}

/// Waits until something may pass, and answers how.
async fn passable(state: &mut watch::Receiver<State>) -> io::Result<Mode> {
    let passes = state.wait_for(|state| state.mode != Mode::Stall).await;
    passes.map(|state| state.mode).map_err(|_| io::ErrorKind::ConnectionAborted.into())
}

#[cfg(test)]
mod tests;
