//! The broker's configuration files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::ports::{Door, Ports};
use crate::routes::{Listener, Routes};

const LOG4J: &str = r#"<Configuration status="WARN">
  <Appenders>
    <Console name="stdout">
      <PatternLayout pattern="%d{yyyy-MM-dd'T'HH:mm:ss.SSS} %-5p %c{1}: %m%n"/>
    </Console>
  </Appenders>
  <Loggers>
    <Root level="INFO">
      <AppenderRef ref="stdout"/>
    </Root>
  </Loggers>
</Configuration>
"#;

/// Configuration files in a folder.
#[derive(Debug)]
pub struct Configuration {
    folder: PathBuf,
}

impl Configuration {
    /// Writes them.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn new(folder: &Path, data: &Path, ports: &Ports, routes: &Routes) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let configuration = Self { folder: folder.to_owned() };
        std::fs::write(configuration.properties(), properties(data, ports, routes))
            .context("can't write server.properties")?;
        std::fs::write(folder.join("log4j2.xml"), LOG4J).context("can't write log4j2.xml")?;
        Ok(configuration)
    }

    /// The file that the broker is given.
    #[must_use]
    pub fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    /// The JVM's argument that names the logging configuration.
    #[must_use]
    pub fn log4j_argument(&self) -> OsString {
        let mut argument = OsString::from("-Dlog4j2.configurationFile=");
        argument.push(self.folder.join("log4j2.xml"));
        argument
    }
}

fn properties(data: &Path, ports: &Ports, routes: &Routes) -> String {
    let broker = ports.of(Door::Kafka);
    let controller = ports.of(Door::KafkaController);
    let data = data.display();
    // A client is told where the broker is by the listener that it came in at, and comes back there.
    let (mut listeners, mut advertised, mut protocols) = (String::new(), String::new(), String::new());
    for Listener { name, port, advertised: there } in routes.listeners() {
        listeners.push_str(&format!(",{name}://127.0.0.1:{port}"));
        advertised.push_str(&format!(",{name}://127.0.0.1:{there}"));
        protocols.push_str(&format!(",{name}:PLAINTEXT"));
    }
    // The session time-out is short because a broker that was killed and started again is let in only after its old
    // registration has lapsed. A single broker has no second copy of a record: it flushes each one.
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}{listeners}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{broker}{advertised}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={data}\n\
         log.flush.interval.messages=1\n\
         log.retention.hours=168\n\
         auto.create.topics.enable=false\n\
         offsets.topic.num.partitions=1\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         broker.session.timeout.ms=3000\n\
         broker.heartbeat.interval.ms=500\n"
    )
}
