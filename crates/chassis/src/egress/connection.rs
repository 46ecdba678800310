//! A connection that knows whom it is with.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection as IsConnection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

/// What is known of a connection. Every request on it sees this.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Whom it is with.
    pub address: IpAddr,
    /// How long look-up, connecting and TLS took.
    took: Duration,
    used: Arc<AtomicBool>,
}

/// TCP, or TLS over it.
pub(super) struct Connection {
    stream: TokioIo<Either<TcpStream, TlsStream<TcpStream>>>,
    facts: Facts,
}

impl Facts {
    pub fn new(address: IpAddr, took: Duration) -> Self {
        Self { address, took, used: Arc::default() }
    }

    /// How long it took, for the first that uses the connection. The others did not wait for it.
    pub fn took_for_me(&self) -> Option<Duration> {
        (!self.used.swap(true, Ordering::Relaxed)).then_some(self.took)
    }
}

impl Connection {
    pub fn new(stream: Either<TcpStream, TlsStream<TcpStream>>, facts: Facts) -> Self {
        Self { stream: TokioIo::new(stream), facts }
    }
}

impl IsConnection for Connection {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.facts.clone())
    }
}

impl Read for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}
