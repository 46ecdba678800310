//! A receiver that does to each connection what its test says, and counts them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chassis::Lifecycle;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub struct Receiver {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _tasks: Lifecycle,
}

impl Receiver {
    /// Serves every connection with `serve`, on this address.
    pub async fn at<F>(address: &str, serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let tasks = Lifecycle::default();
        let (counted, each) = (connections.clone(), tasks.clone());
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                each.spawn(serve(stream));
            }
        });
        Self { address, connections, _tasks: tasks }
    }

    /// Reads each request and answers it with these bytes; then waits for the next.
    pub async fn answering(answer: &'static str) -> Self {
        Self::at("127.0.0.1:0", move |mut stream| async move {
            while read_request(&mut stream).await {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await
    }

    /// Reads a request, sends these bytes, and hangs up.
    pub async fn hanging_up_after(bytes: &'static str) -> Self {
        Self::at("127.0.0.1:0", move |mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(bytes.as_bytes()).await.unwrap();
        })
        .await
    }

    /// Reads a request and sends this head, then these bytes again and again.
    pub async fn going_on(head: &'static str, drop: &'static [u8], pause: Duration) -> Self {
        Self::at("127.0.0.1:0", move |mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            while stream.write_all(drop).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        })
        .await
    }

    /// Takes a request and does nothing about it.
    pub async fn silent() -> Self {
        Self::at("127.0.0.1:0", |mut stream| async move { while read_request(&mut stream).await {} }).await
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// False at the end of the connection.
pub async fn read_request(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return false,
            Ok(count) => seen.extend_from_slice(&buffer[..count]),
        }
        if seen.ends_with(b"\r\n\r\n{}") {
            return true;
        }
    }
}
