//! One run: servers, contenders, a fault, and the judgement of it.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tenure_testkit::{Flavour, Host, Network};

use crate::Failure;
use crate::worker::Process;

use super::Plan;
use super::contender::TTL;
use super::judge::{Lease, Verdict, judge};
use super::resource::Resource;
use super::topology::{Hosts, Topology};

const CONTENDERS: usize = 8;

/// Leases before the fault, and again at the end: the contenders are at work then.
const LEASES: i64 = 60;

/// Limit for these.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs it once. Also answers the version of the servers.
pub(crate) fn once(
    flavour: Flavour,
    plan: Plan,
    network: Option<&Network>,
    is_blind: bool,
) -> Result<(Verdict, String), Failure> {
    let hosts = network.map(|network| [Arc::new(network.host()), Arc::new(network.host())]);
    let topology = plan.kind.start(flavour, plan.setting, hosts.as_ref());
    let version = topology.master().info(&format!("{flavour}_version")).unwrap_or_default();
    let resource = Resource::start();
    let directory = tempfile::tempdir()?;
    let stop = directory.path().join("stop");
    let start = |n| start(&*topology, plan, &resource, &stop, side(n, hosts.as_ref()), is_blind);
    let mut contenders = (0..CONTENDERS).map(start).collect::<Result<Vec<_>, _>>()?;
    at_work(&resource, &mut contenders)?;
    let fault = plan.fault.strike(&*topology, hosts.as_ref().map(|[few, _]| &**few));
    topology.settle();
    // Until then, leases of both masters may be alive.
    thread::sleep(TTL);
    at_work(&resource, &mut contenders)?;
    std::fs::write(&stop, "")?;
    let mut leases: Vec<Lease> = Vec::new();
    for contender in contenders {
        leases.extend(contender.found::<Vec<Lease>>()?);
    }
    let verdict = judge(&leases, &resource.writes()?, fault, plan.fault.survivors());
    Ok((verdict, version))
}

/// Waits until the contenders have written under some more leases.
fn at_work(resource: &Resource, contenders: &mut [Process]) -> Result<(), Failure> {
    let begun = Instant::now();
    let before = resource.leases();
    while resource.leases() < before + LEASES {
        if begun.elapsed() > LIMIT {
            let leases = resource.leases() - before;
            return Err(format!("the contenders had {leases} leases in {LIMIT:?}").into());
        }
        if contenders.iter_mut().any(Process::has_ended) {
            return Err("a contender has ended".into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The host of a contender, and whether it is that of the master: every second one is.
fn side(number: usize, hosts: Option<&Hosts>) -> (Option<&Host>, bool) {
    let is_minority = number.is_multiple_of(2);
    (hosts.map(|[few, most]| if is_minority { &**few } else { &**most }), is_minority)
}

fn start(
    topology: &dyn Topology,
    plan: Plan,
    resource: &Resource,
    stop: &Path,
    (host, is_minority): (Option<&Host>, bool),
    is_blind: bool,
) -> Result<Process, Failure> {
    let url = topology.url() + &plan.setting.parameters();
    let (prefix, path) = (topology.prefix(), resource.path());
    let text = |path: &Path| path.to_str().map(str::to_owned).ok_or("a path is not UTF-8");
    let (path, stop) = (text(&path)?, text(stop)?);
    let mut arguments = vec![&*url, &*prefix, &*path, &*stop];
    arguments.extend(is_minority.then_some("--minority"));
    arguments.extend(is_blind.then_some("--blind"));
    Process::start_on(host, "failover", &arguments)
}
