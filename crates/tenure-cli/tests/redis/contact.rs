//! A server that is away when `tenure run` starts: a run that may wait for the lock waits for the
//! server as well.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tenure_testkit::{Fate, Flavour, Proxy, Server, Which, clean};

use crate::patience::on_each_flavour;

/// The words about a server that is away.
const WAITS: &str = "tenure: waiting for the store: cannot connect ";

fn tenure(store: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    clean(&mut command).args(words).env("TENURE_STORE", store).stdin(Stdio::null());
    command
}

fn ended(store: &str, words: &[&str]) -> (Output, String, Duration) {
    let begun = Instant::now();
    let output = tenure(store, words).output().expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, stderr, begun.elapsed())
}

/// One whose messages are read as they come. It ends with the test.
struct Waiting {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Waiting {
    fn of(store: &str, words: &[&str]) -> Self {
        let mut command = tenure(store, words);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        Self { child, stderr }
    }

    fn line_with(&mut self, words: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            self.stderr.read_line(&mut line).expect("a line");
            assert!(!line.is_empty(), "{words:?} is missing in:\n{seen}");
            if line.contains(words) {
                return line;
            }
            seen += &line;
        }
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_that_comes_later_is_waited_for_with_a_limit_and_without() {
    for flavour in Flavour::ALL {
        for words in [
            &["run", "-v", "--wait", "5m", "k", "--", "true"][..],
            &["run", "-v", "k", "--", "true"],
            &["elect", "-v", "k", "--", "true"],
        ] {
            let server = Server::of(flavour).start();
            server.kill9();
            let mut waiting = Waiting::of(&server.url(), words);
            let line = waiting.line_with("waiting for the store");
            assert!(line.starts_with(WAITS) && line.contains("nobody listens"), "{line}");
            server.restart();
            waiting.line_with("the store is reached again after ");
            assert_eq!(waiting.code(), Some(0), "{flavour} {words:?}");
        }
    }
}

/// It takes connections, and answers no request.
#[test]
fn a_server_that_opens_and_then_falls_silent_is_waited_for() {
    for flavour in Flavour::ALL {
        for words in [
            &["run", "-v", "--wait", "5m"][..],
            &["run", "-v"],
            &["run", "-v", "-k", "k2"],
            &["run", "-v", "--permits", "2"],
            &["elect", "-v"],
        ] {
            let server = Server::of(flavour).start();
            let proxy = Proxy::to(server.address());
            let silent = proxy.on(Which::every_named("EVALSHA"), Fate::LoseRequest);
            let end =
                if words.contains(&"-k") { &["--", "true"][..] } else { &["k", "--", "true"] };
            let words = [words, &["--store-timeout", "500ms"], end].concat();
            let mut waiting = Waiting::of(&proxy.url(), &words);
            let line = waiting.line_with("waiting for the store: ");
            silent.lift();
            waiting.line_with("the store is reached again after ");
            assert_eq!(waiting.code(), Some(0), "{flavour} {words:?}: {line}");
        }
    }
}

#[test]
fn a_server_that_opens_and_stays_silent_is_told_when_the_wait_is_over_or_at_once_without_one() {
    on_each_flavour(|flavour| {
        let server = Server::of(flavour).start();
        let proxy = Proxy::to(server.address());
        proxy.on(Which::every_named("EVALSHA"), Fate::LoseRequest);
        for (wait, told) in [("8s", 1), ("0s", 0)] {
            let words = ["run", "--store-timeout", "2s", "--wait", wait, "k", "--", "true"];
            let (output, stderr, took) = ended(&proxy.url(), &words);
            assert_eq!(output.status.code(), Some(69), "{flavour}: {stderr}");
            assert_eq!(stderr.matches("waiting for the store: ").count(), told, "{stderr}");
            assert!(told == 0 || took >= Duration::from_secs(8), "{took:?}: {stderr}");
        }
    });
}

#[test]
fn a_quorum_without_a_majority_is_waited_for() {
    let servers = [Flavour::Redis, Flavour::Valkey, Flavour::Redis].map(|f| Server::of(f).start());
    let urls: Vec<_> = servers.iter().map(Server::url).collect();
    servers[1..].iter().for_each(Server::kill9);
    let quorum = format!("quorum:{} ?max_ttl=8s", urls.join(" "));
    let mut waiting = Waiting::of(&quorum, &["run", "-v", "--ttl", "8s", "k", "--", "true"]);
    waiting.line_with("waiting for the store: ");
    servers[1].restart();
    waiting.line_with("the store is reached again after ");
    assert_eq!(waiting.code(), Some(0));
}

#[test]
fn a_server_that_never_comes_is_told_with_its_cause_when_the_wait_is_over() {
    on_each_flavour(|flavour| {
        let server = Server::of(flavour).start();
        server.kill9();
        let words = ["run", "--wait", "8s", "--busy-exit", "0", "k", "--", "echo", "ran"];
        let (output, stderr, took) = ended(&server.url(), &words);
        assert_eq!(output.status.code(), Some(69), "{flavour}: {stderr}");
        let lines: Vec<_> = stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{flavour}: {stderr}");
        assert!(lines[0].starts_with(WAITS), "{flavour}: {stderr}");
        assert!(lines[1].starts_with("tenure: unavailable: cannot connect "), "{stderr}");
        assert!(lines[1].contains("nobody listens"), "{flavour}: {stderr}");
        assert!(output.stdout.is_empty() && took >= Duration::from_secs(8), "{took:?}: {stderr}");
    });
}

/// A store timeout and a wait that no test waits for: neither is used up.
#[test]
fn without_a_wait_it_ends_at_once_and_so_does_a_wrong_password_with_one() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        server.kill9();
        let away = server.url();
        let locked = Server::of(flavour).with_password("right").start();
        let wrong = format!("redis://:wrong@{}", locked.address());
        for (store, words, code) in [
            (&away, &["run", "--try"][..], 69),
            (&away, &["run", "-n"], 69),
            (&away, &["run", "--wait", "0s"], 69),
            (&away, &["once", "--every", "5m"], 69),
            (&wrong, &["run", "--wait", "10m"], 77),
            (&wrong, &["run"], 77),
            (&wrong, &["elect"], 77),
        ] {
            let words = [words, &["--store-timeout", "10m", "k", "--", "true"]].concat();
            let (output, stderr, _) = ended(store, &words);
            assert_eq!(output.status.code(), Some(code), "{flavour} {words:?}: {stderr}");
            assert_eq!(stderr.lines().count(), 1, "{flavour} {words:?}: {stderr}");
        }
    }
}

