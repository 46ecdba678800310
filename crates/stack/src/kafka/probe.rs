//! Asks a broker who is in its cluster: it answers with itself only once it takes part.

use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ports::{Door, Ports};

/// The request Metadata in the oldest version that Kafka 4 knows and that is simple: for all topics, with no client id.
/// Header: key 3, version 4, correlation id 7, client id null. Body: topics null, no automatic creation.
const METADATA_REQUEST: [u8; 19] = [0, 0, 0, 15, 0, 3, 0, 4, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];

/// More than a broker with hundreds of topics answers.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// A broker to be asked.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    port: u16,
}

impl Probe {
    /// The broker at these ports.
    #[must_use]
    pub fn new(ports: &Ports) -> Self {
        Self { port: ports.of(Door::Kafka) }
    }

    /// Whether the broker takes part in its cluster.
    ///
    /// # Errors
    /// Says what it answered instead.
    pub async fn check(&self) -> anyhow::Result<()> {
        tokio::time::timeout(Duration::from_secs(2), self.ask()).await.context("no answer within 2 s")?
    }

    async fn ask(&self) -> anyhow::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.context("can't connect")?;
        stream.write_all(&METADATA_REQUEST).await.context("can't ask for the metadata")?;
        let length = stream.read_u32().await.context("no answer to the request for metadata")? as usize;
        ensure!(length <= LONGEST_ANSWER, "this is no Kafka: its answer would be {length} bytes long");
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).await.context("the answer with the metadata broke off")?;
        ensure!(brokers(&answer).context("this is no Kafka")? > 0, "the broker is not in its cluster yet");
        Ok(())
    }
}

/// The number of brokers in an answer: after the correlation id and the throttle time, 4 bytes each.
fn brokers(answer: &[u8]) -> Option<i32> {
    let count = answer.get(8..12)?;
    Some(i32::from_be_bytes(count.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_of_a_recorded_answer_are_counted() {
        let answer =
            b"\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\t127.0.0.1\x00\x00Rd\xff\xff\
                       \x00\x16ZkU3OEVBNTcwNTJENDM2Qg\x00\x00\x00\x01\x00\x00\x00\x00";
        assert_eq!(brokers(answer), Some(1));
        assert_eq!(brokers(b"HTTP"), None);
    }
}
