//! A proxy between clients and a server that breaks the wire on purpose. It knows where calls and
//! replies begin and end, so that it strikes exactly where it is told to; it changes nothing that
//! it was not told to change, and never acts by chance or by time.
//!
//! A link loses bytes as TCP does: everything behind the first lost byte in that direction is lost
//! too. A link that goes on after a gap does not exist.

mod fault;
mod link;
mod plan;
mod pump;
mod shared;
mod state;
mod wire;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use fault::{Call, Fate, Fault, Which};
use plan::Plan;
use shared::Shared;
use state::State;

/// Which way bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Calls.
    ToServer,
    /// Replies and pushes.
    ToClient,
}

impl Direction {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];
}

/// The treatment of the bytes of one direction, on all links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flow {
    /// They pass.
    #[default]
    Open,
    /// They wait, and pass when the flow is open again.
    Stalled,
    /// They are lost, and so is the direction of every link on which any was lost: it stays silent
    /// for ever, and even its end is not told. New links are as new.
    Lost,
}

/// The treatment of messages that answer no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pushes {
    /// They pass.
    #[default]
    Pass,
    /// They disappear, as messages of a server may.
    Drop,
    /// They are kept until pushes pass again; replies overtake them.
    Hold,
}

/// A proxy on a port of its own on loopback, gone with its value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Stands before the server at `upstream` and understands what passes. Bytes that are no RESP
    /// pass as they are.
    ///
    /// # Panics
    /// If no port can be had.
    #[must_use]
    pub fn to(upstream: SocketAddr) -> Self {
        Self::start(upstream, true)
    }

    /// Stands before anything and understands nothing, for TLS: without calls and pushes.
    ///
    /// # Panics
    /// If no port can be had.
    #[must_use]
    pub fn of_bytes(upstream: SocketAddr) -> Self {
        Self::start(upstream, false)
    }

    fn start(upstream: SocketAddr, understands: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::new(upstream, understands));
        let accepting = Arc::clone(&shared);
        let listener = thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || pump::accept(&listener, &accepting))
            .expect("a thread");
        Self { address, shared, listener: Some(listener) }
    }

    /// Leads to another server from here on, as an address does that was given to another machine.
    /// The links that there are end.
    pub fn lead_to(&self, upstream: SocketAddr) {
        self.shared.set_upstream(upstream);
        self.cut();
    }

    // Faults at single calls.

    /// From now on, `fate` strikes the call that is meant. If several mean the same call, the first
    /// given strikes.
    ///
    /// # Panics
    /// If this proxy does not understand what passes.
    #[track_caller]
    pub fn on(&self, which: Which, fate: Fate) -> Fault {
        assert!(self.shared.understands, "a proxy of bytes knows no calls");
        let plan = self.shared.change(|state| {
            state.plans.push(Plan::new(which, fate));
            state.plans.len() - 1
        });
        Fault::new(Arc::clone(&self.shared), plan)
    }

    // Faults of the wire.

    /// Sets the treatment of the bytes of one direction.
    pub fn set_flow(&self, direction: Direction, flow: Flow) {
        self.shared.change(|state| state.set_flow(direction, flow));
    }

    /// Accepts, and never answers: both directions are lost.
    pub fn black_hole(&self) {
        for direction in Direction::BOTH {
            self.set_flow(direction, Flow::Lost);
        }
    }

    /// Opens both directions, for new links and those that lost nothing; passes pushes; accepts
    /// links; takes the delays away. Faults at single calls stay.
    pub fn heal(&self) {
        for direction in Direction::BOTH {
            self.set_flow(direction, Flow::Open);
            self.set_delay(direction, Duration::ZERO);
        }
        self.set_pushes(Pushes::Pass);
        self.set_refusing(false);
    }

    /// Delays all that arrives from now on in one direction by `delay`.
    pub fn set_delay(&self, direction: Direction, delay: Duration) {
        self.shared.change(|state| state.delay[direction as usize] = delay);
    }

    /// Sets the treatment of pushes. Held pushes are delivered when pushes pass again.
    pub fn set_pushes(&self, pushes: Pushes) {
        self.shared.change(|state| state.set_pushes(pushes));
    }

    /// Whether new links are closed as soon as they are made. They are counted all the same.
    pub fn set_refusing(&self, refusing: bool) {
        self.shared.change(|state| state.refusing = refusing);
    }

    /// Cuts the link over which the n-th byte from now travels in this direction, right behind it;
    /// with 0, right before the next one.
    pub fn cut_after(&self, direction: Direction, bytes: usize) {
        self.shared.change(|state| state.budget[direction as usize] = Some(bytes));
    }

    /// Cuts all links. A call that is held is kept.
    pub fn cut(&self) {
        self.shared.change(State::cut_all);
    }

    /// Ends one direction of all links: its receiver reads to the end, the other direction goes on.
    pub fn half_close(&self, direction: Direction) {
        self.shared.change(|state| {
            for link in state.links.values() {
                // One that has ended by itself needs no end.
                let _ = link.sink(direction).shutdown(Shutdown::Write);
            }
        });
    }

    // Counts and records.

    /// How many calls have arrived, also those that were lost.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.shared.change(|state| state.counts.values().sum())
    }

    /// How many calls of this name, such as `EVALSHA`.
    #[must_use]
    pub fn count_of(&self, name: &str) -> u64 {
        self.shared.change(|state| state.counts.get(name).copied().unwrap_or_default())
    }

    /// How many calls of each name.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.shared.change(|state| state.counts.clone())
    }

    /// The latest calls, at most 10,000.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.change(|state| state.calls.iter().cloned().collect())
    }

    /// How many messages have arrived that answer no call, also those that were dropped.
    #[must_use]
    pub fn pushes(&self) -> u64 {
        self.shared.change(|state| state.pushes_seen)
    }

    /// How many links clients have made or tried to make.
    #[must_use]
    pub fn links(&self) -> u64 {
        self.shared.change(|state| state.links_seen)
    }

    /// How many links there are. One that lost its end in a fault counts as long as it is not cut.
    #[must_use]
    pub fn open_links(&self) -> usize {
        self.shared.change(|state| state.links.len())
    }

    // Where it is.

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(State::close);
        // The listener looks up when somebody comes.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}
