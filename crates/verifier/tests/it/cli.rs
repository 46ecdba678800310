//! The binary: what it prints, and its exit codes.

use std::process::{Command, Output};

use serde_json::Value;

use crate::Folder;
use crate::fake::{Faults, Lab};

/// Runs the binary beside the fake, which lives on this test's runtime.
pub async fn verifier(arguments: Vec<String>) -> Output {
    let run = move || Command::new(env!("CARGO_BIN_EXE_verifier")).args(arguments).output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn load(lab: &Lab, folder: &Folder, more: &str) -> Vec<String> {
    let path = |name| folder.file(name).display().to_string();
    words(&format!(
        "load --account {} --api-url {} --token-file {} --portal-url {} --operator-token-file {} --simulator-url {} {more}",
        path("account.jsonl"),
        lab.url("api"),
        path("token"),
        lab.url("portal"),
        path("operator-token"),
        lab.url("simulator"),
    ))
}

pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn load_then_verdict_exits_0_and_prints_json_alone_on_stdout() {
    let (lab, folder) = (Lab::start(Faults::default()).await, Folder::new("cli-good"));
    let loaded = verifier(load(&lab, &folder, "--payments 10 --merchants 2 --changes 1 --json")).await;
    assert_eq!(loaded.status.code(), Some(0), "{}", said(&loaded));
    assert_eq!(json(&loaded)["acknowledged"], 20);
    let account = folder.file("account.jsonl").display().to_string();
    let judged = verifier(words(&format!("verdict --account {account} --wait 5s --settle 100ms --json"))).await;
    assert_eq!(judged.status.code(), Some(0), "{}", said(&judged));
    let verdict = json(&judged);
    assert_eq!((&verdict["acknowledged"], &verdict["delivered"]), (&20.into(), &20.into()));
    for count in ["lost", "repeated", "phantom", "stale", "unsigned", "late"] {
        assert_eq!(verdict[count], 0, "{count}");
    }
    let in_words = verifier(words(&format!("verdict --account {account} --wait 5s --settle 100ms"))).await;
    insta::assert_snapshot!("verdict_that_balances", String::from_utf8_lossy(&in_words.stdout));
}

#[tokio::test]
async fn a_loss_exits_1() {
    let faults = Faults { not_delivered: Some("-3"), ..Faults::default() };
    let (lab, folder) = (Lab::start(faults).await, Folder::new("cli-lost"));
    verifier(load(&lab, &folder, "--duration 300ms --rate 50/s --changes 0")).await;
    let account = folder.file("account.jsonl").display().to_string();
    let judged = verifier(words(&format!("verdict --account {account} --wait 200ms --settle 50ms --json"))).await;
    assert_eq!(judged.status.code(), Some(1), "{}", said(&judged));
    assert_eq!(json(&judged)["lost"], 1);
}

#[tokio::test]
async fn what_can_not_be_found_out_exits_2_with_one_sentence() {
    let folder = Folder::new("cli-error");
    let account = folder.file("no-account.jsonl").display().to_string();
    let judged = verifier(words(&format!("verdict --account {account}"))).await;
    assert_eq!(judged.status.code(), Some(2));
    assert!(said(&judged).starts_with("verifier: can't read the account"), "{}", said(&judged));
    let neither = verifier(words("load --account a --operator-token-file t")).await;
    assert_eq!(neither.status.code(), Some(2));
    assert!(said(&neither).contains("--payments"), "{}", said(&neither));
}

#[tokio::test]
async fn audit_exits_by_its_sums() {
    let (lab, folder) = (Lab::start(Faults::default()).await, Folder::new("cli-audit"));
    let token = folder.file("operator-token").display().to_string();
    let portal = format!("--portal-url {} --operator-token-file {token}", lab.url("portal"));
    let good = verifier(words(&format!("audit {portal} --since 10m --json"))).await;
    assert_eq!(good.status.code(), Some(0), "{}", said(&good));
    assert_eq!(json(&good)["committed"], 1);
    let bad = format!("audit {portal} --from 2020-01-01T00:00:00Z --to 2020-01-02T00:00:00Z");
    let bad = verifier(words(&bad)).await;
    assert_eq!(bad.status.code(), Some(1), "{}", said(&bad));
    insta::assert_snapshot!("audit_that_does_not_balance", String::from_utf8_lossy(&bad.stdout));
}

#[tokio::test]
async fn why_prints_the_answer_and_an_unknown_id_exits_2() {
    let (lab, folder) = (Lab::start(Faults::default()).await, Folder::new("cli-why"));
    let token = folder.file("operator-token").display().to_string();
    let portal = format!("--portal-url {} --operator-token-file {token}", lab.url("portal"));
    let known = verifier(words(&format!("why {portal} pay_1"))).await;
    assert_eq!(known.status.code(), Some(0), "{}", said(&known));
    assert_eq!(String::from_utf8_lossy(&known.stdout), "pay_1 (payment)\nAll is delivered.\n");
    let unknown = verifier(words(&format!("why {portal} pay_2"))).await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(said(&unknown).contains("404 not_found: the fake says so"), "{}", said(&unknown));
    let no_id = verifier(words(&format!("why {portal} order-7"))).await;
    assert!(said(&no_id).contains("write an id like pay_"), "{}", said(&no_id));
}
