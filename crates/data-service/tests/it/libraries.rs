//! Signatures verified by code that is not ours: the libraries of Standard Webhooks from crates.io, npm and PyPI, and two
//! implementations of ed25519. The requests are those that data-service composes.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use domain::signature::Version;
use domain::webhook::Request;
use serde::Serialize;
use serde_json::{Map, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::lab::secret;
use crate::rotation::{One, key};

/// A request as a merchant gets it, and whether one with this key must accept it.
#[derive(Debug, Clone, Serialize)]
struct Case {
    name: &'static str,
    key: String,
    headers: Map<String, serde_json::Value>,
    body: String,
    #[serde(skip)]
    is_genuine: bool,
}

impl Case {
    fn new(name: &'static str, key: &str, request: &Request, is_genuine: bool) -> Self {
        let headers = request.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        Self { name, key: key.to_owned(), headers, body: request.body.clone(), is_genuine }
    }

    fn version(&self) -> Version {
        if self.key.starts_with("whpk_") { Version::V1a } else { Version::V1 }
    }
}

/// An endpoint's way from one secret for `v1` through a rotation to `v1a`.
async fn cases(one: &One) -> Vec<Case> {
    let first = secret().expose();
    let stranger = |version: Version| version.secret([42; 32]).key().expose();
    let mut cases = Vec::new();

    let request = one.request().await;
    cases.push(Case::new("the first secret", &first, &request, true));
    cases.push(Case::new("a stranger's secret", &stranger(Version::V1), &request, false));

    let second = key(&one.rotate(json!({})).await).expose();
    let request = one.request().await;
    cases.push(Case::new("rotating: the new secret", &second, &request, true));
    cases.push(Case::new("rotating: the old secret", &first, &request, true));
    cases.push(Case::new("rotating: a stranger's secret", &stranger(Version::V1), &request, false));

    let third = Version::V1.secret([9; 32]).expose();
    one.rotate(json!({"secret": third, "expires_in": "0s"})).await;
    let request = one.request().await;
    cases.push(Case::new("rotated: an imported secret", &third, &request, true));
    cases.push(Case::new("rotated: the secret before", &second, &request, false));

    let pair = key(&one.rotate(json!({"signature": "v1a"})).await).expose();
    let request = one.request().await;
    cases.push(Case::new("changing to v1a: the public key", &pair, &request, true));
    cases.push(Case::new("changing to v1a: the secret before", &third, &request, true));
    cases.push(Case::new("changing to v1a: a stranger's key", &stranger(Version::V1a), &request, false));

    let next = key(&one.rotate(json!({"expires_in": "1h"})).await).expose();
    let request = one.request().await;
    cases.push(Case::new("rotating v1a: the new key", &next, &request, true));
    cases.push(Case::new("rotating v1a: the old key", &pair, &request, true));

    // What comes in between is noticed by each of them.
    let changed: Vec<Case> = cases.iter().filter(|case| case.is_genuine).cloned().flat_map(changed).collect();
    cases.extend(changed);
    cases
}

fn changed(case: Case) -> Vec<Case> {
    let mut body = Case { is_genuine: false, ..case };
    let (mut id, mut timestamp) = (body.clone(), body.clone());
    body.body.push(' ');
    id.headers["webhook-id"] = json!("evt_019a0b1c2d3e7f00a1b2c3d4e5f60718");
    let seconds: i64 = timestamp.headers["webhook-timestamp"].as_str().unwrap().parse().unwrap();
    timestamp.headers["webhook-timestamp"] = json!((seconds - 1).to_string());
    vec![body, id, timestamp]
}

fn compare(cases: &[Case], accepted: &[bool]) {
    assert_eq!(cases.len(), accepted.len());
    let wrong: Vec<_> = cases.iter().zip(accepted).filter(|(case, accepted)| case.is_genuine != **accepted).collect();
    assert!(wrong.is_empty(), "these are not judged as they are: {wrong:#?}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_library_from_crates_io_verifies_v1(pool: PgPoolOptions, connect: PgConnectOptions) {
    let one = One::start(pool, connect).await;
    let cases: Vec<Case> = cases(&one).await.into_iter().filter(|case| case.version() == Version::V1).collect();
    let accepts = |case: &Case| {
        let headers = case.headers.iter().map(|(name, value)| {
            (name.parse::<reqwest::header::HeaderName>().unwrap(), value.as_str().unwrap().parse().unwrap())
        });
        let library = standardwebhooks::Webhook::new(&case.key).unwrap();
        library.verify(case.body.as_bytes(), &headers.collect()).is_ok()
    };
    compare(&cases, &cases.iter().map(accepts).collect::<Vec<_>>());
}

#[sqlx::test(migrations = "../../migrations")]
#[ignore = "installs from npm: scripts/run-tests.sh e2e"]
async fn the_libraries_from_npm_verify_v1_and_v1a(pool: PgPoolOptions, connect: PgConnectOptions) {
    let one = One::start(pool, connect).await;
    let folder = folder("npm", &["package.json", "package-lock.json", "verify.mjs"]);
    let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--loglevel=error"];
    finished(Command::new("npm").args(install).current_dir(&folder), "");
    let cases = cases(&one).await;
    compare(&cases, &judged(Command::new("node").arg("verify.mjs").current_dir(&folder), &cases));
}

#[sqlx::test(migrations = "../../migrations")]
#[ignore = "installs from PyPI: scripts/run-tests.sh e2e"]
async fn the_library_from_pypi_verifies_v1(pool: PgPoolOptions, connect: PgConnectOptions) {
    let one = One::start(pool, connect).await;
    let folder = folder("pypi", &["requirements.txt", "verify.py"]);
    let packages = folder.join("packages");
    let install = "-m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all:";
    let mut pip = Command::new("python3");
    pip.args(install.split(' ')).args(["--upgrade", "--requirement", "requirements.txt", "--target"]).arg(&packages);
    finished(pip.current_dir(&folder), "");
    let cases: Vec<Case> = cases(&one).await.into_iter().filter(|case| case.version() == Version::V1).collect();
    let mut verify = Command::new("python3");
    verify.arg("verify.py").env("PYTHONPATH", &packages).current_dir(&folder);
    compare(&cases, &judged(&mut verify, &cases));
}

/// A folder under `target` with these files of ours.
fn folder(name: &str, files: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("signature-libraries").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/libraries");
    for file in files {
        std::fs::copy(ours.join(file), folder.join(file)).unwrap();
    }
    folder
}

fn judged(verify: &mut Command, cases: &[Case]) -> Vec<bool> {
    serde_json::from_str(&finished(verify, &serde_json::to_string(cases).unwrap())).unwrap()
}

/// What a program says, which must end well.
fn finished(command: &mut Command, stdin: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
