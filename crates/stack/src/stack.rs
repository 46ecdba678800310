//! The stack: the components and our services as child processes that can be killed, wiped and started again.

mod disasters;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use chassis::server;
use futures_util::future::{join_all, select_all, try_join_all};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Mutex, Notify};

use crate::components::Components;
use crate::folder::{self, Folder};
use crate::kafka;
use crate::kafka::probe::Probe;
use crate::ports::{Door, Further, Ports};
use crate::postgres::roles::{self, Login};
use crate::postgres::{self, Postgres};
use crate::process::frozen::Frozen;
use crate::process::user::User;
use crate::process::{Process, Spec, Stopped, run};
use crate::progress::Progress;
use crate::ready::{self, Ready};
use crate::restate;
use crate::routes::Routes;
use crate::secrets::Secrets;
use crate::services::{self, Services, lasting_door};
use crate::spans::{COLLECTOR, SAMPLE_RATIO, Tracing};
use crate::state::{Entry, State};

/// Longer than any of them takes on a busy machine; a dead one is noticed at once.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// Longer than any of them takes to finish what is under way: webhook-consumer waits for the longest time-out.
pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(80);

/// The components, in the order of their start.
const COMPONENTS: [&str; 3] = ["postgres", "kafka", "restate"];

/// What a stack consists of.
#[derive(Debug, Clone)]
pub enum Kit {
    /// PostgreSQL alone: the folder with its programs.
    Postgres(PathBuf),
    /// PostgreSQL, Kafka and Restate.
    Components(Components),
    /// These and our services, whose binaries are in this folder.
    Everything(Components, PathBuf),
}

/// A stack in a data folder. Its processes are killed when this value is dropped; [`Stack::stop_all`] is kinder.
#[derive(Debug)]
pub struct Stack {
    folder: Folder,
    ports: Ports,
    further: Further,
    routes: Routes,
    kit: Kit,
    secrets: Secrets,
    progress: Progress,
    /// Environment of our services, over their defaults.
    settings: Vec<(String, String)>,
    tracing: std::sync::Mutex<Tracing>,
    /// What services listen at, held for as long as the stack lives, as systemd holds them.
    sockets: std::sync::Mutex<HashMap<Door, Arc<TcpListener>>>,
    // In the order of their start.
    running: Mutex<Vec<Arc<Process>>>,
    /// Another one runs.
    started: Notify,
}

/// How to start a part, and how to know that it can be used.
struct Part {
    spec: Spec,
    ready: Ready,
}

impl Stack {
    /// A stack of which nothing runs yet.
    ///
    /// # Errors
    /// If the secrets can't be written.
    pub fn new(folder: Folder, ports: Ports, kit: Kit, progress: Progress) -> anyhow::Result<Self> {
        let secrets = Secrets::open(folder.of("secrets"))?;
        let (further, routes, sockets) = (Further::default(), Routes::default(), std::sync::Mutex::default());
        let (settings, tracing) = (Vec::new(), std::sync::Mutex::default());
        let (running, started) = (Mutex::default(), Notify::new());
        Ok(Self {
            folder,
            ports,
            further,
            routes,
            kit,
            secrets,
            progress,
            settings,
            tracing,
            sockets,
            running,
            started,
        })
    }

    /// Has the processes meet each other by these ways. Whoever stands in front of a door must be there before they start.
    #[must_use]
    pub fn with_routes(self, routes: Routes) -> Self {
        Self { routes, ..self }
    }

    /// Has the processes make spans, which go there.
    #[must_use]
    pub fn with_tracing(self, tracing: Tracing) -> Self {
        Self { tracing: tracing.into(), ..self }
    }

