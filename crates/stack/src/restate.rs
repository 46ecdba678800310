//! Runs Restate: one node, requests to the handlers signed, nothing sent home.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::process::Signal;

use crate::folder;
use crate::ports::{Door, Ports};
use crate::process::Spec;
use crate::spans::Tracing;

/// So many invocations of each of the two partitions are under way, or wait to be tried again. Those behind them stand in a
/// queue: after a restart of the consumers, the oldest come first, and no more than these are tried at once.
const PLACES: u32 = 500;

/// Writes the configuration and says how to start Restate.
///
/// # Errors
/// If the folder can't be written.
pub fn prepare(
    server: &Path,
    folder: &Path,
    log: PathBuf,
    ports: &Ports,
    identity_key: &Path,
    tracing: &Tracing,
    sample_ratio: Option<&str>,
) -> anyhow::Result<Spec> {
    let (data, temporary) = (folder.join("data"), folder.join("tmp"));
    // It never removes what it puts into its folder for temporary files.
    if temporary.exists() {
        folder::remove(&temporary)?;
    }
    for folder in [&data, &temporary] {
        std::fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    }
    let file = folder.join("restate.toml");
    std::fs::write(&file, configuration(&data, ports, identity_key, tracing)).context("can't write restate.toml")?;
    let mut environment = vec![("TMPDIR".to_owned(), temporary.into())];
    if let Some(ratio) = sample_ratio {
        // Its traces are its own: it can't know which of ours are kept.
        environment.push(("OTEL_TRACES_SAMPLER".to_owned(), "parentbased_traceidratio".into()));
        environment.push(("OTEL_TRACES_SAMPLER_ARG".to_owned(), ratio.into()));
    }
    Ok(Spec {
        name: "restate".to_owned(),
        program: server.to_owned(),
        arguments: vec!["-c".into(), file.into()],
        environment,
        directory: folder.to_owned(),
        log,
        user: None,
        stop_signal: Signal::TERM,
        socket: None,
        own_session: false,
    })
}

/// The URLs that answer when Restate can be used.
#[must_use]
pub fn health(ports: &Ports) -> Vec<String> {
    vec![
        format!("http://127.0.0.1:{}/health", ports.of(Door::RestateAdmin)),
        format!("http://127.0.0.1:{}/restate/health", ports.of(Door::RestateIngress)),
    ]
}

fn configuration(data: &Path, ports: &Ports, identity_key: &Path, tracing: &Tracing) -> String {
    let tracing =
        tracing.endpoint(ports).map(|endpoint| format!("tracing-endpoint = {endpoint:?}\n")).unwrap_or_default();
    let node = ports.of(Door::RestateNode);
    let admin = ports.of(Door::RestateAdmin);
    let ingress = ports.of(Door::RestateIngress);
    // The node's name is fixed because its data lives under it. More threads than cores: the teardown of a Kafka
    // consumer blocks one.
    format!(
        r#"cluster-name = "everhook"
node-name = "n1"
base-dir = {data:?}
listen-mode = "tcp"
bind-ip = "127.0.0.1"
bind-port = {node}
advertised-host = "127.0.0.1"
auto-provision = true
default-num-partitions = 2
default-thread-pool-size = 4
rocksdb-total-memory-size = "256 MiB"
disable-telemetry = true
shutdown-timeout = "10s"
log-filter = "warn,restate=info"
log-format = "compact"
log-disable-ansi-codes = true
{tracing}
[admin]
bind-ip = "127.0.0.1"
bind-port = {admin}
disable-web-ui = true

[ingress]
bind-ip = "127.0.0.1"
bind-port = {ingress}

[worker.invoker]
concurrent-invocations-limit = {PLACES}
request-identity-private-key-pem-file = {identity_key:?}
"#
    )
}
