//! Each mode on real sockets: an echo server behind the proxy, and clients in front of it.

use std::net::SocketAddr;

use super::*;
use crate::ports::free_port;

const SOON: Duration = Duration::from_secs(20);

/// A server that sends back what comes, preceded by its own number.
async fn echo(lifecycle: &Lifecycle, number: u8) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let own = lifecycle.clone();
    lifecycle.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            own.spawn(async move {
                let (mut from, mut to) = stream.split();
                if to.write_all(&[number]).await.is_ok() {
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                    let _ = to.shutdown().await;
                }
            });
        }
    });
    port
}

struct Lab {
    lifecycle: Lifecycle,
    proxy: Proxy,
    front: SocketAddr,
}

impl Lab {
    async fn start() -> Self {
        let lifecycle = Lifecycle::default();
        let back = echo(&lifecycle, 7).await;
        Self::in_front_of(lifecycle, vec![back]).await
    }

    async fn in_front_of(lifecycle: Lifecycle, backs: Vec<u16>) -> Self {
        let front = free_port().unwrap();
        let proxy = Proxy::open(&lifecycle, front, backs).await.unwrap();
        Self { lifecycle, proxy, front: ([127, 0, 0, 1], front).into() }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.front).await
    }

    /// A connection on which the server has said who it is.
    async fn connected(&self) -> TcpStream {
        let mut stream = self.connect().await.unwrap();
        assert_eq!(read(&mut stream, 1).await.unwrap(), [7]);
        stream
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

async fn read(stream: &mut TcpStream, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    timeout(SOON, stream.read_exact(&mut bytes)).await.expect("nothing came")?;
    Ok(bytes)
}

async fn echoes(stream: &mut TcpStream, words: &[u8]) -> io::Result<bool> {
    stream.write_all(words).await?;
    Ok(read(stream, words.len()).await? == words)
}

/// How the connection ends for whoever reads.
async fn end(stream: &mut TcpStream) -> io::Result<usize> {
    timeout(SOON, stream.read(&mut [0; 16])).await.expect("it does not end")
}

#[tokio::test]
async fn everything_passes_and_a_closed_end_is_passed_on() {
    let lab = Lab::start().await;
    let mut stream = lab.connected().await;
    let many = vec![3; 1_000_000];
    let (mut from, mut to) = stream.split();
    let mut back = vec![0; many.len()];
    let (sent, came) = tokio::join!(to.write_all(&many), timeout(SOON, from.read_exact(&mut back)));
    sent.unwrap();
    came.unwrap().unwrap();
    assert!(back == many);
    stream.shutdown().await.unwrap();
    assert_eq!(end(&mut stream).await.unwrap(), 0, "the server closed, too, and nobody was reset");
}

#[tokio::test]
async fn a_cut_resets_what_stands_and_lets_others_pass() {
    let lab = Lab::start().await;
    let mut before = lab.connected().await;
    lab.proxy.cut();
    assert_eq!(end(&mut before).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let mut after = lab.connected().await;
    assert!(echoes(&mut after, b"after").await.unwrap());
}

#[tokio::test]
async fn while_it_refuses_nobody_listens() {
    let lab = Lab::start().await;
    let mut before = lab.connected().await;
    lab.proxy.set(Mode::Refuse);
    assert_eq!(end(&mut before).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let refused = async {
        loop {
            match lab.connect().await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    timeout(SOON, refused).await.expect("somebody listens");
    lab.proxy.set(Mode::Pass);
    let again = async {
        loop {
            if let Ok(stream) = lab.connect().await {
                return stream;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut again = timeout(SOON, again).await.expect("nobody listens again");
    assert_eq!(read(&mut again, 1).await.unwrap(), [7]);
}

#[tokio::test]
async fn a_stall_keeps_everything_back_and_loses_nothing() {
    let lab = Lab::start().await;
    let mut before = lab.connected().await;
    lab.proxy.set(Mode::Stall);
    before.write_all(b"kept").await.unwrap();
    let mut during = lab.connect().await.unwrap();
    let quiet = Duration::from_millis(300);
    assert!(timeout(quiet, before.read(&mut [0; 4])).await.is_err(), "something passed");
    assert!(timeout(quiet, during.read(&mut [0; 1])).await.is_err(), "something passed");
    lab.proxy.set(Mode::Pass);
    assert_eq!(read(&mut before, 4).await.unwrap(), b"kept");
    assert_eq!(read(&mut during, 1).await.unwrap(), [7]);
}

#[tokio::test]
async fn what_is_slow_is_late_by_the_latency_and_bounded_by_the_bandwidth() {
    let lab = Lab::start().await;
    let mut stream = lab.connected().await;
    lab.proxy.set(Mode::Slow { latency: Duration::from_millis(100), bytes_per_second: 1_000_000 });
    let begun = Instant::now();
    assert!(echoes(&mut stream, b"late").await.unwrap());
    assert!(begun.elapsed() >= Duration::from_millis(200), "there and back: {:?}", begun.elapsed());
    lab.proxy.set(Mode::Slow { latency: Duration::ZERO, bytes_per_second: 10_000 });
    let begun = Instant::now();
    assert!(echoes(&mut stream, &[5; 4_000]).await.unwrap());
    assert!(begun.elapsed() >= Duration::from_millis(700), "0.4 s each way: {:?}", begun.elapsed());
}

#[tokio::test]
async fn servers_take_turns_and_one_that_is_not_there_is_passed_over() {
    let lifecycle = Lifecycle::default();
    let (one, two, nobody) = (echo(&lifecycle, 1).await, echo(&lifecycle, 2).await, free_port().unwrap());
    let lab = Lab::in_front_of(lifecycle, vec![one, nobody, two]).await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.extend(read(&mut lab.connect().await.unwrap(), 1).await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 1, 2, 2, 2, 2]);
}

#[tokio::test]
async fn where_no_server_is_the_client_is_reset() {
    let lab = Lab::in_front_of(Lifecycle::default(), vec![free_port().unwrap()]).await;
    let mut stream = lab.connect().await.unwrap();
    assert_eq!(end(&mut stream).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}