    /// Starts anew all that makes spans, and has the spans go there.
    ///
    /// # Errors
    /// As [`Stack::stop`] and [`Stack::start`].
    pub async fn retrace(&self, tracing: Tracing) -> anyhow::Result<()> {
        let services = self.services().context("there is nothing in this stack that makes spans of its own")?.names();
        let stopped = join_all(services.iter().map(|name| self.stop(name))).await;
        stopped.into_iter().try_for_each(|result| result.map(|_| ()))?;
        self.stop("restate").await?;
        let is_here = tracing == Tracing::Here;
        *self.tracing.lock().unwrap_or_else(PoisonError::into_inner) = tracing;
        if is_here && self.pid(COLLECTOR).await.is_none() {
            self.start(COLLECTOR).await?;
        }
        self.start("restate").await?;
        try_join_all(services.into_iter().map(|name| self.start(name))).await?;
        Ok(())
    }

    fn tracing(&self) -> Tracing {
        self.tracing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives our services an environment variable, `EVERHOOK_OVERDUE_AFTER` say, when they are started next.
    #[must_use]
    pub fn with_setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts everything: the components side by side, the migrations, our services side by side.
    ///
    /// # Errors
    /// One sentence about the first part that does not start; what runs already keeps running.
    pub async fn start_all(&self) -> anyhow::Result<()> {
        let database = async {
            self.start("postgres").await?;
            self.make_database(postgres::DATABASE, &roles::LOGINS).await
        };
        if let Kit::Postgres(_) = self.kit {
            return database.await;
        }
        if let (Kit::Everything(..), Tracing::Here) = (&self.kit, self.tracing()) {
            self.start(COLLECTOR).await?;
        }
        tokio::try_join!(database, self.start("kafka"), self.start("restate"))?;
        if let Some(services) = self.services() {
            try_join_all(services.names().into_iter().map(|name| self.start(name))).await?;
        }
        Ok(())
    }

    /// Makes the database of the old way, and starts it. The rest of the stack knows nothing of either.
    ///
    /// # Errors
    /// As [`Stack::start`].
    pub async fn start_baseline(&self) -> anyhow::Result<()> {
        self.make_database(postgres::BASELINE_DATABASE, &[roles::BASELINE]).await?;
        self.start(services::BASELINE).await
    }

    /// With the schema and the logins, if there are services that want them.
    async fn make_database(&self, name: &str, logins: &[Login]) -> anyhow::Result<()> {
        roles::create_database(&self.superuser("postgres")?, name).await?;
        if let Some(services) = self.services() {
            run::to_end(&services.migrate(name)?, "the migrations failed; the log says why").await?;
            roles::create_logins(&self.superuser(name)?, &self.secrets, logins).await?;
        }
        Ok(())
    }

    /// Starts one part and waits until it can be used. A second webhook-consumer is `webhook-consumer-2`.
    ///
    /// # Errors
    /// If it runs already, does not start, dies, or is not ready in time.
    pub async fn start(&self, name: &str) -> anyhow::Result<()> {
        let step = self.progress.begin(name, "starting");
        self.start_silently(name).await?;
        step.done("ready");
        Ok(())
    }

    /// As [`Stack::start`], and says nothing of it.
    ///
    /// # Errors
    /// As [`Stack::start`].
    pub async fn start_silently(&self, name: &str) -> anyhow::Result<()> {
        let Part { spec, ready } = self.part(name).await?;
        let process = self.adopt(name, &spec).await?;
        ready::wait(&process, &ready, READY_WITHIN).await
    }

    /// kill -9, and waits until the process is gone.
    ///
    /// # Errors
    /// If it does not run.
    pub async fn kill9(&self, name: &str) -> anyhow::Result<()> {
        self.release(name).await?.kill().await
    }

    /// Stops the process, with its children, in the middle of whatever it does, until the answer is dropped.
    ///
    /// # Errors
    /// If it does not run.
    pub async fn freeze(&self, name: &str) -> anyhow::Result<Frozen> {
        let running = self.running.lock().await;
        let process = running.iter().find(|process| process.name() == name && process.exited().is_none());
        let process = process.with_context(|| format!("{name} does not run"))?;
        Frozen::of(process.identity())?.with_context(|| format!("{name} does not run"))
    }

    /// Asks the process to stop cleanly, and waits until it is gone.
    ///
    /// # Errors
    /// If it does not run.
    pub async fn stop(&self, name: &str) -> anyhow::Result<Stopped> {
        let process = self.release(name).await?;
        let stopped = process.stop(STOP_WITHIN).await?;
        if stopped == Stopped::Killed {
            let seconds = STOP_WITHIN.as_secs();
            self.progress.say(&format!("{name} did not stop within {seconds} s and was killed"));
        }
        Ok(stopped)
    }

    /// Removes the data of a component that does not run: `postgres`, `kafka` or `restate`.
    ///
    /// # Errors
    /// If it runs, or is no component.
    pub async fn wipe(&self, name: &str) -> anyhow::Result<()> {
        if self.pid(name).await.is_some() {
            bail!("{name} runs: kill or stop it first");
        }
        match name {
            "postgres" | "kafka" | "restate" if self.folder.of(name).exists() => folder::remove(&self.folder.of(name)),
            "postgres" | "kafka" | "restate" => Ok(()),
            _ => bail!("{name} keeps no data of its own"),
        }
    }

    /// Stops everything in the reverse order of its start: our services side by side, then the components.
    ///
    /// # Errors
    /// If a process can't be signalled; the others are stopped all the same.
    pub async fn stop_all(&self) -> anyhow::Result<()> {
        let names: Vec<String> = self.running.lock().await.iter().map(|p| p.name().to_owned()).collect();
        // Whoever stops has a last word to say.
        let last: Vec<&str> = COMPONENTS.iter().rev().copied().chain([COLLECTOR]).collect();
        let services = names.iter().filter(|name| !last.contains(&name.as_str()));
        let mut stopped = join_all(services.map(|name| self.stop(name))).await;
        for component in last.into_iter().filter(|component| names.iter().any(|name| name == component)) {
            stopped.push(self.stop(component).await);
        }
        stopped.into_iter().try_for_each(|result| result.map(|_| ()))
    }

    /// Resolves when a process ends that nobody stopped or killed through this stack. The process is forgotten, and can
    /// be started again.
    ///
    /// # Errors
    /// If the state can't be written.
    pub async fn died(&self) -> anyhow::Result<(String, ExitStatus)> {
        loop {
            let mut another = pin!(self.started.notified());
            another.as_mut().enable();
            let ends: Vec<_> = self
                .running
                .lock()
                .await
                .iter()
                .map(|process| {
                    let (process, end) = (Arc::clone(process), process.ended());
                    Box::pin(async move { (process, end.await) })
                })
                .collect();
            if ends.is_empty() {
                another.await;
                continue;
            }
            let (process, status) = tokio::select! {
                (ended, ..) = select_all(ends) => ended,
                // It may die, too.
                () = another => continue,
            };
            let mut running = self.running.lock().await;
            let before = running.len();
            running.retain(|other| !Arc::ptr_eq(other, &process));
            // Otherwise it was released on purpose while we waited.
            if running.len() < before {
                self.write_down(&running)?;
                return Ok((process.name().to_owned(), status));
            }
        }
    }

    /// The number of a running process.
    pub async fn pid(&self, name: &str) -> Option<u32> {
        let running = self.running.lock().await;
        running.iter().find(|p| p.name() == name && p.exited().is_none()).map(|p| p.identity().pid)
    }

    /// What runs: names and process numbers, in the order of their start.
    pub async fn running(&self) -> Vec<(String, u32)> {
        let running = self.running.lock().await;
        running.iter().filter(|p| p.exited().is_none()).map(|p| (p.name().to_owned(), p.identity().pid)).collect()
    }

    /// Which port each door has.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Where a further process listens, such as `webhook-consumer-2`.
    ///
    /// # Errors
    /// If the machine has no free port left.
    pub fn further_port(&self, name: &str) -> anyhow::Result<u16> {
        self.further.of(name)
    }

    /// Which ways the connections take.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Passwords, tokens and keys.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// How the superuser connects to a database.
    ///
    /// # Errors
    /// If its password can't be read.
    pub fn superuser(&self, database: &str) -> anyhow::Result<PgConnectOptions> {
        postgres::superuser(&self.ports, &self.secrets, database)
    }

    fn services(&self) -> Option<Services<'_>> {
        match &self.kit {
            Kit::Everything(_, binaries) => Some(Services {
                binaries,
                folder: &self.folder,
                ports: &self.ports,
                further: &self.further,
                routes: &self.routes,
                secrets: &self.secrets,
                settings: &self.settings,
                tracing: self.tracing(),
            }),
            Kit::Postgres(_) | Kit::Components(_) => None,
        }
    }

