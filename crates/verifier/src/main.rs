//! The witness's command line: `load`, `verdict`, `audit`, `trace`, `traces`, `why`, `phantoms`.

use std::process::ExitCode;

use clap::Parser;
use verifier::cli::{self, Command};

/// The outside witness: drives load, keeps the account, gives the verdict. It knows URLs only.
///
/// Data goes to stdout, words to stderr. Exit code 0: all is well; 1: something is lost, wrong or out of
/// balance, and listed by id; 2: it could not be found out.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match cli::run(Flags::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("verifier: {error:#}");
            ExitCode::from(2)
        }
    }
}
