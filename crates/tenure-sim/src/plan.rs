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

/// Which dice are for what.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(crate) enum Stream {
    Plan = 1,
    World,
    Faults,
    Seam = 1_000,
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
    /// How long a server that restarted empty grants nothing new; the longest ttl.
    pub(crate) guard: Duration,
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