    async fn part(&self, name: &str) -> anyhow::Result<Part> {
        let components = match &self.kit {
            Kit::Components(components) | Kit::Everything(components, _) => Some(components),
            Kit::Postgres(_) => None,
        };
        let (folder, log) = (self.folder.of(name), self.folder.log(name));
        match (name, components) {
            ("postgres", _) => {
                let bin = match &self.kit {
                    Kit::Postgres(bin) => bin,
                    Kit::Components(components) | Kit::Everything(components, _) => &components.postgres_bin,
                };
                let postgres = Postgres { bin, folder: &folder, log, user: User::for_postgres()? };
                let spec = postgres.prepare(&self.ports, &self.secrets).await?;
                Ok(Part { spec, ready: Ready::postgres(self.superuser("postgres")?) })
            }
            ("kafka", Some(components)) => Ok(Part {
                spec: kafka::prepare(&components.kafka, &folder, log, &self.ports, &self.routes)?,
                ready: Ready::Kafka(Probe::new(&self.ports)),
            }),
            ("restate", Some(components)) => {
                let (key, _) = self.secrets.identity_key()?;
                let (tracing, settings) = (self.tracing(), self.settings.iter());
                let ratio = settings.rev().find(|(name, _)| name == SAMPLE_RATIO).map(|(_, ratio)| ratio.as_str());
                let spec =
                    restate::prepare(&components.restate_server, &folder, log, &self.ports, &key, &tracing, ratio)?;
                Ok(Part { spec, ready: Ready::Http(restate::health(&self.ports)) })
            }
            _ => {
                let services = self.services().with_context(|| format!("there is no {name} in this stack"))?;
                let (spec, ready) = services.service(name)?;
                let socket = lasting_door(name).map(|door| self.socket(door)).transpose()?;
                Ok(Part { spec: Spec { socket, ..spec }, ready })
            }
        }
    }