#[test]
fn a_signal_ends_the_wait_for_a_server() {
    let server = Server::redis().start();
    server.kill9();
    let mut waiting = Waiting::of(&server.url(), &["run", "k", "--", "true"]);
    waiting.line_with(WAITS);
    let pid = i32::try_from(waiting.child.id()).expect("a process number");
    let pid = rustix::process::Pid::from_raw(pid).expect("a process number");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
    assert_eq!(waiting.code(), Some(128 + 15));
}

/// They ended at once, though their help has the same `--wait`.
#[test]
fn acquire_and_hold_wait_for_a_server_that_comes_later() {
    let own = std::process::id().to_string();
    for flavour in Flavour::ALL {
        for words in [
            &["acquire", "k"][..],
            &["acquire", "--wait", "5m", "k"],
            &["hold", "--wait", "5m", "k", "--pid", &own],
        ] {
            let server = Server::of(flavour).start();
            server.kill9();
            let mut waiting = Waiting::of(&server.url(), words);
            let line = waiting.line_with("waiting for the store");
            assert!(line.starts_with(WAITS) && line.contains("nobody listens"), "{line}");
            server.restart();
            assert_eq!(waiting.code(), Some(0), "{flavour} {words:?}");
        }
    }
}

/// It takes connections, and answers no request.
#[test]
fn acquire_waits_for_a_server_that_opens_and_then_falls_silent() {
    let server = Server::redis().start();
    let proxy = Proxy::to(server.address());
    let silent = proxy.on(Which::every_named("EVALSHA"), Fate::LoseRequest);
    let mut waiting = Waiting::of(&proxy.url(), &["acquire", "--store-timeout", "500ms", "k"]);
    waiting.line_with("waiting for the store: ");
    silent.lift();
    assert_eq!(waiting.code(), Some(0));
}

#[test]
fn acquire_and_hold_without_a_wait_end_at_once_and_a_process_that_ends_is_not_waited_for() {
    let server = Server::redis().start();
    server.kill9();
    let own = std::process::id().to_string();
    for words in [&["acquire", "-n", "k"][..], &["hold", "--wait", "0s", "k", "--pid", &own]] {
        let words = [words, &["--store-timeout", "10m"]].concat();
        let (output, stderr, _) = ended(&server.url(), &words);
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(69), 1), "{stderr}");
    }
    // It ends with its input.
    let mut job = Command::new("cat").stdin(Stdio::piped()).spawn().expect("it starts");
    let mut waiting = Waiting::of(&server.url(), &["hold", "k", "--pid", &job.id().to_string()]);
    waiting.line_with(WAITS);
    drop(job.stdin.take());
    job.wait().expect("it ends");
    waiting.line_with("has ended before it had the lock");
    assert_eq!(waiting.code(), Some(75));
}
