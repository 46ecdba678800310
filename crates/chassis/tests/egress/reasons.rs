//! Each way in which a POST gets no answer, provoked.

use std::sync::Arc;
use std::time::Duration;

use chassis::egress::{Error, Exchange, SystemLookup};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::name_server::NameServer;
use crate::receiver::{Receiver, read_request};
use crate::{door, post, to_loopback};

fn error(exchange: &Exchange) -> &Error {
    exchange.answer.as_ref().unwrap_err()
}

#[tokio::test]
async fn a_name_without_an_address_is_a_failed_look_up() {
    let nowhere = NameServer::answering(&[&[]]).await;
    let exchange = post(&door(&[], nowhere.lookup()), "https://nowhere.test/hook").await;
    assert!(matches!(error(&exchange), Error::Lookup { name, .. } if name == "nowhere.test"), "{exchange:?}");
    assert_eq!(exchange.address, None);
    let exchange = post(&door(&[], SystemLookup::default()), "https://no-such-name.invalid/hook").await;
    assert!(matches!(error(&exchange), Error::Lookup { .. }), "{exchange:?}");
}

#[tokio::test]
async fn a_name_server_that_never_answers_is_a_failed_look_up() {
    let silent = NameServer::answering(&[]).await;
    let exchange = post(&door(&[], silent.lookup()), "https://nowhere.test/hook").await;
    assert!(matches!(error(&exchange), Error::Lookup { .. }), "{exchange:?}");
}

#[tokio::test]
async fn a_closed_port_refuses_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let exchange = post(&to_loopback(), &format!("http://{address}/hook")).await;
    assert!(matches!(error(&exchange), Error::ConnectRefused { .. }), "{exchange:?}");
    assert_eq!(exchange.address, Some(address.ip()));
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let receiver = Receiver::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let names = NameServer::answering(&[&["127.0.0.9", "127.0.0.8", "127.0.0.1"]]).await;
    let door = door(&["127.0.0.0/8"], names.lookup());
    let exchange = post(&door, &format!("http://three.test:{}/hook", receiver.address.port())).await;
    assert_eq!(exchange.address, Some(receiver.address.ip()), "{exchange:?}");
    assert_eq!(exchange.answer.unwrap().status, 204);
}

#[tokio::test]
async fn a_host_that_takes_no_connection_in_time_is_told_as_that() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts: the queue fills, and the kernel drops what comes after.
    let mut queue = Vec::new();
    while let Ok(connected) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        queue.push(connected.unwrap());
        assert!(queue.len() < 100, "the queue of the listener does not fill");
    }
    let exchange = post(&to_loopback(), &format!("http://{address}/hook")).await;
    assert!(matches!(error(&exchange), Error::ConnectTimeout { .. }), "{exchange:?}");
    assert_eq!(exchange.address, Some(address.ip()));
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_told_as_that() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let receiver = Receiver::at("127.0.0.1:0", move |stream| {
        let acceptor = acceptor.clone();
        async move { drop(acceptor.accept(stream).await) }
    })
    .await;
    let exchange = post(&to_loopback(), &format!("https://{}/hook", receiver.address)).await;
    assert!(matches!(error(&exchange), Error::Certificate { .. }), "{exchange:?}");
    assert_eq!(exchange.address, Some(receiver.address.ip()));
}

#[tokio::test]
async fn a_receiver_without_tls_or_one_that_never_shakes_hands_is_told_as_that() {
    let plain = Receiver::at("127.0.0.1:0", |stream| async move {
        stream.writable().await.unwrap();
        stream.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    })
    .await;
    let silent = Receiver::silent().await;
    for receiver in [plain, silent] {
        let exchange = post(&to_loopback(), &format!("https://{}/hook", receiver.address)).await;
        assert!(matches!(error(&exchange), Error::Tls { .. }), "{exchange:?}");
        assert_eq!(exchange.address, Some(receiver.address.ip()));
    }
}