    /// The socket of a door: bound once, and passed to each process that serves there.
    fn socket(&self, door: Door) -> anyhow::Result<Arc<TcpListener>> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = sockets.get(&door) {
            return Ok(Arc::clone(socket));
        }
        let address = SocketAddr::from(([127, 0, 0, 1], self.ports.of(door)));
        let socket = server::bind(address)
            .map_err(anyhow::Error::from)
            .and_then(|socket| Ok(Arc::new(socket.into_std()?)))
            .with_context(|| format!("can't pass a socket to {}", door.name()))?;
        sockets.insert(door, Arc::clone(&socket));
        Ok(socket)
    }

    /// Starts the process and writes it down before anybody waits for it: not even a launcher that is killed now
    /// leaves it behind unseen.
    async fn adopt(&self, name: &str, spec: &Spec) -> anyhow::Result<Arc<Process>> {
        let mut running = self.running.lock().await;
        // A dead one that nobody has collected gives way.
        running.retain(|process| process.name() != name || process.exited().is_none());
        if running.iter().any(|process| process.name() == name) {
            bail!("{name} runs already");
        }
        let process = Arc::new(Process::spawn(spec).await?);
        running.push(Arc::clone(&process));
        self.started.notify_waiters();
        self.write_down(&running)?;
        Ok(process)
    }

    async fn release(&self, name: &str) -> anyhow::Result<Arc<Process>> {
        let mut running = self.running.lock().await;
        let index = running.iter().position(|process| process.name() == name);
        let process = running.remove(index.with_context(|| format!("{name} does not run"))?);
        Ok(process)
    }

    fn write_down(&self, running: &[Arc<Process>]) -> anyhow::Result<()> {
        let entry = |process: &Arc<Process>| Entry { name: process.name().to_owned(), identity: process.identity() };
        State::new(running.iter().map(entry).collect())?.write(self.folder.root())
    }
}
