//! A server that dies, stops or comes back while CMD runs: the first failed renewal is said at
//! once, with the time that is left, and the cause is said again at the end.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tenure_testkit::{Flavour, Server, clean};

use crate::patience::on_each_flavour;

/// A run whose messages are read as they come.
struct Run {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    report: tempfile::NamedTempFile,
}

impl Run {
    /// CMD waits for the end of a file of the test's own.
    fn of(server: &Server, words: &[&str]) -> Self {
        let report = tempfile::NamedTempFile::new().expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
        clean(&mut command).arg("run").args(words).arg("--report").arg(report.path());
        command.args(["ka", "--", "sleep", "600"]).env("TENURE_STORE", server.url());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        Self { child, stderr, report }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("a line");
        line
    }

    /// The lines up to the one that has these words.
    fn line_with(&mut self, words: &str) -> String {
        let mut seen = String::new();
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "{words:?} is missing in:\n{seen}");
            if line.contains(words) {
                return line;
            }
            seen += &line;
        }
    }

    fn reason(&self) -> String {
        let report = std::fs::read_to_string(self.report.path()).expect("a report");
        let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
        assert_eq!(report["outcome"], "lost", "{report}");
        report["reason"].as_str().expect("a text").to_owned()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays a loss: the messages, the report and the exit code.
fn is_lost_because(flavour: Flavour, fault: impl Fn(&Server), cause: &str) {
    let server = Server::of(flavour).start();
    // Neither limit of the store is what ends it.
    let mut run = Run::of(&server, &["--ttl", "12s", "--store-timeout", "10m", "-v"]);
    run.line_with("CMD runs as process");
    fault(&server);
    // A slow test may see renewals before.
    let first = run.line_with("cannot renew");
    let start = format!("tenure: cannot renew \"ka\" at {}", server.url().trim_end_matches('/'));
    assert!(first.starts_with(&start), "{flavour}: {first}");
    assert!(first.contains("; CMD will be ended in "), "{flavour}: {first}");
    assert!(first.trim_end().ends_with("unless it comes back"), "{flavour}: {first}");
    let last = run.line_with("tenure: lost: \"ka\": its deadline passed");
    let known = Instant::now();
    assert!(last.contains("; the last renewal failed "), "{flavour}: {last}");
    assert!(last.contains(cause), "{flavour}: {cause:?} is missing in: {last}");
    let status = run.child.wait().expect("it ends");
    // Half a second is meant, not the store's timeout; the rest is for a busy machine.
    assert!(known.elapsed() < Duration::from_secs(60), "{flavour}: {:?}", known.elapsed());
    assert_eq!(status.code(), Some(79), "{flavour}");
    let reason = run.reason();
    assert!(last.contains(&reason), "{flavour}: the report says {reason:?}");
}

#[test]
fn a_server_that_dies_is_said_at_once_and_at_the_end() {
    on_each_flavour(|flavour| is_lost_because(flavour, Server::kill9, "nobody listens"));
}

#[test]
fn a_server_that_stops_is_said_before_cmd_is_ended_and_at_the_end() {
    on_each_flavour(|flavour| is_lost_because(flavour, Server::stop, "answer"));
}

#[test]
fn a_server_that_comes_back_in_time_is_said_too() {
    on_each_flavour(|flavour| {
        let server = Server::of(flavour).start();
        // The lease is long enough for a test that is paused while the server stands still.
        let mut run = Run::of(&server, &["--ttl", "12s", "--kill-grace", "100ms", "-v"]);
        // The key at the server is no sign that the reply has come.
        run.line_with("CMD runs as process");
        server.stop();
        run.line_with("tenure: cannot renew \"ka\"");
        server.cont();
        let again = run.line();
        assert!(again.starts_with("tenure: renewed \"ka\" again, "), "{flavour}: {again}");
        assert!(again.trim_end().ends_with(" after the first failure"), "{flavour}: {again}");
    });
}