#[tokio::test]
async fn a_receiver_that_never_answers_runs_into_the_time_out_and_its_address_is_known() {
    let receiver = Receiver::silent().await;
    let exchange = post(&to_loopback(), &receiver.url()).await;
    assert!(matches!(error(&exchange), Error::Timeout { .. }), "{exchange:?}");
    assert_eq!(exchange.address, Some(receiver.address.ip()));
    assert!(exchange.connect.is_some() && exchange.first_byte.is_none(), "{exchange:?}");
    assert!(exchange.whole >= Duration::from_secs(1) && exchange.whole < Duration::from_secs(3), "{exchange:?}");
}

#[tokio::test]
async fn a_head_that_drips_runs_into_the_time_out() {
    let receiver = Receiver::going_on("HTTP/1.1 200 OK\r\nx: ", b"x", Duration::from_millis(50)).await;
    let exchange = post(&to_loopback(), &receiver.url()).await;
    assert!(matches!(error(&exchange), Error::Timeout { .. }), "{exchange:?}");
}

#[tokio::test]
async fn half_an_answer_is_a_broken_connection() {
    for half in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"] {
        let receiver = Receiver::hanging_up_after(half).await;
        let exchange = post(&to_loopback(), &receiver.url()).await;
        assert!(matches!(error(&exchange), Error::Broken(_)), "{half:?}: {exchange:?}");
        assert_eq!(exchange.address, Some(receiver.address.ip()), "{half:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_and_a_head_without_an_end_are_protocol_errors() {
    let ssh = Receiver::hanging_up_after("SSH-2.0-OpenSSH_9.6\r\n").await;
    let endless = Receiver::going_on("HTTP/1.1 200 OK\r\n", &[b'x'; 8192], Duration::ZERO).await;
    for receiver in [ssh, endless] {
        let exchange = post(&to_loopback(), &receiver.url()).await;
        assert!(matches!(error(&exchange), Error::Protocol(_)), "{exchange:?}");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_says_why_and_quotes_no_value() {
    let door = to_loopback();
    let send = async |url: &str, name: &str, value: &str| {
        let headers = [(name.to_owned(), value.to_owned())];
        let exchange = door.post(url, &headers, String::new(), Duration::from_secs(1)).await;
        match error(&exchange) {
            Error::Request(words) => words.clone(),
            other => panic!("{other:?}"),
        }
    };
    let url = "http://127.0.0.1:1/?key=hidden";
    assert_eq!(send(url, "x y", "z").await, "\"x y\" is no header name");
    assert_eq!(send(url, "x-key", "hidden\n").await, "the value of header x-key can't be sent");
    assert!(!send("http://127.0.0.1:99999/?key=hidden", "x", "y").await.contains("hidden"));
}

#[tokio::test]
async fn no_error_quotes_the_path_of_the_url() {
    let receiver = Receiver::hanging_up_after("").await;
    for url in [receiver.url(), "http://127.0.0.1:1/hook".to_owned(), "http://10.0.0.1/hook".to_owned()] {
        let exchange = post(&to_loopback(), &url).await;
        let error = error(&exchange);
        let words = chassis::error_chain::Chain(error).to_string();
        assert!(!words.contains("hook") && !format!("{error:?}").contains("hook"), "{words}; {error:?}");
    }
}

/// So that the helper of the other tests is itself seen to read a request.
#[tokio::test]
async fn the_body_and_the_headers_arrive() {
    let receiver = Receiver::at("127.0.0.1:0", |mut stream| async move {
        let status = if read_request(&mut stream).await { 200 } else { 500 };
        let head = format!("HTTP/1.1 {status} Read\r\ncontent-length: 0\r\n\r\n");
        stream.try_write(head.as_bytes()).unwrap();
    })
    .await;
    assert_eq!(post(&to_loopback(), &receiver.url()).await.answer.unwrap().status, 200);
}
