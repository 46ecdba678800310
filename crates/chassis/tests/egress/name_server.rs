//! A name server on a UDP port of its own, and a look-up that asks it as a resolver would.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use chassis::Lifecycle;
use chassis::egress::{Addresses, Lookup};
use hickory_proto::op::{Message, MessageType, Query};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

pub struct NameServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _tasks: Lifecycle,
}

struct State {
    /// What the next questions are answered with; the last one stays.
    script: VecDeque<Vec<IpAddr>>,
    questions: usize,
}

impl NameServer {
    /// Answers the first question with the first addresses, and so on, each to be forgotten at once (TTL 0).
    pub async fn answering(script: &[&[&str]]) -> Self {
        let parsed = |addresses: &&[&str]| addresses.iter().map(|text| text.parse().unwrap()).collect();
        let state = Arc::new(Mutex::new(State { script: script.iter().map(parsed).collect(), questions: 0 }));
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let tasks = Lifecycle::default();
        tasks.spawn(serve(socket, state.clone()));
        Self { address, state, _tasks: tasks }
    }

    pub fn questions(&self) -> usize {
        self.state.lock().unwrap().questions
    }

    pub fn lookup(&self) -> Resolver {
        Resolver(self.address)
    }
}

async fn serve(socket: UdpSocket, state: Arc<Mutex<State>>) {
    let mut buffer = [0; 512];
    loop {
        let (count, from) = socket.recv_from(&mut buffer).await.unwrap();
        let question = Message::from_vec(&buffer[..count]).unwrap();
        let addresses = {
            let mut state = state.lock().unwrap();
            state.questions += 1;
            match state.script.len() {
                0 => continue,
                1 => state.script[0].clone(),
                _ => state.script.pop_front().unwrap(),
            }
        };
        let mut answer = Message::new();
        answer.set_id(question.id()).set_message_type(MessageType::Response).add_queries(question.queries().to_vec());
        answer.add_answers(addresses.into_iter().map(|address| {
            let data = match address {
                IpAddr::V4(address) => RData::A(A(address)),
                IpAddr::V6(address) => RData::AAAA(AAAA(address)),
            };
            Record::from_rdata(question.query().unwrap().name().clone(), 0, data)
        }));
        socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
    }
}

/// Asks one name server, and believes whatever it says.
#[derive(Debug, Clone, Copy)]
pub struct Resolver(SocketAddr);

impl Lookup for Resolver {
    fn addresses(&self, name: &str) -> Addresses {
        let (server, name) = (self.0, name.to_owned());
        Box::pin(async move {
            let mut question = Message::new();
            let name = Name::from_ascii(&name).map_err(io::Error::other)?;
            question.set_id(7).add_query(Query::query(name, RecordType::A));
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            socket.send_to(&question.to_vec().map_err(io::Error::other)?, server).await?;
            let mut buffer = [0; 512];
            let count = socket.recv(&mut buffer).await?;
            let answer = Message::from_vec(&buffer[..count]).map_err(io::Error::other)?;
            Ok(answer.answers().iter().filter_map(|record| record.data().ip_addr()).collect())
        })
    }
}
