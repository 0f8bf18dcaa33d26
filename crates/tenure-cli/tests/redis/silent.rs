//! A server that falls silent at a certain moment, and an answer that is lost.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tenure_testkit::{Call, Fate, Flavour, Proxy, Server, Which, clean, wait_until};

use crate::patience::on_each_flavour;

/// Runs `tenure` to its end, with a store timeout that no test waits for.
fn tenure(url: &str, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    clean(&mut command).args(["run", "--store-timeout", "10m"]).args(words);
    command.args(["k", "--", "echo", "ran"]).env("TENURE_STORE", url).stdin(Stdio::null());
    command.output().expect("it starts")
}

/// The key is held, and the server stops when the place in the queue is asked for. Shortly
/// afterwards the limit of the wait is over: so far the key was busy.
#[test]
fn a_server_that_stops_just_before_the_limit_is_not_busy() {
    on_each_flavour(|flavour| {
        // A machine may be so busy that the limit comes first.
        wait_until("the server stops before the limit", || is_not_busy(flavour));
    });
}

/// Whether the server was stopped in time.
fn is_not_busy(flavour: Flavour) -> bool {
    let server = Arc::new(Server::of(flavour).start());
    let held = tenure(&server.url(), &["--min-hold", "1h"]);
    assert!(held.status.success(), "{held:?}");
    let proxy = Proxy::to(server.address());
    let (stopping, wants_place) = (Arc::clone(&server), AtomicBool::new(false));
    let stop = move |call: &Call| {
        match &*call.name() {
            // The first answer was "busy": a waiter subscribes, and then asks for its place.
            "SUBSCRIBE" => wants_place.store(true, Ordering::Relaxed),
            "EVALSHA" if wants_place.load(Ordering::Relaxed) => stopping.stop(),
            _ => {}
        }
        // The call itself is left alone.
        false
    };
    proxy.on(Which::every(stop), Fate::CutBefore);
    let ended = tenure(&proxy.url(), &["--wait", "2s", "--busy-exit", "0"]);
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.stdout.is_empty(), "{flavour}");
    if server.runs() {
        assert_eq!(ended.status.code(), Some(0), "{flavour}: {stderr}");
        return false;
    }
    assert_eq!(ended.status.code(), Some(69), "{flavour}: {stderr}");
    // From 3 s on, which a busy machine takes for it, the silence is said in another way.
    let is_told = ["; since then the store has not answered;", "has not answered for"]
        .iter()
        .any(|words| stderr.contains(words));
    assert!(is_told, "{flavour}: {stderr}");
    server.cont();
    true
}

/// The server grants the key, and the answer is lost. A new connection takes the withdrawal; if
/// that takes too long, the user is told.
#[test]
fn a_claim_whose_answer_is_lost_is_withdrawn_or_told() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let before = tenure(&server.url(), &[]);
        assert!(before.status.success(), "{before:?}");
        let proxy = Proxy::to(server.address());
        let lost = proxy.on(Which::nth_named(1, "EVALSHA"), Fate::EatReply);
        let ended = tenure(&proxy.url(), &["--wait", "3s", "--busy-exit", "0"]);
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), lost.strikes()), (Some(69), 1), "{flavour}: {stderr}");
        let is_free = server.command(&["EXISTS", "k"]).int() == 0;
        assert!(is_free || stderr.contains("may still count"), "{flavour}: {stderr}");
    }
}
