//! The witness over real HTTP, against a small fake of the three doors that it knows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
#[path = "../../src/spans/example.rs"]
mod example;
mod fake;
mod load;
mod traces;
mod verdict;

use std::path::PathBuf;
use std::time::Duration;

use fake::Lab;
use verifier::load::{Options, Pace, Until};

/// A folder that is removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("everhook-verifier-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("token"), "api-token\n").unwrap();
        std::fs::write(path.join("operator-token"), "operator-token\n").unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn options(lab: &Lab, folder: &Folder) -> Options {
    Options {
        account: folder.file("account.jsonl"),
        api_url: lab.url("api"),
        token_file: Some(folder.file("token")),
        portal_url: lab.url("portal"),
        operator_token_file: folder.file("operator-token"),
        simulator_url: lab.url("simulator"),
        merchants: 3,
        endpoints_per_merchant: 2,
        event_types: vec!["payment.*".parse().unwrap()],
        changes: 2,
        until: Until::Payments(20),
        pace: Pace::Closed { concurrency: 4 },
        seed: 1,
        answer_within: Duration::from_secs(10),
        one_try: Duration::from_secs(5),
    }
}
