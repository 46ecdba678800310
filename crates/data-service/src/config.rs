//! The command line and the environment.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use chassis::database::DatabaseFlags;
use chassis::flags::{Listen, ServiceFlags, duration};
use chassis::telemetry::LogFormat;
use domain::gate::Limits;
use domain::protocol::BUSY_FROM;
use domain::trace::SampleRatio;
use store::retention::Ages;

use crate::observe::Pace;

/// The truth at delivery time, and the ledger.
#[derive(Debug, clap::Parser)]
#[command(version = chassis::version!())]
pub struct Config {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Bring the schema up to date and make the partitions of the next 60 days. May be repeated.
    Migrate(Migrate),
    /// Print the migrations that this program brings, one a line: the file's name, and the SHA-384 of its bytes.
    Migrations,
    /// Serve webhook-consumer and the portal.
    Serve(Box<Serve>),
}

/// Flags of `migrate`.
#[derive(Debug, clap::Args)]
pub struct Migrate {
    /// Where the ledger is.
    #[command(flatten)]
    pub database: DatabaseFlags,
    /// How the log is written to stderr.
    #[arg(long, env = "EVERHOOK_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Check the configuration, say what is wrong with it, and end. Opens no secret and connects to nothing.
    #[arg(long)]
    pub check_config: bool,
}

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Where to listen.
    #[arg(long, env = "EVERHOOK_LISTEN", default_value = "127.0.0.1:3002")]
    pub listen: Listen,
    /// Where the ledger is.
    #[command(flatten)]
    pub database: DatabaseFlags,
    /// A file with the token that webhook-consumer shows.
    #[arg(long, env = "EVERHOOK_TOKEN_FILE")]
    pub token_file: PathBuf,
    /// A file with the token that the portal shows.
    #[arg(long, env = "EVERHOOK_PORTAL_TOKEN_FILE")]
    pub portal_token_file: PathBuf,
    /// A file with the keys that encrypt signing secrets: one a line, base64 of 32 random bytes. The first one
    /// encrypts, all of them decrypt.
    #[arg(long, env = "EVERHOOK_KEY_FILE")]
    pub key_file: PathBuf,
    /// An event that nobody has routed is overdue after so long, whatever CDC does.
    #[arg(long, env = "EVERHOOK_UNROUTED_AFTER", value_parser = duration, default_value = "5m")]
    pub unrouted_after: Duration,
    /// An event that nobody has routed is overdue after so long, if CDC has brought a newer one.
    #[arg(long, env = "EVERHOOK_OVERTAKEN_AFTER", value_parser = duration, default_value = "60s")]
    pub overtaken_after: Duration,
    /// A delivery is overdue so long after its time, doubling with each claim.
    #[arg(long, env = "EVERHOOK_OVERDUE_AFTER", value_parser = duration, default_value = "5m")]
    pub overdue_after: Duration,
    /// Beyond an attempt's own time-out, so long until it is taken for dead.
    #[arg(long, env = "EVERHOOK_LEASE_MARGIN", value_parser = duration, default_value = "5s")]
    pub lease_margin: Duration,
    /// How many overdue things one sweep hands out at most.
    #[arg(long, env = "EVERHOOK_SWEEP_LIMIT", default_value_t = 500)]
    pub sweep_limit: u32,
    /// So many attempts at a time are in flight from one webhook-consumer to one endpoint.
    #[arg(long, env = "EVERHOOK_ENDPOINT_SHARE", default_value_t = Limits::default().share)]
    pub endpoint_share: u32,
    /// An endpoint's circuit opens after so many failures without a success between them; 0 is never.
    #[arg(long, env = "EVERHOOK_CIRCUIT_OPENS_AFTER", default_value_t = 10)]
    pub circuit_opens_after: u32,
    /// A circuit that has opened is tried after so long for the first time; each time that fails doubles it.
    #[arg(long, env = "EVERHOOK_CIRCUIT_SHORTEST", value_parser = duration, default_value = "5s")]
    pub circuit_shortest: Duration,
    /// A circuit that is open is tried that often at least.
    #[arg(long, env = "EVERHOOK_CIRCUIT_LONGEST", value_parser = duration, default_value = "5m")]
    pub circuit_longest: Duration,
    /// An endpoint that has failed for so long without a success is disabled; 0s is never.
    #[arg(long, env = "EVERHOOK_DISABLED_AFTER", value_parser = duration, default_value = "5d")]
    pub disabled_after: Duration,
    /// Which share of the traces is kept of changes that no payments-api has made, from 0 to 1.
    #[arg(long, env = "EVERHOOK_TRACE_SAMPLE_RATIO", default_value_t = SampleRatio::ALL)]
    pub trace_sample_ratio: SampleRatio,
    /// Events are kept for so long, in whole days of UTC: as long as Kafka keeps them, or longer.
    #[arg(long, env = "EVERHOOK_KEEP_EVENTS", value_parser = duration, default_value = "30d")]
    pub keep_events: Duration,
    /// What became of events is kept for so long, in whole days of UTC: as long as the events, or longer.
    #[arg(long, env = "EVERHOOK_KEEP_LEDGER", value_parser = duration, default_value = "90d")]
    pub keep_ledger: Duration,
    /// How often it is looked how things stand, for the metrics.
    #[arg(long, env = "EVERHOOK_OBSERVE_EVERY", value_parser = duration, default_value = "15s")]
    pub observe_every: Duration,
    /// Each event is audited so long after it occurred, for the metrics.
    #[arg(long, env = "EVERHOOK_AUDIT_AFTER", value_parser = duration, default_value = "10m")]
    pub audit_after: Duration,
    /// What every service takes.
    #[command(flatten)]
    pub service: ServiceFlags,
}

