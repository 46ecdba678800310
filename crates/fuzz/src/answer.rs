//! A receiver that answers with any bytes at all.

use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use chassis::egress::{Door, EgressFlags, Limits, SystemLookup};
use domain::outcome::{Outcome, judge};
use domain::time::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The machine's own door to the receivers, and a receiver behind it.
struct Lab {
    runtime: Runtime,
    door: Door,
    listener: TcpListener,
    address: SocketAddr,
}

static LAB: LazyLock<Option<Mutex<Lab>>> = LazyLock::new(|| lab().map(Mutex::new));

fn lab() -> Option<Lab> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let allow_networks = vec!["127.0.0.0/8".parse().ok()?];
    let policy = EgressFlags { allow_networks, allow_http: true }.policy();
    let door = Door::new(policy, Limits::default(), SystemLookup::default()).ok()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).ok()?;
    let address = listener.local_addr().ok()?;
    Some(Lab { runtime, door, listener, address })
}

/// The input is all that the receiver says before it hangs up. It is judged or told as an error; of its body no more is kept
/// than the limit.
pub fn answer(data: &[u8]) {
    let lab = LAB.as_ref();
    assert!(lab.is_some(), "the door needs the machine's trust store and a port of the loopback");
    let Some(Ok(lab)) = lab.map(Mutex::lock) else { return };
    let url = format!("http://{}/", lab.address);
    let receive = async {
        let (mut stream, _) = lab.listener.accept().await?;
        // The head of the request, so that nothing is left unread: hanging up would reset the connection then.
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await?;
        stream.write_all(data).await?;
        stream.shutdown().await
    };
    let post = lab.door.post(&url, &[], "{}".to_owned(), Duration::from_secs(20));
    let (exchange, _) = lab.runtime.block_on(async { tokio::join!(post, receive) });
    assert_eq!(exchange.address, Some(lab.address.ip()));
    assert!(exchange.whole < Duration::from_secs(10), "{exchange:?}");
    match exchange.answer {
        Ok(answer) => {
            assert!((100..=999).contains(&answer.status), "{answer:?}");
            assert!(answer.body.len() <= Limits::default().body_bytes && answer.body.len() <= data.len());
            let Some(now) = Timestamp::from_unix_micros(1_795_000_000_000_000) else { return };
            let outcome = judge(answer.status, answer.header("webhook-delivery"), answer.header("retry-after"), now);
            assert_eq!(matches!(outcome, Outcome::Delivered { .. }), (200..300).contains(&answer.status));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
