//! What a seed stands for: how many processes and keys, which clocks, which weather, which faults.
//! Every seed leaves some of the faults out (*swarm testing*, Groce and others, 2012), and one in
//! sixteen has good weather throughout.

use std::time::Duration;

use crate::clock::Clock;
use crate::defect::Defect;
use crate::dice::Dice;
use crate::faults::Fault;
use crate::weather::Weather;

/// Clocks advance at rates that differ by less than the allowance of 1 %.
const DRIFT_PPM: i64 = 5_000;
pub(crate) const SECOND: u64 = 1_000_000;
/// The longest ttl of a quorum: as long as users ask for.
const LONGEST_TTL: u64 = 12 * SECOND;

/// Which dice are for what.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(crate) enum Stream {
    Plan = 1,
    World,
    Faults,
    Quorum,
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
    pub(crate) weather: Weather,
    pub(crate) faults: Vec<Fault>,
    pub(crate) fault_every: u64,
    pub(crate) stumble_per_mille: u64,
    pub(crate) idle: u64,
    /// The weather turns good.
    pub(crate) calm_at: u64,
}

impl Plan {
    /// Processes and a quorum of servers.
    ///
    /// Two clocks never advance at rates that differ by more than the allowance. Clients' wall
    /// clocks are anywhere; those of the servers differ by less than half of the longest ttl.
    pub(crate) fn of_quorum(seed: u64, defect: Option<Defect>) -> Self {
        let mut dice = Dice::new(seed, Stream::Quorum as u64);
        let mut plan = Self::of(seed, None);
        let drifts = [(2 * DRIFT_PPM, 0), (0, 2 * DRIFT_PPM), (DRIFT_PPM, DRIFT_PPM)];
        let (clients, servers) = dice.pick(&drifts);
        let nodes = dice.pick(&[3, 3, 5]);
        let mut clock = |drift: i64, ahead: u64| {
            let ppm = dice.pick(&[-drift, 0, drift]);
            let ahead = i64::try_from(dice.below(2 * ahead)).unwrap_or(0)
                - i64::try_from(ahead).unwrap_or(0);
            Clock::new(dice.below(3_600 * SECOND), ppm).with_wall_ahead(ahead)
        };
        plan.clocks = (0..plan.processes).map(|_| clock(clients, 60 * SECOND)).collect();
        plan.servers = (0..nodes).map(|_| clock(servers, LONGEST_TTL / 4)).collect();
        if defect == Some(Defect::ClockTooFast) {
            plan.servers = plan.servers.iter().map(|c| c.with_rate(30_000)).collect();
        }
        plan.guard = Duration::from_micros(LONGEST_TTL);
        plan.guards_memory = dice.per_mille(500);
        plan.node_timeout = Duration::from_millis(dice.pick(&[200, 500, 1_000]));
        // A fence is remembered for longer than clocks are apart.
        plan.retention = plan.retention.max(2 * plan.guard);
        // A round that was refused withdraws nothing. That is safe since a link of Tenure's sends
        // nothing twice; a request without an answer may still be carried out twice.
        plan.weather.doubled_per_mille = 0;
        // A quorum has no operator who would take a key from a single node.
        plan.faults.retain(|fault| *fault != Fault::Force);
        plan
    }

    pub(crate) fn of(seed: u64, defect: Option<Defect>) -> Self {
        let mut dice = Dice::new(seed, Stream::Plan as u64);
        let calm = dice.per_mille(1_000 / 16);
        let spare = 3;
        let processes = usize::try_from(dice.between(2, 4)).unwrap_or(2) + spare;
        let clocks = (0..processes).map(|_| clock(&mut dice)).collect();
        let server_clock = match defect {
            Some(Defect::ClockTooFast) => Clock::new(7 * SECOND, 30_000),
            _ => clock(&mut dice),
        };
        let mut weather = Weather::roll(&mut dice);
        if calm {
            weather = weather.calm();
        }
        let faults = Fault::ALL.into_iter().filter(|_| !calm && dice.per_mille(500)).collect();
        let calm_at = dice.between(5, 20) * SECOND;
        Self {
            processes,
            spare,
            users: usize::try_from(dice.between(1, 3)).unwrap_or(1),
            keys: usize::try_from(dice.between(1, 3)).unwrap_or(1),
            clocks,
            servers: vec![server_clock],
            guard: Duration::ZERO,
            guards_memory: false,
            node_timeout: Duration::ZERO,
            retention: Duration::from_secs(dice.pick(&[2, 20, 24 * 3_600])),
            pushes: !dice.per_mille(100),
            calm,
            weather,
            faults,
            fault_every: dice.pick(&[400_000, 1_500_000, 4_000_000]),
            stumble_per_mille: if calm { 0 } else { dice.pick(&[0, 0, 1, 5]) },
            idle: dice.pick(&[20_000, 200_000, 1_000_000]),
            calm_at,
        }
    }
}

fn clock(dice: &mut Dice) -> Clock {
    let ppm = dice.pick(&[-DRIFT_PPM, 0, DRIFT_PPM]);
    Clock::new(dice.below(3_600 * SECOND), ppm)
}
