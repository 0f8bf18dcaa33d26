//! CMD is gone before the server could give its key away, whoever is stopped or killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::time::ClockId;
use tenure_testkit::{Server, clean, is_running, lateness, wait_until};

use crate::patience::on_each_flavour;

const TTL_MS: i64 = 6000;
/// CMD ignores the polite signal: it is killed at the deadline. It writes down how long the machine
/// has been up, in seconds: a test that is itself held up still sees when CMD was last alive.
const STUBBORN: &str = "trap '' TERM; echo $$ > pid; \
                        while :; do read up idle < /proc/uptime; echo $up >> alive; \
                        sleep 0.02; done";

/// `tenure run` with a CMD that never ends by itself.
struct Run {
    tenure: Child,
    cmd: u32,
    directory: tempfile::TempDir,
}

impl Run {
    fn start(server: &Server) -> Self {
        Self::with(server, &["--ttl", "6s", "--kill-grace", "500ms"])
    }

    fn with(server: &Server, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
        let _watched_from_here = lateness();
        clean(&mut command).arg("run").args(options).args(["--report", "report", "k"]);
        command.args(["--", "sh", "-c", STUBBORN]).current_dir(directory.path());
        command.env("TENURE_STORE", server.url());
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let tenure = command.spawn().expect("it starts");
        let mut cmd = None;
        wait_until("CMD runs", || {
            cmd = number_in(&directory.path().join("pid"));
            cmd.is_some()
        });
        Self { tenure, cmd: cmd.expect("a number"), directory }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.tenure.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a number"), signal).expect("it is there");
    }

    /// Waits until CMD is gone; when it last was alive.
    fn gone(&self) -> Duration {
        wait_until("CMD is gone", || !is_running(self.cmd));
        let alive = std::fs::read_to_string(self.directory.path().join("alive"));
        let alive = alive.expect("it wrote");
        let last = alive.lines().rfind(|line| line.contains('.'));
        Duration::from_secs_f64(last.expect("a line").parse().expect("seconds"))
    }

    fn code(&mut self) -> Option<i32> {
        self.tenure.wait().expect("its end").code()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Its sentry sees to CMD.
        let _ = self.tenure.kill();
        let _ = self.tenure.wait();
    }
}

/// How long the machine has been up.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().expect("below a second"))
}

/// On a busy machine the sentry is run late: by no more than a few times what a thread of this test
/// was.
fn late() -> Duration {
    4 * lateness()
}

fn number_in(file: &Path) -> Option<u32> {
    std::fs::read_to_string(file).ok()?.strip_suffix('\n')?.parse().ok()
}

/// Waits until the lease was just renewed; when the server will give the key away, unless it is
/// renewed again, which is not due for most of two seconds.
fn freshly_renewed(server: &Server) -> Duration {
    let mut end = now();
    wait_until("a renewal", || {
        let asked = now();
        let left = server.command(&["PTTL", "k"]).int();
        end = asked + Duration::from_millis(u64::try_from(left).unwrap_or(0));
        left > TTL_MS - 100
    });
    end
}

#[test]
fn cmd_is_gone_before_a_stopped_server_could_give_its_key_away() {
    on_each_flavour(|flavour| {
        let server = Server::of(flavour).start();
        let mut run = Run::start(&server);
        let end = freshly_renewed(&server);
        server.stop();
        let gone = run.gone();
        assert!(gone <= end + late(), "CMD lived {:?} beyond the lease", gone - end);
        println!("{flavour}: CMD was gone {:?} before the lease's end", end.saturating_sub(gone));
        assert_eq!(run.code(), Some(79));
        server.cont();
    });
}

/// Though it ignores SIGTERM, and the grace would be as long as the interval.
#[test]
fn cmd_is_gone_within_one_renewal_interval_after_its_server_came_back_empty() {
    on_each_flavour(|flavour| {
        let server = Server::of(flavour).start();
        let interval = Duration::from_secs(3);
        let mut run = Run::with(&server, &["--ttl", "9s", "--kill-grace", "3s"]);
        server.restart_empty();
        let back = now();
        let after = run.gone().saturating_sub(back);
        println!("{flavour}: CMD was gone {after:?} after an empty restart");
        assert!(after < interval + late(), "{after:?}");
        assert_eq!(run.code(), Some(79));
    });
}

#[test]
fn cmd_is_gone_before_the_lease_of_a_killed_or_stopped_tenure_ends() {
    on_each_flavour(|flavour| {
        for signal in [Signal::KILL, Signal::STOP] {
            let server = Server::of(flavour).start();
            let run = Run::start(&server);
            let end = freshly_renewed(&server);
            run.signal(signal);
            let gone = run.gone();
            let beyond = gone.saturating_sub(end);
            assert!(beyond <= late(), "{signal:?}: CMD lived {beyond:?} beyond the lease");
            wait_until("the server gives the key away", || {
                server.command(&["EXISTS", "k"]).int() == 0
            });
        }
    });
}
