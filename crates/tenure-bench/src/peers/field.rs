//! The contenders that take part in a workload, with their adapters running. One that cannot be
//! started, or that fails on the way, is left out aloud; the others go on.

use tenure_testkit::Server;

use crate::Failure;
use crate::figure::Scale;

use super::adapter::Adapter;
use super::contender::{ALL, Contender};
use super::protocol::{Request, Warmed, Workload};
use super::results::{Results, Skipped};
use super::toolchain::Toolchain;

/// Cycles before anything is measured: connections, scripts, and compilers that work while a
/// program runs.
const WARM_UP: u32 = 1_000;

#[derive(Debug)]
pub(crate) struct Field {
    entrants: Vec<Entrant>,
}

/// A contender with one or more adapters.
#[derive(Debug)]
pub(crate) struct Entrant {
    pub(crate) contender: &'static Contender,
    pub(crate) adapters: Vec<Adapter>,
}

impl Field {
    /// Starts so many processes of each contender that is made for a workload.
    pub(crate) fn start(
        server: &Server,
        workload: Workload,
        processes: u32,
        scale: Scale,
        results: &mut Results,
    ) -> Result<Self, Failure> {
        let mut entrants = Vec::new();
        // The short form installs nothing.
        let takes_part = |contender: &&Contender| {
            contender.workloads.contains(&workload)
                && (scale == Scale::Full || contender.toolchain == Toolchain::Rust)
        };
        for contender in ALL.iter().filter(takes_part) {
            match Entrant::start(contender, server, workload, processes, scale) {
                Ok((entrant, version)) => {
                    results.version(contender.name, version);
                    entrants.push(entrant);
                }
                Err(error) => skip(contender, workload, &error, results)?,
            }
        }
        Ok(Self { entrants })
    }

    /// One round: all contenders one after the other.
    pub(crate) fn each(
        &mut self,
        workload: Workload,
        results: &mut Results,
        mut measure: impl FnMut(&mut Entrant) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut still = Vec::new();
        for mut entrant in self.entrants.drain(..) {
            match measure(&mut entrant) {
                Ok(()) => still.push(entrant),
                Err(error) => skip(entrant.contender, workload, &error, results)?,
            }
        }
        self.entrants = still;
        Ok(())
    }
}

/// Says that a contender takes no part from here on. Those in Rust are part of this program: what
/// keeps them away is a failure of the bench.
fn skip(
    contender: &Contender,
    workload: Workload,
    error: &Failure,
    results: &mut Results,
) -> Result<(), Failure> {
    if contender.toolchain == Toolchain::Rust {
        return Err(format!("{contender}: {error}").into());
    }
    eprintln!("SKIPPED {contender}, {workload}: {error}");
    results.skip(Skipped::new(contender.name, workload, error));
    Ok(())
}

impl Entrant {
    fn start(
        contender: &'static Contender,
        server: &Server,
        workload: Workload,
        processes: u32,
        scale: Scale,
    ) -> Result<(Self, String), Failure> {
        let (mut adapters, mut version) = (Vec::new(), String::new());
        for _ in 0..processes {
            let (mut adapter, said) = Adapter::start(contender, server.address(), workload)?;
            let warm = Request::Warm { cycles: scale.pick(10, WARM_UP) };
            let _: Warmed = adapter.ask(&warm)?;
            adapters.push(adapter);
            version = said;
        }
        Ok((Self { contender, adapters }, version))
    }

    /// The only adapter of a contender that has one.
    pub(crate) fn adapter(&mut self) -> &mut Adapter {
        &mut self.adapters[0]
    }
}
