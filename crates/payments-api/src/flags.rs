//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use chassis::Token;
use chassis::database::DatabaseFlags;
use chassis::flags::{FileError, Listen, ServiceFlags};
use clap::{ArgGroup, Parser};
use domain::trace::SampleRatio;

/// Accepts payments: makes them, reads them, changes their status.
///
/// What it answers with success is committed, and the event that tells the merchant's endpoints is committed with it.
/// Say either --token-file or --open.
#[derive(Debug, Clone, Parser)]
#[command(version = chassis::version!(), group(ArgGroup::new("door").args(["token_file", "open"]).required(true)))]
pub struct Flags {
    /// Where to listen.
    #[arg(long, env = "EVERHOOK_LISTEN", default_value = "127.0.0.1:3001")]
    pub listen: Listen,
    /// A file that holds the token which every request must bring as `Authorization: Bearer <token>`.
    #[arg(long, env = "EVERHOOK_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Ask for no token: whoever reaches the port may make payments.
    #[arg(long)]
    pub open: bool,
    /// Make a merchant named "Demo merchant", and take payments that name no merchant for it.
    #[arg(long, env = "EVERHOOK_DEMO_MERCHANT")]
    pub demo_merchant: bool,
    /// The most requests under way; what comes above is answered with 503 and `Retry-After` at once. Divided by what
    /// the service does in a second, it is the longest that a request waits.
    #[arg(long, env = "EVERHOOK_MOST_UNDER_WAY", default_value = "512")]
    pub most_under_way: NonZeroUsize,
    /// Which share of the traces that begin here is kept, from 0 to 1. A caller that sends `traceparent` decides itself; all
    /// others keep what is kept here.
    #[arg(long, env = "EVERHOOK_TRACE_SAMPLE_RATIO", default_value_t = SampleRatio::ALL)]
    pub trace_sample_ratio: SampleRatio,
    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseFlags,
    /// What every service takes.
    #[command(flatten)]
    pub service: ServiceFlags,
}

/// Who may come in.
#[derive(Debug, Clone)]
pub enum Door {
    /// Everybody.
    Open,
    /// Whoever brings the token.
    Token(Token),
}

impl Flags {
    /// Who may come in; reads the token's file.
    ///
    /// # Errors
    /// If the file can't be read or is empty.
    pub fn door(&self) -> Result<Door, FileError> {
        self.token_file.as_deref().map_or(Ok(Door::Open), |path| Token::from_file(path).map(Door::Token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[&str]) -> Result<Flags, clap::Error> {
        let common = ["payments-api", "--database-url", "postgres://everhook@127.0.0.1:5432/everhook"];
        Flags::try_parse_from(common.iter().chain(flags))
    }

    #[test]
    fn either_a_token_or_open_must_be_said_and_never_both() {
        assert!(matches!(parse(&["--open"]).unwrap().door(), Ok(Door::Open)));
        assert!(parse(&["--token-file", "/nowhere/token"]).unwrap().door().is_err());
        assert!(parse(&[]).is_err(), "an open door was not asked for");
        assert!(parse(&["--open", "--token-file", "/nowhere/token"]).is_err(), "open and closed at once");
    }

    #[test]
    fn a_service_that_would_refuse_everything_is_refused() {
        assert!(parse(&["--open", "--most-under-way", "0"]).is_err());
    }
}
