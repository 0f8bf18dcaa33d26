//! The plan of a seed: the number of processes and keys, the clocks, the network, the faults.
//! Every seed leaves some of the faults out (*swarm testing*, Groce and others, 2012), and one in
//! sixteen has a good network throughout.

use std::time::Duration;

use crate::clock::Clock;
use crate::defect::Defect;
use crate::faults::Fault;
use crate::kind::Mixture;
use crate::network_faults::NetworkFaults;
use crate::rng::Rng;

/// Clocks advance at rates that differ by less than the allowance of 1 %.
const DRIFT_PPM: i64 = 5_000;
pub(crate) const SECOND: u64 = 1_000_000;
/// The most keys that there are.
pub(crate) const KEYS_MAX: u64 = 3;
/// The longest ttl of a quorum: as long as users ask for.
const LONGEST_TTL: u64 = 12 * SECOND;

/// The random numbers of a seed, one stream per purpose.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(crate) enum Stream {
    Plan = 1,
    World,
    Faults,
    Quorum,
    Kinds,
    Runtime = 1_000,
    User = 1_000_000,
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) processes: usize,
    /// How many of them start only when another has crashed.
    pub(crate) spare: usize,
    pub(crate) users: usize,
    pub(crate) keys: usize,
    /// The kinds that are asked for; `None`: mutexes.
    pub(crate) mixture: Option<Mixture>,
    pub(crate) clocks: Vec<Clock>,
    /// The clocks of the servers: of the one, or of a quorum's nodes.
    pub(crate) servers: Vec<Clock>,
    /// How long a quorum's node that lost its memory grants nothing new: the longest ttl.
    pub(crate) guard: Duration,
    /// The same after a restart with its memory.
    pub(crate) guards_memory: bool,
    /// How long a quorum waits for a node.
    pub(crate) node_timeout: Duration,
    pub(crate) retention: Duration,
    pub(crate) pushes: bool,
    pub(crate) calm: bool,
    pub(crate) network_faults: NetworkFaults,
    pub(crate) faults: Vec<Fault>,
    pub(crate) fault_every: u64,
    pub(crate) stumble_per_mille: u64,
    pub(crate) idle: u64,
    /// the network turns good.
    pub(crate) calm_at: u64,
}

impl Plan {
    /// Processes and a quorum of servers.
    ///
    /// Two clocks never advance at rates that differ by more than the allowance. Clients' wall
    /// clocks are anywhere; those of the servers differ by less than half of the longest ttl.
    pub(crate) fn of_quorum(seed: u64, defect: Option<Defect>) -> Self {
        let mut rng = Rng::new(seed, Stream::Quorum as u64);
        let mut plan = Self::of(seed, None);
        let drifts = [(2 * DRIFT_PPM, 0), (0, 2 * DRIFT_PPM), (DRIFT_PPM, DRIFT_PPM)];
        let (clients, servers) = rng.pick(&drifts);
        let nodes = rng.pick(&[3, 3, 5]);
        let mut clock = |drift: i64, ahead: u64| {
            let ppm = rng.pick(&[-drift, 0, drift]);
            let ahead = i64::try_from(rng.below(2 * ahead)).unwrap_or(0)
                - i64::try_from(ahead).unwrap_or(0);
            Clock::new(rng.below(3_600 * SECOND), ppm).with_wall_ahead(ahead)
        };
        plan.clocks = (0..plan.processes).map(|_| clock(clients, 60 * SECOND)).collect();
        plan.servers = (0..nodes).map(|_| clock(servers, LONGEST_TTL / 4)).collect();
        if defect == Some(Defect::ClockTooFast) {
            plan.servers = plan.servers.iter().map(|c| c.with_rate(30_000)).collect();
        }
        plan.guard = Duration::from_micros(LONGEST_TTL);
        plan.guards_memory = rng.per_mille(500);
        plan.node_timeout = Duration::from_millis(rng.pick(&[200, 500, 1_000]));
        // A fence is remembered for longer than clocks are apart.
        plan.retention = plan.retention.max(2 * plan.guard);
        // A round that was refused withdraws nothing. That is safe since a link of Tenure's sends
        // nothing twice; a request without an answer may still be carried out twice.
        plan.network_faults.doubled_per_mille = 0;
        // A quorum has no operator who would take a key from a single node.
        plan.faults.retain(|fault| *fault != Fault::Force);
        plan
    }

    /// Processes and one server, and locks of all kinds on the same keys.
    pub(crate) fn of_all_kinds(seed: u64, defect: Option<Defect>) -> Self {
        let mut rng = Rng::new(seed, Stream::Kinds as u64);
        let plan = Self::of(seed, defect);
        let mixture = Mixture::roll(&mut rng, plan.keys);
        // Ticks are counted by the server's clock, wherever those of the clients are.
        let minute = i64::try_from(60 * SECOND).unwrap_or(0);
        let mut apart = |clock: Clock| clock.with_wall_ahead(rng.pick(&[-minute, 0, minute]));
        let clocks = plan.clocks.iter().map(|clock| apart(*clock)).collect();
        Self { mixture: Some(mixture), clocks, ..plan }
    }

    pub(crate) fn of(seed: u64, defect: Option<Defect>) -> Self {
        let mut rng = Rng::new(seed, Stream::Plan as u64);
        let calm = rng.per_mille(1_000 / 16);
        let spare = 3;
        let processes = usize::try_from(rng.between(2, 4)).unwrap_or(2) + spare;
        let clocks = (0..processes).map(|_| clock(&mut rng)).collect();
        let server_clock = match defect {
            Some(Defect::ClockTooFast) => Clock::new(7 * SECOND, 30_000),
            _ => clock(&mut rng),
        };
        let mut network_faults = NetworkFaults::roll(&mut rng);
        if calm {
            network_faults = network_faults.calm();
        }
        let faults = Fault::ALL.into_iter().filter(|_| !calm && rng.per_mille(500)).collect();
        let calm_at = rng.between(5, 20) * SECOND;
        Self {
            processes,
            spare,
            users: usize::try_from(rng.between(1, 3)).unwrap_or(1),
            keys: usize::try_from(rng.between(1, KEYS_MAX)).unwrap_or(1),
            mixture: None,
            clocks,
            servers: vec![server_clock],
            guard: Duration::ZERO,
            guards_memory: false,
            node_timeout: Duration::ZERO,
            retention: Duration::from_secs(rng.pick(&[2, 20, 24 * 3_600])),
            pushes: !rng.per_mille(100),
            calm,
            network_faults,
            faults,
            fault_every: rng.pick(&[400_000, 1_500_000, 4_000_000]),
            stumble_per_mille: if calm { 0 } else { rng.pick(&[0, 0, 1, 5]) },
            idle: rng.pick(&[20_000, 200_000, 1_000_000]),
            calm_at,
        }
    }
}

fn clock(rng: &mut Rng) -> Clock {
    let ppm = rng.pick(&[-DRIFT_PPM, 0, DRIFT_PPM]);
    Clock::new(rng.below(3_600 * SECOND), ppm)
}
