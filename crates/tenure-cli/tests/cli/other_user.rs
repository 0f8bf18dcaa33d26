//! A CMD that runs as another user (`sudo`), to whom `tenure` may send no signal.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::Signal;

use crate::place::{NOBODY, Place, Running, Stray, TENURE, is_alive, until};

/// A directory of that user with `tenure` in it, and with a program by which CMD becomes root.
struct Home {
    place: Place,
}

impl Home {
    /// `None`, said aloud, where this machine or our rights do not allow it.
    fn new() -> Option<Self> {
        let place = Place::new();
        let skipped = |why: &str| println!("SKIPPED: no CMD can run as another user: {why}");
        if !rustix::process::getuid().is_root() {
            skipped("we are not root");
            return None;
        }
        let found = place.sh("command -v setpriv").stdout;
        if found.is_empty() {
            skipped("this machine has no setpriv");
            return None;
        }
        let copy = |from: &str, name: &str, mode: u32| {
            place.copy_program(from, name);
            fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).expect("ours");
        };
        copy(TENURE, "tenure", 0o755);
        copy(found.trim(), "setpriv", 0o4755);
        chown(place.path(""), Some(NOBODY), Some(NOBODY)).expect("we are root");
        let home = Self { place };
        let mut probe = home.command("setpriv");
        let ended = Running::of(probe.args(["--reuid", "0", "--clear-groups", "id", "-ru"])).wait();
        if ended.stdout != "0\n" {
            skipped(&ended.stderr);
            return None;
        }
        Some(home)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.place.command(self.place.path(program));
        command.uid(NOBODY).gid(NOBODY);
        command
    }

    /// Starts `tenure run` with a CMD of root's, and waits until that runs.
    fn start(&self, options: &[&str]) -> (Running, i32) {
        let mut command = self.command("tenure");
        command.arg("run").args(options).args(["k", "--", "./setpriv", "--reuid", "0"]);
        command.args(["--clear-groups", "sh", "-c", "echo $$ > pid; exec sleep 600"]);
        let running = Running::of(&mut command);
        let cmd = self.place.number_in("pid");
        until("it is sleep", || {
            let name = fs::read_to_string(format!("/proc/{cmd}/comm")).unwrap_or_default();
            (name == "sleep\n").then_some(())
        });
        (running, cmd)
    }
}

fn is_named(cmd: i32, text: &str) {
    let parts = [
        format!("process {cmd} (sleep) runs as root (uid 0), "),
        format!("(uid {NOBODY}) may send no signal; it goes on without the lock"),
        format!("kill -KILL {cmd}"),
    ];
    for part in parts {
        assert!(text.contains(&part), "{part:?} is missing: {text}");
    }
}

#[test]
fn a_cmd_that_cannot_be_ended_is_named_with_its_user() {
    let Some(home) = Home::new() else { return };
    let options = ["--max-hold", "4s", "--kill-grace", "100ms", "--report", "r"];
    let (running, cmd) = home.start(&options);
    let stray = Stray(cmd);
    let ended = running.wait();
    assert_eq!(ended.code, Some(124), "{ended:?}");
    is_named(cmd, &ended.stderr);
    is_named(cmd, home.place.report("r")["reason"].as_str().expect("a reason"));
    assert!(is_alive(cmd));
    drop(stray);
}

/// `hidepid=2` shows a user no process of another's.
#[test]
fn a_cmd_that_proc_hides_is_named_by_its_number() {
    let Some(home) = Home::new() else { return };
    let script = "mount -t proc -o hidepid=2 proc /proc || exit 99\n\
                  exec setpriv --reuid 65534 --regid 65534 --clear-groups ./tenure run \\
                  --max-hold 4s --kill-grace 100ms k -- ./setpriv --reuid 0 --clear-groups \\
                  sh -c 'echo $$ > pid; exec sleep 600'";
    let mut command = home.place.command("unshare");
    let running = Running::of(command.args(["-m", "sh", "-c", script]));
    let stray = until("CMD runs, or nothing may be mounted", || {
        let cmd = home.place.read("pid").trim().parse().ok();
        if cmd.is_some() { Some(cmd) } else { (!is_alive(running.pid())).then_some(None) }
    });
    let Some(cmd) = stray else {
        let ended = running.wait();
        assert!(matches!(ended.code, Some(1 | 99)), "{ended:?}");
        println!("SKIPPED: no right to mount /proc: {}", ended.stderr);
        return;
    };
    let stray = Stray(cmd);
    let ended = running.wait();
    assert_eq!(ended.code, Some(124), "{ended:?}");
    let named = format!("process {cmd} (CMD) runs as a user that /proc hides, ");
    assert!(ended.stderr.contains(&named), "{ended:?}");
    assert!(ended.stderr.contains(&format!("kill -KILL {cmd}")), "{ended:?}");
    assert!(is_alive(cmd));
    drop(stray);
}

#[test]
fn a_signal_that_does_not_reach_cmd_is_told() {
    let Some(home) = Home::new() else { return };
    let (mut running, cmd) = home.start(&[]);
    running.signal(Signal::TERM);
    let line = running.stderr_line();
    let expected = format!("tenure: CMD did not get SIGTERM: process {cmd} (sleep) runs as root");
    assert!(line.starts_with(&expected), "{line}");
    drop(Stray(cmd));
    assert_eq!(running.wait().code, Some(128 + 9), "we as root may end it");
}

#[test]
fn the_sentry_names_it_too_when_tenure_was_killed() {
    let Some(home) = Home::new() else { return };
    let (mut running, cmd) = home.start(&["--kill-grace", "100ms"]);
    let stray = Stray(cmd);
    running.signal(Signal::KILL);
    let line = running.stderr_line();
    assert!(line.contains("was killed while it held \"k\""), "{line}");
    is_named(cmd, &running.stderr_line());
    drop(stray);
}
