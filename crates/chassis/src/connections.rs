//! The connections of a door: accepted until the process is asked to stop, and then let go so that no request is lost.
//!
//! HTTP/1.1 can't say that an idle connection is going to be closed: a request that is on its way at that moment is lost,
//! and its client can't know whether it was done. So a connection lives on for a moment, and its next answer says that it
//! is the last.

use std::fmt::Display;
use std::pin::pin;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::Lifecycle;

/// Longer than our own clients take to use an idle connection again, and than a request is then on its way to us.
const LINGER: Duration = Duration::from_secs(2);

/// Out of file descriptors: a moment for the others to end.
const PAUSE: Duration = Duration::from_millis(50);

/// How connections are let go when the process is asked to stop.
#[derive(Debug, Clone)]
pub enum Farewell {
    /// For a moment more, connections are accepted and idle ones kept; then they are closed as their protocol does it.
    Gradual,
    /// None is accepted any more, and all are closed once what this counts has ended.
    After(TaskTracker),
}

impl Farewell {
    async fn time_has_come(self, lifecycle: Lifecycle) {
        lifecycle.stopped().await;
        match self {
            Self::Gradual => tokio::time::sleep(LINGER).await,
            Self::After(work) => {
                work.close();
                work.wait().await;
            }
        }
    }
}

/// Accepts connections and drives what `connect` makes of each, until the lifecycle stops. Requests under way are finished.
pub fn accept<C, F>(lifecycle: &Lifecycle, name: &'static str, listener: TcpListener, farewell: Farewell, connect: F)
where
    C: GracefulConnection + Send + 'static,
    C::Error: Display + Send,
    F: Fn(TokioIo<TcpStream>) -> C + Send + 'static,
{
    let (own, open) = (lifecycle.clone(), TaskTracker::new());
    lifecycle.spawn_vital(name, async move {
        let mut over = pin!(async {
            own.stopped().await;
            open.close();
            if let Farewell::Gradual = farewell {
                // With no connection left, nobody is in the middle of anything. If it is longer, that was the moment.
                let _ = tokio::time::timeout(LINGER, open.wait()).await;
            }
        });
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut over => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY could not be set on a connection");
                    }
                    let connection = connect(TokioIo::new(stream));
                    own.spawn(open.track_future(drive(farewell.clone().time_has_come(own.clone()), connection)));
                }
                Err(error) => {
                    tracing::warn!(%error, door = name, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    });
}

async fn drive<C>(farewell: impl Future<Output = ()>, connection: C)
where
    C: GracefulConnection,
    C::Error: Display + Send,
{
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = farewell => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::{client, server};

    /// What answers after some milliseconds, at a socket that others listen at, too.
    fn serve(socket: &std::net::TcpListener) -> Lifecycle {
        let lifecycle = Lifecycle::default();
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            "done"
        };
        let listener = TcpListener::from_std(socket.try_clone().unwrap()).unwrap();
        server::serve(&lifecycle, listener, Router::new().route("/", get(slow)));
        lifecycle
    }

    fn socket() -> (std::net::TcpListener, String) {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let url = format!("http://{}/", socket.local_addr().unwrap());
        (socket, url)
    }

    async fn stop(lifecycle: &Lifecycle) {
        lifecycle.stop();
        lifecycle.finish(Duration::from_secs(60)).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_request_is_lost_while_one_server_follows_another() {
        let (socket, url) = socket();
        let clients = Lifecycle::default();
        let done = Arc::new(AtomicU64::new(0));
        let client = client::build(client::Limits { whole: Duration::from_secs(60), ..Default::default() }).unwrap();
        let work: Vec<_> = (0..16_u64)
            .map(|n| {
                let (client, url, own, done) = (client.clone(), url.clone(), clients.clone(), done.clone());
                clients.spawn(async move {
                    // Some ask without a pause, some leave their connection idle in between.
                    while own.sleep(Duration::from_millis(n * n)).await {
                        let status = client.get(&url).send().await.map(|response| response.status());
                        assert!(status.as_ref().is_ok_and(reqwest::StatusCode::is_success), "{status:?}");
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for _ in 0..5 {
            let server = serve(&socket);
            let before = done.load(Ordering::Relaxed);
            while done.load(Ordering::Relaxed) < before + 100 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stop(&server).await;
        }
        let last = serve(&socket);
        clients.stop();
        for client in work {
            client.await.unwrap();
        }
        stop(&last).await;
    }

    #[tokio::test]
    async fn an_idle_connection_takes_one_request_more_and_is_told_that_it_was_the_last() {
        let (socket, _) = socket();
        let server = serve(&socket);
        let mut stream = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        let mut answer = [0; 1024];
        stream.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
        let length = stream.read(&mut answer).await.unwrap();
        let first = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(first.starts_with("HTTP/1.1 200") && !first.contains("connection: close"), "{first}");
        server.stop();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert!(rest.starts_with("HTTP/1.1 200") && rest.contains("connection: close"), "{rest}");
        stop(&server).await;
    }

    #[tokio::test]
    async fn a_server_without_connections_stops_at_once_and_one_that_is_left_idle_soon() {
        let (socket, _) = socket();
        let (alone, began) = (serve(&socket), std::time::Instant::now());
        stop(&alone).await;
        assert!(began.elapsed() < LINGER, "{:?}", began.elapsed());
        let server = serve(&socket);
        let mut stream = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        stop(&server).await;
        assert_eq!(stream.read(&mut [0; 1024]).await.unwrap(), 0, "it is closed, not reset");
    }
}
