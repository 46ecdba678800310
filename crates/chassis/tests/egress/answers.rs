//! What is read of an answer, and what is told of the way.

use std::time::Duration;

use crate::receiver::Receiver;
use crate::{post, to_loopback};

#[tokio::test]
async fn status_headers_body_and_durations_are_told() {
    let receiver = Receiver::answering("HTTP/1.1 503 Later\r\nretry-after: 7\r\ncontent-length: 5\r\n\r\nlater").await;
    let exchange = post(&to_loopback(), &receiver.url()).await;
    let (connect, first_byte) = (exchange.connect.unwrap(), exchange.first_byte.unwrap());
    assert!(connect <= first_byte && first_byte <= exchange.whole, "{exchange:?}");
    assert_eq!(exchange.address, Some(receiver.address.ip()));
    let answer = exchange.answer.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (503, b"later".as_slice()));
    assert_eq!(answer.headers["retry-after"], "7");
}

#[tokio::test]
async fn a_connection_is_used_again_and_only_the_first_tells_how_long_it_took() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let door = to_loopback();
    let first = post(&door, &receiver.url()).await;
    let second = post(&door, &receiver.url()).await;
    assert!(first.connect.is_some() && second.connect.is_none(), "{first:?} {second:?}");
    assert_eq!((second.address, receiver.connections()), (first.address, 1));
}

#[tokio::test]
async fn of_an_endless_body_the_beginning_is_read() {
    let receiver = Receiver::going_on("HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 5000], Duration::ZERO).await;
    let exchange = post(&to_loopback(), &receiver.url()).await;
    assert!(exchange.whole < Duration::from_millis(400), "{:?}", exchange.whole);
    let answer = exchange.answer.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 16 * 1024));
}

#[tokio::test]
async fn a_body_that_drips_is_read_for_a_while_and_the_status_counts() {
    let receiver = Receiver::going_on("HTTP/1.1 200 OK\r\n\r\n", b".", Duration::from_millis(50)).await;
    let door = to_loopback();
    let exchange = post(&door, &receiver.url()).await;
    assert!(exchange.whole >= Duration::from_millis(400) && exchange.whole < Duration::from_secs(2), "{exchange:?}");
    let answer = exchange.answer.unwrap();
    assert!(answer.status == 200 && (1..20).contains(&answer.body.len()), "{answer:?}");
    // Its rest would be taken for the next answer.
    post(&door, &receiver.url()).await.answer.unwrap();
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_body_that_is_cut_off_takes_nothing_from_the_status() {
    let receiver = Receiver::hanging_up_after("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nonly this").await;
    let answer = post(&to_loopback(), &receiver.url()).await.answer.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"only this".as_slice()));
}
