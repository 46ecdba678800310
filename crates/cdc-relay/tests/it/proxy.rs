//! A TCP proxy that can lose connections the way that a network does: without telling either end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::Lifecycle;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

pub struct Proxy {
    pub address: SocketAddr,
    frozen: Arc<std::sync::Mutex<Arc<AtomicBool>>>,
    lifecycle: Lifecycle,
}

impl Proxy {
    pub async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lifecycle = Lifecycle::default();
        let frozen: Arc<std::sync::Mutex<Arc<AtomicBool>>> = Arc::default();
        let proxy = Self { address: listener.local_addr().unwrap(), frozen: frozen.clone(), lifecycle };
        let inside = proxy.lifecycle.clone();
        proxy.lifecycle.spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&server).await.unwrap();
                let ours = frozen.lock().unwrap().clone();
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                inside.spawn(pump(from_client, to_server, ours.clone()));
                inside.spawn(pump(from_server, to_client, ours));
            }
        });
        proxy
    }

    /// Nothing passes any more on the connections that stand now. New ones are not affected.
    pub fn freeze(&self) {
        let mut current = self.frozen.lock().unwrap();
        current.store(true, Ordering::SeqCst);
        *current = Arc::default();
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, frozen: Arc<AtomicBool>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        while frozen.load(Ordering::SeqCst) {
            // An end that gives up is let go, as by a network that forgets it.
            tokio::select! {
                readable = from.readable() => {
                    if readable.is_err() || matches!(from.try_read(&mut [0; 1024]), Ok(0)) {
                        return;
                    }
                }
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
