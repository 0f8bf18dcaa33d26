//! One host of a network: a network namespace with an address. Its files, processes and clock are
//! those of the machine.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{self, Command};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::condition::wait_until;
use crate::process::Process;

use super::{BRIDGE, SUBNET, demand, ip, namespace};

/// A host. Servers and programs are started on it, and it is cut off from all others and back.
#[derive(Debug)]
pub struct Host {
    /// Keeps the namespace: it ends with this process and with the last program in it.
    keeper: Process,
    address: Ipv4Addr,
    /// The bridge's end of its link.
    port: String,
    is_cut: AtomicBool,
}

impl Host {
    #[track_caller]
    pub(super) fn join(number: u16, directory: &Path) -> Self {
        let [[a, b], [c, d]] = [SUBNET, number.to_be_bytes()];
        let log = directory.join(number.to_string());
        let keeper = Process::start(&log, |command| {
            command.args(["unshare", "--net", "sleep", "infinity"]);
        });
        wait_until("a host has a network of its own", || {
            let own = namespace(keeper.id());
            own.is_some() && own != namespace(process::id())
        });
        let host = Self {
            keeper,
            address: Ipv4Addr::new(a, b, c, d),
            port: format!("host{number}"),
            is_cut: AtomicBool::new(false),
        };
        let keeper = host.keeper.id().to_string();
        ip(&["link", "add", &host.port, "type", "veth", "peer", "name", "eth0", "netns", &keeper]);
        ip(&["link", "set", &host.port, "master", BRIDGE, "up"]);
        host.ip(&["addr", "add", &format!("{}/16", host.address), "dev", "eth0"]);
        host.ip(&["link", "set", "eth0", "up"]);
        host.ip(&["link", "set", "lo", "up"]);
        host
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Cuts it off: from now on packets to it and from it are lost, and nobody is told. Its own
    /// programs still reach each other.
    pub fn cut(&self) {
        ip(&["link", "set", &self.port, "nomaster"]);
        self.is_cut.store(true, Ordering::SeqCst);
    }

    /// Joins it again. Links that have survived go on when TCP sends again, which takes about as
    /// long as the cut has lasted.
    pub fn heal(&self) {
        ip(&["link", "set", &self.port, "master", BRIDGE]);
        self.is_cut.store(false, Ordering::SeqCst);
    }

    /// Whether it is cut off.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::SeqCst)
    }

    /// The words before a command that let it run on this host. The process stays the same.
    #[must_use]
    pub fn enter(&self) -> [String; 3] {
        let namespace = format!("--net=/proc/{}/ns/net", self.keeper.id());
        ["nsenter".to_owned(), namespace, "--".to_owned()]
    }

    #[track_caller]
    fn ip(&self, words: &[&str]) {
        let [nsenter, rest @ ..] = self.enter();
        demand(Command::new(nsenter).args(rest).arg("ip").args(words));
    }
}
