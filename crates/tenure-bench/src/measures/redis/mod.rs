//! The cost of locking over Redis and Valkey: servers of this measurement's own, on this machine.
//! Contenders share a server and take turns.

mod bare;
mod cluster;
mod commands;
pub(crate) mod handoff;
mod idle;
mod quorum;
mod shares;

use tenure_testkit::{Flavour, Server};

use crate::Failure;
use crate::figure::Figure;

pub(crate) use cluster::measure as cluster;
pub(crate) use commands::measure as commands;
pub(crate) use handoff::measure as handoff;
pub(crate) use idle::measure as idle;
pub(crate) use quorum::measure as quorum;
pub(crate) use shares::measure as shares;

/// Measures on each kind of server; every figure's name begins with the server's.
fn on_each(
    measure: impl Fn(&Server) -> Result<Vec<Figure>, Failure>,
) -> Result<Vec<Figure>, Failure> {
    let mut all = Vec::new();
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let figures = measure(&server)?;
        let named = |f: Figure| Figure { name: format!("{flavour}: {}", f.name), ..f };
        all.extend(figures.into_iter().map(named));
    }
    Ok(all)
}

/// The time that the server's process has had of all cores, in seconds.
pub(crate) fn server_cpu(server: &Server) -> Result<f64, Failure> {
    let field = |name: &str| -> Result<f64, Failure> {
        Ok(server.info(name).ok_or("the server does not tell its CPU time")?.parse()?)
    };
    Ok(field("used_cpu_user")? + field("used_cpu_sys")?)
}

/// How often the server has run some commands since its statistics were reset.
fn calls(server: &Server, is_meant: impl Fn(&str) -> bool) -> Result<u64, Failure> {
    let info = server.command(&["INFO", "commandstats"]).text().unwrap_or_default();
    let mut sum = 0;
    for line in info.lines() {
        let Some((name, rest)) = line.strip_prefix("cmdstat_").and_then(|l| l.split_once(':'))
        else {
            continue;
        };
        if is_meant(name) {
            let count = rest.strip_prefix("calls=").and_then(|rest| rest.split_once(','));
            sum += count.ok_or("the server's statistics read otherwise")?.0.parse::<u64>()?;
        }
    }
    Ok(sum)
}

/// Whether a command is one that a program sends to get something done; the rest are those that a
/// script runs, and what this measurement itself asks.
fn is_sent(command: &str) -> bool {
    matches!(command, "evalsha" | "eval" | "ping" | "hello" | "subscribe")
}
