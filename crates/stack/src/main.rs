//! The launcher: see `stack --help`.

use std::process::ExitCode;

use clap::Parser;
use stack::commands::{Arguments, run};
use stack::process::log::Failure;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut exit = ExitCode::FAILURE;
    let done = chassis::telemetry::init(chassis::telemetry::LogFormat::Text, "warn")
        .map_err(anyhow::Error::from)
        .and_then(|()| {
            chassis::lifecycle::run(arguments.threads(), async {
                exit = run(arguments).await?;
                anyhow::Ok(())
            })
        });
    if let Err(error) = done {
        eprintln!("stack: {error:#}");
        if let Some(failure) = error.chain().find_map(|cause| cause.downcast_ref::<Failure>()) {
            let what = if failure.tail.is_empty() { "Nothing was written to" } else { "The last lines of" };
            eprintln!("{what} {}:", failure.log.display());
            for line in &failure.tail {
                eprintln!("  {line}");
            }
        }
        return ExitCode::FAILURE;
    }
    exit
}
