//! A grant from the queue is short until its waiter has confirmed it. One that ends before CMD was
//! started has cost nothing: the run waits on.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tenure_testkit::{Fate, Flavour, Proxy, Running, Server, Which, clean, wait_until};

fn tenure(store: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    clean(&mut command).args(words).env("TENURE_STORE", store).stdin(Stdio::null());
    command
}

/// The output of one that succeeds.
fn told(store: &str, words: &[&str]) -> String {
    let output = tenure(store, words).output().expect("it starts");
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The run ended with 79, though it was to wait without a limit.
#[test]
fn a_grant_that_ends_before_cmd_was_started_is_waited_for_again() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let ticket = told(&server.url(), &["acquire", "k"]);
        let proxy = Proxy::to(server.address());
        let granting = Arc::new(AtomicBool::new(false));
        let holds = Arc::clone(&granting);
        let unconfirmed = proxy.on(
            Which::every(move |call| {
                holds.load(Ordering::Relaxed) && call.name().starts_with("EVAL")
            }),
            Fate::Hold,
        );
        let directory = tempfile::tempdir().expect("a directory");
        let stderr = directory.path().join("stderr");
        let mut waiter = tenure(&proxy.url(), &["run", "k", "--", "sh", "-c", "echo >> ran"]);
        waiter.current_dir(directory.path());
        let to = std::fs::File::create(&stderr).expect("a file");
        let mut waiter = Running::start(waiter.stderr(to));
        let said = || std::fs::read_to_string(&stderr).expect("a file");
        wait_until("it waits", || told(&server.url(), &["status", "k"]).contains("waiting: "));
        granting.store(true, Ordering::Relaxed);
        told(&server.url(), &["release", ticket.trim()]);
        wait_until("its grant has ended", || said().contains("before CMD was started"));
        unconfirmed.deliver();
        let status = waiter.wait().expect("it ends");
        assert_eq!(status.code(), Some(0), "{flavour}: {}", said());
        let ran = std::fs::read_to_string(directory.path().join("ran")).expect("CMD ran");
        assert_eq!(ran, "\n", "{flavour}: once: {}", said());
    }
}
