//! The binary `stack`: what it leaves behind when it is killed, and what it says when it can't start.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stack::ports::{Door, Ports};
use stack::process::identity::Identity;
use stack::state::State;

const STACK: &str = env!("CARGO_BIN_EXE_stack");

struct Launch {
    data: PathBuf,
    ports: Ports,
}

impl Launch {
    fn new(name: &str) -> Self {
        let data = std::env::temp_dir().join(format!("everhook-launch-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&data);
        Self { data, ports: Ports::free().unwrap() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(STACK);
        command.args(arguments).arg("--data-dir").arg(&self.data);
        command
    }

    fn up(&self) -> Command {
        let mut command = self.command(&["up", "--components-only"]);
        for door in Door::ALL {
            command.arg("--port").arg(format!("{}={}", door.name(), self.ports.of(door)));
        }
        command
    }

    /// A launcher whose components are all up.
    fn running(&self) -> Child {
        let words = self.data.with_extension("stderr");
        let stderr = std::fs::File::create(&words).unwrap();
        let mut launcher = self.up().stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut out = BufReader::new(launcher.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("ctrl-C") {
            line.clear();
            let read = out.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the launcher ended early: {}", std::fs::read_to_string(&words).unwrap());
        }
        launcher
    }

    fn processes(&self) -> Vec<Identity> {
        let state = State::read(&self.data).unwrap().unwrap();
        assert_eq!(state.processes.len(), 3);
        state.processes.iter().map(|entry| entry.identity).collect()
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.data);
        let _ = std::fs::remove_file(self.data.with_extension("stderr"));
    }
}

fn terminate(launcher: &mut Child) -> bool {
    Identity::of(launcher.id()).unwrap().signal(rustix::process::Signal::TERM).unwrap();
    launcher.wait().unwrap().success()
}

fn wait_until_gone(processes: &[Identity]) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Some(alive) = processes.iter().find(|process| process.is_alive()) {
        assert!(Instant::now() < deadline, "{alive:?} outlives its launcher");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn said(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_killed_launcher_leaves_nothing_running_and_the_next_one_starts_on_its_data() {
    let launch = Launch::new("killed");
    let mut launcher = launch.running();
    let processes = launch.processes();
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    wait_until_gone(&processes);

    let (ok, words) = said(&mut launch.command(&["down"]));
    assert!(ok && words.starts_with("nothing is left running"), "{words}");
    let mut launcher = launch.running();
    assert!(terminate(&mut launcher));
    wait_until_gone(&processes);
}

#[test]
fn components_that_die_together_are_told_and_started_again() {
    let launch = Launch::new("die");
    let mut launcher = launch.running();
    let processes = launch.processes();
    for process in &processes {
        assert!(process.signal(rustix::process::Signal::KILL).unwrap());
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let words = std::fs::read_to_string(launch.data.with_extension("stderr")).unwrap();
        let again = |name: &str| {
            let (_, after) = words.split_once(&format!("{name} was killed by signal 9")).unwrap_or_default();
            after.contains(&format!("{name}: ready"))
        };
        if ["postgres", "kafka", "restate"].into_iter().all(again) {
            break;
        }
        assert!(Instant::now() < deadline, "{words}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(launch.processes().iter().all(|process| process.is_alive() && !processes.contains(process)));
    assert!(terminate(&mut launcher));
}

#[test]
fn down_stops_a_stack_from_another_terminal() {
    let launch = Launch::new("down");
    let mut launcher = launch.running();
    let processes = launch.processes();
    let (ok, words) = said(&mut launch.up());
    assert!(!ok && words.contains("another stack uses"), "{words}");

    let (ok, words) = said(&mut launch.command(&["down"]));
    assert!(ok && words.contains("nothing is left running"), "{words}");
    assert!(launcher.wait().unwrap().success(), "a launcher that is asked to stop ends well");
    assert!(processes.iter().all(|process| !process.is_alive()));
}

#[test]
fn what_a_launcher_left_behind_is_ended_by_down() {
    let launch = Launch::new("left");
    std::fs::create_dir_all(&launch.data).unwrap();
    drop(stack::folder::Folder::open(&launch.data).unwrap());
    let mut left = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    let entry = stack::state::Entry { name: "kafka".to_owned(), identity: Identity::of(left.id()).unwrap() };
    State::new(vec![entry]).unwrap().write(&launch.data).unwrap();

    let (ok, words) = said(&mut launch.command(&["down"]));
    assert!(ok && words.starts_with("ended kafka"), "{words}");
    assert!(!left.wait().unwrap().success());
}

#[test]
fn a_port_in_use_is_named_before_anything_starts() {
    let launch = Launch::new("port");
    let port = launch.ports.of(Door::RestateIngress);
    let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (ok, words) = said(&mut launch.up());
    assert!(!ok);
    assert!(
        words.starts_with(&format!("stack: port {port}, which restate-ingress is to listen on, is in use")),
        "{words}"
    );
    assert_eq!(words.lines().count(), 1, "{words}");
}

#[test]
fn a_missing_tool_is_named_with_what_to_do() {
    let launch = Launch::new("tool");
    let scratch = launch.data.with_extension("tools");
    std::fs::create_dir_all(scratch.join("bin")).unwrap();
    let exec = || {
        let mut command = Command::new(STACK);
        command.args(["exec", "--", "true"]).env_remove("JAVA_HOME");
        let (ok, words) =
            said(command.env("PATH", scratch.join("bin")).env("EVERHOOK_CACHE_DIR", scratch.join("cache")));
        assert!(!ok);
        assert_eq!(words.lines().count(), 1, "{words}");
        words
    };
    let add = |name: &str, script: &str| {
        let file = scratch.join("bin").join(name);
        std::fs::write(&file, script).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let words = exec();
    assert!(words.contains("java is missing, which runs Kafka") && words.contains("EVERHOOK_JAVA"), "{words}");
    add("java", "#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n");
    assert!(exec().contains("is Java 11 and Kafka needs 17 or newer"));
    add("java", "#!/bin/sh\necho 'openjdk version \"17.0.2\"' >&2\n");
    let words = exec();
    assert!(words.contains("mvn is missing") && words.contains("apt-get install maven"), "{words}");
    add("mvn", "#!/bin/sh\n");
    let words = exec();
    assert!(words.contains("npm is missing") && words.contains("apt-get install npm"), "{words}");
    std::fs::remove_dir_all(&scratch).unwrap();
}
