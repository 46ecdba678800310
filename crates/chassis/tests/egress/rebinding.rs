//! Names that are at one address when they are judged and at another when they are used.

use chassis::egress::{Error, Refused, Rule};
use tokio::io::AsyncWriteExt as _;

use crate::name_server::NameServer;
use crate::receiver::{Receiver, read_request};
use crate::{door, post};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// Public, and announced for nothing but to swallow stray questions (AS112).
const PUBLIC: &str = "192.31.196.1";

fn is_refused(error: &Error, expected: Rule) -> bool {
    matches!(error, Error::Refused(Refused::Address { rule, .. }) if *rule == expected)
}

#[tokio::test]
async fn a_name_that_turns_to_loopback_after_the_check_is_not_followed_there() {
    let victim = Receiver::answering(OK).await;
    let names = NameServer::answering(&[&[PUBLIC], &["127.0.0.1"]]).await;
    let door = door(&[], names.lookup());
    let url = format!("http://rebinding.test:{}/hook", victim.address.port());

    // The public address is the only one that the first POST may try, whatever the name has turned to meanwhile.
    let first = post(&door, &url).await;
    assert_eq!(first.address, Some(PUBLIC.parse().unwrap()), "{first:?}");
    assert_eq!(names.questions(), 1, "one connection asks once");

    let second = post(&door, &url).await;
    let error = second.answer.unwrap_err();
    assert!(is_refused(&error, Rule::Loopback), "{error:?}");
    assert_eq!(error.to_string(), "rebinding.test is at 127.0.0.1, a loopback address: nothing is sent there");
    assert_eq!(second.address, Some("127.0.0.1".parse().unwrap()));
    assert_eq!((names.questions(), victim.connections()), (2, 0));
}

#[tokio::test]
async fn each_new_connection_is_to_the_address_that_was_judged_for_it() {
    // The receiver hangs up each time, so that each POST needs a connection of its own.
    let receiver = Receiver::at("127.0.0.2:0", |mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
    })
    .await;
    let victim = Receiver::at(&format!("127.0.0.1:{}", receiver.address.port()), |_| async {}).await;
    let names = NameServer::answering(&[&["127.0.0.2"], &["127.0.0.1"], &["127.0.0.2"], &["10.0.0.1"]]).await;
    let door = door(&["127.0.0.2/32"], names.lookup());
    let url = format!("http://rebinding.test:{}/hook", receiver.address.port());

    let mut seen = Vec::new();
    for _ in 0..4 {
        let exchange = post(&door, &url).await;
        seen.push(match exchange.answer {
            Ok(answer) => answer.status.to_string(),
            Err(error) if is_refused(&error, Rule::Loopback) => "loopback".to_owned(),
            Err(error) if is_refused(&error, Rule::Private) => "private".to_owned(),
            Err(error) => panic!("{error:?}"),
        });
    }
    assert_eq!(seen, ["200", "loopback", "200", "private"]);
    assert_eq!((names.questions(), receiver.connections(), victim.connections()), (4, 2, 0));
}

#[tokio::test]
async fn a_private_address_among_good_ones_refuses_the_name() {
    let receiver = Receiver::answering(OK).await;
    let names = NameServer::answering(&[&["127.0.0.1", "169.254.169.254"]]).await;
    let door = door(&["127.0.0.1/32"], names.lookup());
    let exchange = post(&door, &format!("http://mixed.test:{}/hook", receiver.address.port())).await;
    assert!(is_refused(&exchange.answer.unwrap_err(), Rule::Metadata));
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn an_address_in_the_url_is_judged_although_nobody_looks_it_up() {
    let victim = Receiver::answering(OK).await;
    let names = NameServer::answering(&[&["8.8.8.8"]]).await;
    let door = door(&[], names.lookup());
    for host in ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::1]", "localhost"] {
        let exchange = post(&door, &format!("http://{host}:{}/hook", victim.address.port())).await;
        let error = exchange.answer.unwrap_err();
        assert!(matches!(&*error, Error::Refused(Refused::Address { .. })), "{host}: {error:?}");
    }
    assert_eq!((names.questions(), victim.connections()), (0, 0));
}

#[tokio::test]
async fn a_redirect_to_a_refused_address_is_an_answer_and_nothing_more() {
    let victim = Receiver::answering(OK).await;
    for status in [301, 302, 303, 307, 308] {
        let location = victim.url();
        let receiver = Receiver::at("127.0.0.2:0", move |mut stream| {
            let head = format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
            async move {
                read_request(&mut stream).await;
                stream.write_all(head.as_bytes()).await.unwrap();
            }
        })
        .await;
        let exchange = post(&door(&["127.0.0.2/32"], NameServer::answering(&[]).await.lookup()), &receiver.url()).await;
        assert_eq!(exchange.answer.unwrap().status, status);
    }
    assert_eq!(victim.connections(), 0);
}
