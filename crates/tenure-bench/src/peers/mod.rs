//! Tenure beside other lock libraries over Redis and Valkey, and beside bare sockets, in one run:
//! the contenders take turns, so that a change of the machine meets all of them. Each contender is
//! a process that speaks the line protocol; none is measured through another's interface.

mod adapter;
mod connections;
mod contender;
mod cores;
pub(crate) mod document;
mod field;
mod lone;
mod plot;
pub(crate) mod protocol;
pub(crate) mod results;
pub(crate) mod table;
mod tasks;
mod toolchain;
mod waiters;

use tenure_testkit::{Flavour, Server};

use crate::Failure;
use crate::figure::{Figure, Scale};

use cores::{Cores, Pinned};
use results::Results;

/// One workload with all contenders.
pub(crate) struct Comparison {
    /// For `--only`.
    pub(crate) name: &'static str,
    /// Of the server and the adapters.
    cores: Cores,
    measure: fn(&Server, Scale, &mut Results) -> Result<Vec<Figure>, Failure>,
}

pub(crate) const ALL: &[Comparison] = &[
    Comparison { name: "peers-lone", cores: Cores::One, measure: lone::measure },
    Comparison { name: "peers-lone-free", cores: Cores::All, measure: lone::measure_free },
    Comparison { name: "peers-tasks", cores: Cores::All, measure: tasks::measure },
    Comparison { name: "peers-waiters", cores: Cores::All, measure: waiters::measure },
];

impl Comparison {
    /// Measures on each kind of server; every figure's name begins with the server's.
    pub(crate) fn run(&self, scale: Scale, results: &mut Results) -> Result<Vec<Figure>, Failure> {
        let _pinned = Pinned::to(self.cores)?;
        let mut all = Vec::new();
        for flavour in Flavour::ALL {
            let server = Server::of(flavour).start();
            let field = format!("{flavour}_version");
            let version = server.info(&field).ok_or("the server does not tell its version")?;
            results.version(&flavour.to_string(), version);
            let figures = (self.measure)(&server, scale, results)?;
            let named = |f: Figure| Figure { name: format!("{flavour}: {}", f.name), ..f };
            all.extend(figures.into_iter().map(named));
        }
        Ok(all)
    }
}
