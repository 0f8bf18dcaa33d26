//! A TCP port that stays ours while no server listens on it, so that one can be killed and come
//! back. It is never one that servers have by default (6379), and never one that the system gives
//! to outgoing connections.

use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

/// Ports above are given to outgoing connections (`ip_local_port_range`); those below are well
/// known for something.
const FIRST: u16 = 20_000;
const LAST: u16 = 29_999;

/// A port on loopback, held against all other tests of this user until it is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Its lock ends with this process, however it ends.
    _lock: File,
}

impl Port {
    /// Takes a free port.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn take() -> Self {
        // Processes begin at different places, so that they seldom ask for the same.
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let count = LAST - FIRST + 1;
        let start = u16::try_from(process::id() % u32::from(count)).unwrap_or(0);
        (0..count)
            .map(|_| NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(7))
            .map(|step| FIRST + (start.wrapping_add(step)) % count)
            .find_map(Self::try_take)
            .unwrap_or_else(|| panic!("no free port between {FIRST} and {LAST}"))
    }

    fn try_take(number: u16) -> Option<Self> {
        let directory = directory();
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                panic!("{} cannot be made: {e}", directory.display())
            }
            _ => {}
        }
        let lock = File::create(directory.join(number.to_string())).expect("a file for a lock");
        lock.try_lock().ok()?;
        // Somebody may listen there who does not know of our locks.
        bound(number).ok()?;
        Some(Self { number, _lock: lock })
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

/// A socket at this port, if nobody listens there. It does not listen: a child that another thread
/// starts meanwhile has it too until it executes its program, and a server must get the port all
/// the same.
fn bound(number: u16) -> rustix::io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, number))?;
    Ok(socket)
}

fn directory() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    std::env::temp_dir().join(format!("tenure-ports-{user}"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_is_taken_once_although_nobody_listens_there() {
        let port = Port::take();
        assert!(Port::try_take(port.number()).is_none());
        let number = port.number();
        drop(port);
        assert!(Port::try_take(number).is_some());
    }
    #[test]
    fn look_at_a_port_is_in_no_server_s_way() {
        let port = Port::take();
        let child_s = bound(port.number()).expect("nobody listens");
        let server = TcpListener::bind(port.address()).expect("ours, as it says");
        drop(child_s);
        bound(port.number()).expect_err("somebody listens");
        drop(server);
    }
}