/// As long as Kafka's topic keeps events, which may be read again.
const KEEP_AT_LEAST: Duration = Duration::from_secs(7 * 24 * 3600);

impl Serve {
    /// What is asked of every endpoint alike.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            share: self.endpoint_share,
            opens_after: NonZeroU32::new(self.circuit_opens_after),
            shortest_open: self.circuit_shortest,
            longest_open: self.circuit_longest,
            disabled_after: (!self.disabled_after.is_zero()).then_some(self.disabled_after),
        }
    }

    /// Checks what clap can't.
    ///
    /// # Errors
    /// Says which flag is wrong, and what it must be.
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!(self.sweep_limit > 0, "--sweep-limit must be at least 1");
        ensure!(
            self.endpoint_share >= BUSY_FROM,
            "--endpoint-share must be at least {BUSY_FROM}: a webhook-consumer tells of no fewer attempts"
        );
        ensure!(
            !self.circuit_shortest.is_zero() && self.circuit_shortest <= self.circuit_longest,
            "--circuit-shortest must be longer than nothing, and at most --circuit-longest"
        );
        let longest = Duration::from_secs(366 * 24 * 3600);
        ensure!(
            self.circuit_longest <= longest && self.disabled_after <= longest,
            "--circuit-longest and --disabled-after must be at most a year"
        );
        ensure!(
            self.database.database_connections >= 3,
            "--database-connections must be at least 3: for the fast commits, for the durable ones, and for the rest"
        );
        ensure!(!self.observe_every.is_zero(), "--observe-every must be longer than nothing");
        ensure!(
            self.audit_after < self.keep_events,
            "--audit-after must be shorter than --keep-events: what is gone can't be audited"
        );
        ensure!(
            self.keep_events >= KEEP_AT_LEAST,
            "--keep-events must be at least 7d: Kafka may bring each event of 7 days again"
        );
        ensure!(
            self.keep_ledger >= self.keep_events,
            "--keep-ledger must be at least --keep-events: without its ledger an event that is there would be sent again"
        );
        Ok(())
    }

    /// How often things are looked at.
    #[must_use]
    pub const fn pace(&self) -> Pace {
        Pace { every: self.observe_every, audit_after: self.audit_after }
    }

    /// How long things are kept.
    #[must_use]
    pub const fn ages(&self) -> Ages {
        Ages { events: self.keep_events, ledger: self.keep_ledger }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn serve(ages: &[&str]) -> Serve {
        let flags = ["--token-file=t", "--portal-token-file=p", "--key-file=k", "--database-url=postgres://u@h/d"];
        let words = ["data-service", "serve"].into_iter().chain(flags).chain(ages.iter().copied());
        let Command::Serve(serve) = Config::parse_from(words).command else { panic!("this is serve") };
        *serve
    }

    fn refusal(ages: &[&str]) -> Option<String> {
        serve(ages).validate().err().map(|error| error.to_string())
    }

    #[test]
    fn the_flags_ask_of_endpoints_what_is_asked_by_default() {
        assert_eq!(serve(&[]).limits(), Limits::default());
    }

    #[test]
    fn events_outlive_kafka_s_and_the_ledger_outlives_the_events() {
        assert_eq!(refusal(&[]), None);
        assert_eq!(refusal(&["--keep-events=7d", "--keep-ledger=7d"]), None);
        let too_short = refusal(&["--keep-events=6d"]).unwrap();
        assert!(too_short.starts_with("--keep-events must be at least 7d"), "{too_short}");
        let crossed = refusal(&["--keep-events=30d", "--keep-ledger=29d"]).unwrap();
        assert!(crossed.starts_with("--keep-ledger must be at least --keep-events"), "{crossed}");
    }
}
