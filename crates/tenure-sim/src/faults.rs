//! The faults of processes and servers, at random moments until the network turns good: pauses,
//! crashes, cuts, a stopped server, a server that restarts with or without its memory or loses it
//! while it runs, and an operator who takes a key away.

use std::sync::Arc;

use tenure::Key;

use crate::link::Network;
use crate::rng::Rng;
use crate::server::Server;
use crate::world::{Pid, World};

const MS: u64 = 1_000;

/// One kind of mishap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A process is stopped, or its machine sleeps.
    Pause,
    /// The program's own threads are all busy; the engine's is not.
    Block,
    /// A process dies, and another one starts.
    Crash,
    /// A process is cut off from a server.
    Cut,
    /// A server is stopped, and goes on.
    Stall,
    /// A server restarts with its memory.
    Restart,
    /// A server restarts empty.
    Forget,
    /// A server is emptied, and goes on.
    Flush,
    /// An operator takes a key away.
    Force,
}

impl Fault {
    pub(crate) const ALL: [Self; 9] = [
        Self::Pause,
        Self::Block,
        Self::Crash,
        Self::Cut,
        Self::Stall,
        Self::Restart,
        Self::Forget,
        Self::Flush,
        Self::Force,
    ];
}

/// Has mishaps happen.
pub(crate) struct Faults {
    pub(crate) nodes: Vec<(Arc<Server>, Arc<Network>)>,
    pub(crate) kinds: Vec<Fault>,
    pub(crate) keys: Arc<[Key]>,
    pub(crate) rng: Rng,
    /// The longest time between two mishaps.
    pub(crate) every: u64,
    /// None after this true time, nor lasts any longer.
    pub(crate) until: u64,
    /// Processes that live.
    pub(crate) alive: Vec<Pid>,
    /// Processes that may start when another one has crashed, the next one last.
    pub(crate) spare: Vec<Pid>,
    pub(crate) boot: Arc<dyn Fn(Pid) + Send + Sync>,
}

impl Faults {
    /// Arranges the next mishap.
    pub(crate) fn go_on(mut self, world: &Arc<World>) {
        let next = world.now() + self.rng.between(self.every / 20, self.every);
        if next < self.until && !self.kinds.is_empty() {
            world.at(next, move |world| {
                self.strike(world);
                self.go_on(world);
            });
        }
    }

    fn strike(&mut self, world: &Arc<World>) {
        let kind = self.rng.pick(&self.kinds);
        let pid = self.rng.pick(&self.alive);
        // Mostly short; sometimes longer than every lease.
        let span = match self.rng.below(4) {
            0 => self.rng.between(500 * MS, 5_000 * MS),
            1 => self.rng.between(50 * MS, 1_000 * MS),
            _ => self.rng.between(5 * MS, 200 * MS),
        };
        let until = (world.now() + span).min(self.until);
        let node = if self.nodes.len() > 1 { self.rng.index(self.nodes.len()) } else { 0 };
        let (server, network) = self.nodes[node].clone();
        world.note(|| format!("{kind:?} of p{pid}, or of s{node}, for {span} µs"));
        match kind {
            Fault::Pause => world.pause(pid, until),
            Fault::Block => world.block(pid, until),
            Fault::Crash => self.crash(world, pid, until),
            Fault::Cut => network.cut(pid, until),
            Fault::Stall => server.stall(until),
            Fault::Restart => server.crash(until, false),
            Fault::Forget => server.crash(until, true),
            Fault::Flush => server.flush(),
            Fault::Force => {
                let key = &self.keys[self.rng.index(self.keys.len())];
                let grants = server.force(key);
                network.push(grants);
            }
        }
        if matches!(kind, Fault::Stall | Fault::Restart | Fault::Forget) {
            for pid in &self.alive {
                world.trouble(*pid, until);
            }
        }
    }

    fn crash(&mut self, world: &Arc<World>, pid: Pid, until: u64) {
        // Its locks may be taken, and its tasks cannot be dropped, in the middle of a poll.
        if world.is_stumbling(pid) {
            return;
        }
        let Some(next) = self.spare.pop() else { return };
        world.crash(pid);
        self.alive.retain(|p| *p != pid);
        self.alive.push(next);
        let boot = Arc::clone(&self.boot);
        world.at(until, move |_| boot(next));
    }
}
