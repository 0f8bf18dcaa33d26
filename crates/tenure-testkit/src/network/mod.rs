//! A network of its own for one test, with hosts on it that can be cut off: Linux network
//! namespaces, joined by a bridge. It changes nothing of the machine's own network, and is gone
//! with the last process in it.
//!
//! A proxy cannot take its place: the nodes of a cluster do not say over which link they speak, so
//! a proxy before each node cannot tell a packet of one side from that of the other.

mod host;

use std::env;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

pub use host::Host;

use crate::alone::this_test;
use crate::clean::clean;

/// Tells a process that it has a network of its own.
const INSIDE: &str = "TENURE_TEST_NETWORK";

/// A new network in a new user namespace, in which the user keeps his number and may change it.
const UNSHARE: [&str; 4] = ["--user", "--map-current-user", "--keep-caps", "--net"];

const BRIDGE: &str = "br0";

/// The first two numbers of every address.
const SUBNET: [u8; 2] = [10, 77];

/// The network of this process. It has the first address, and reaches all hosts.
#[derive(Debug)]
pub struct Network {
    /// Hosts that were made.
    hosts: AtomicU16,
    /// The logs of the processes that hold the namespaces.
    directory: TempDir,
}

impl Network {
    /// Why this machine or this user can have no network of its own; `None` if it can.
    #[must_use]
    pub fn missing() -> Option<String> {
        // The whole of it is tried: a namespace, a bridge, and a namespace within.
        let script = format!(
            "ip link set lo up && ip link add {BRIDGE} type bridge && unshare --net true && \
             command -v nsenter"
        );
        let mut inner = Command::new("sh");
        inner.args(["-c", &script]);
        match Self::command(&inner).output() {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(e) => Some(format!("unshare: {e}")),
        }
    }

    /// The same command, for a process that has a network of its own and may call
    /// [`Network::here`]. Its environment is clean, with what was set for `command`.
    #[must_use]
    pub fn command(command: &Command) -> Command {
        let mut outer = Command::new("unshare");
        clean(&mut outer).args(UNSHARE).arg("--").arg(command.get_program());
        outer.args(command.get_args()).env(INSIDE, "1");
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                outer.env(name, value);
            }
        }
        outer
    }

    /// The network of this process, made ready. To be called once.
    ///
    /// # Panics
    /// If this process was not started by [`Network::command`].
    #[must_use]
    #[track_caller]
    pub fn here() -> Self {
        assert!(is_inside(), "the machine's own network is not to be changed");
        let [a, b] = SUBNET;
        ip(&["link", "set", "lo", "up"]);
        ip(&["link", "add", BRIDGE, "type", "bridge"]);
        ip(&["addr", "add", &format!("{a}.{b}.0.1/16"), "dev", BRIDGE]);
        ip(&["link", "set", BRIDGE, "up"]);
        let directory = TempDir::with_prefix("tenure-network-").expect("a directory");
        Self { hosts: AtomicU16::new(0), directory }
    }

    /// A new host, which reaches all others and this process.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    #[track_caller]
    pub fn host(&self) -> Host {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed) + 2;
        Host::join(number, self.directory.path())
    }
}

/// Whether this process has a network of its own, made by this module.
fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Runs `test`, the whole body of a test, in a process of its own with a network of its own. Says
/// `SKIPPED` where there can be none.
///
/// # Panics
/// If the test fails there, with all that it printed.
#[track_caller]
#[allow(clippy::print_stdout, reason = "a test that was not run says so")]
pub fn in_own_network<T: FnOnce(&Network)>(test: T) {
    if is_inside() {
        return test(&Network::here());
    }
    if let Some(reason) = Network::missing() {
        println!("SKIPPED: this machine gives no network namespaces: {reason}");
        return;
    }
    this_test::<T>(|command| Network::command(&command));
}

/// Runs `ip`.
#[track_caller]
fn ip(words: &[&str]) {
    demand(Command::new("ip").args(words));
}

#[track_caller]
fn demand(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {errors}", output.status);
    output
}

/// The name of the network namespace of a process.
fn namespace(process: u32) -> Option<std::path::PathBuf> {
    std::fs::read_link(Path::new("/proc").join(process.to_string()).join("ns/net")).ok()
}
