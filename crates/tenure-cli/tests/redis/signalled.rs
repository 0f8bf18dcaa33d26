//! Signals that come while a place in the line is given back.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tenure_testkit::{Flavour, Server, clean, wait_until};

fn tenure(server: &Server, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    clean(&mut command).args(words).env("TENURE_STORE", server.url()).stdin(Stdio::null());
    command
}

fn terminate(child: &Child) {
    let pid = Pid::from_child(child);
    kill_process(pid, Signal::TERM).expect("it runs");
    let status = format!("/proc/{}/status", child.id());
    wait_until("the signal is taken", || {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
        let pending = pending.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        pending.is_none_or(|mask| mask & (1 << (Signal::TERM.as_raw() - 1)) == 0)
    });
}

/// `timeout` sends its signal to the process and then to its group. The second cut the withdrawal
/// off, and nobody was told: the key was granted to a process that had ended.
#[test]
fn a_signal_that_comes_twice_does_not_leave_a_place_behind_in_silence() {
    for flavour in Flavour::ALL {
        for words in [&["run", "k", "--", "true"][..], &["acquire", "k"]] {
            let server = Server::of(flavour).start();
            let held = tenure(&server, &["run", "--min-hold", "1h", "k", "--", "true"]).status();
            assert!(held.expect("it starts").success(), "{flavour}");
            let mut waiting = tenure(&server, words);
            waiting.stdout(Stdio::null()).stderr(Stdio::piped());
            let mut waiter = waiting.spawn().expect("it starts");
            wait_until("it waits in line", || {
                let seen = tenure(&server, &["status", "--json", "k"]).output();
                String::from_utf8_lossy(&seen.expect("it starts").stdout).contains("\"waiters\":[{")
            });
            server.stop();
            let first = Instant::now();
            terminate(&waiter);
            terminate(&waiter);
            let last = Instant::now();
            let code = waiter.wait().expect("it ends").code();
            let patience = last.elapsed();
            server.cont();
            let mut said = String::new();
            waiter.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
            assert_eq!(code, Some(143), "{flavour}: {said}");
            assert!(said.contains("a request that was not answered may still count"), "{said}");
            // The withdrawal has 2 s at most, from the first signal on.
            if last - first < Duration::from_secs(1) {
                assert!(patience >= Duration::from_millis(400), "only {patience:?}: {said}");
            }
        }
    }
}
