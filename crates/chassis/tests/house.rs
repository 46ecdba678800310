//! The house's rules that a compiler does not know: who may know whom, and that the map names what exists.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each crate with those of ours that it may use. Tests may use more only where it says so.
const ALLOWED: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("store", &["domain"]),
    ("chassis", &[]),
    ("payments-api", &["domain", "store", "chassis"]),
    ("data-service", &["domain", "store", "chassis"]),
    ("webhook-consumer", &["domain", "chassis"]),
    ("cdc-relay", &["chassis"]),
    ("portal", &["domain", "store", "chassis"]),
    ("merchant-simulator", &["domain", "chassis"]),
    ("baseline", &["domain", "store", "chassis", "payments-api"]),
    ("verifier", &["domain", "chassis"]),
    ("stack", &["verifier", "chassis"]),
    ("fuzz", &["domain", "chassis", "payments-api", "cdc-relay", "portal"]),
];

/// Each crate with what it must never use of others.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("domain", &["tokio", "axum", "reqwest", "sqlx", "rand"]),
    ("store", &["axum", "reqwest"]),
    ("payments-api", &["rdkafka", "restate-sdk"]),
    ("data-service", &["rdkafka"]),
    ("webhook-consumer", &["sqlx"]),
    ("portal", &["rdkafka", "chacha20poly1305"]),
    ("baseline", &["rdkafka", "restate-sdk"]),
    ("verifier", &["sqlx", "rdkafka"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Name of each crate of the workspace, with its dependencies for running (not for tests).
fn crates() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let dependencies = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|dependency| dependency["kind"].as_str() != Some("dev")).map(name).collect()
    };
    metadata["packages"].as_array().unwrap().iter().map(|package| (name(package), dependencies(package))).collect()
}

#[test]
fn every_crate_is_listed_and_uses_only_what_it_may() {
    let crates = crates();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    for (name, dependencies) in &crates {
        let may = allowed.get(name.as_str()).unwrap_or_else(|| panic!("the crate {name} is not in the table"));
        let ours = dependencies.iter().filter(|dependency| crates.contains_key(*dependency));
        let unlisted: Vec<_> = ours.filter(|dependency| !may.contains(&dependency.as_str())).collect();
        assert!(unlisted.is_empty(), "{name} uses {unlisted:?}, which the table does not allow");
    }
    for (name, _) in ALLOWED {
        assert!(crates.contains_key(*name), "the table lists the crate {name}, which does not exist");
    }
}

#[test]
fn no_crate_uses_what_it_must_not_know() {
    let crates = crates();
    for (name, must_not) in FORBIDDEN {
        let known: Vec<_> = crates[*name].iter().filter(|dependency| must_not.contains(&dependency.as_str())).collect();
        assert!(known.is_empty(), "{name} must not use {known:?}");
    }
}

#[test]
fn every_alert_says_what_it_means_and_what_to_do() {
    let read = |path| std::fs::read_to_string(root().join(path)).unwrap();
    let (rules, page) = (read("docs/alerts.yml"), read("docs/operations.md"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "only {alerts:?} were found");
    let missing: Vec<_> = alerts.iter().filter(|alert| !page.contains(&format!("\n| `{alert}` | "))).collect();
    assert!(missing.is_empty(), "docs/operations.md does not explain {missing:?}");
}

#[test]
fn the_map_names_only_what_exists() {
    let map = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let names = map.split('`').skip(1).step_by(2);
    let paths: Vec<&str> = names
        .filter(|name| {
            ["crates/", "migrations/", "scripts/", "docs/", "nix/", "checks/"].iter().any(|dir| name.starts_with(dir))
        })
        .collect();
    assert!(paths.len() > 10, "the map names only {} places", paths.len());
    let missing: Vec<&&str> = paths.iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "docs/architecture.md names what does not exist: {missing:?}");
}

/// Without Nix nobody would notice before somebody builds with it.
#[test]
fn every_nix_file_parses() {
    let files: Vec<PathBuf> = ["", "nix", "nix/modules", "checks"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(root().join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "nix"))
        .collect();
    assert!(files.len() > 20, "only {} Nix files were found", files.len());
    for file in files {
        let errors = rnix::Root::parse(&std::fs::read_to_string(&file).unwrap()).errors().to_vec();
        assert!(errors.is_empty(), "{}: {errors:?}", file.display());
    }
}
