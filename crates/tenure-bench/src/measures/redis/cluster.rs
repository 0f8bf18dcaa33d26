//! The cost of a cluster of three masters beside a single server: cycles of one caller and of many
//! tasks, and the calls that many held leases cost. The two take turns, on this machine.

use std::time::{Duration, Instant};

use serde_json::json;
use tenure::Locks;
use tenure_testkit::{Cluster, Flavour, Server};

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;
use crate::worker::block_on;

use super::shares::{Lock, crowd};
use super::{calls, is_sent};

const TASKS: usize = 64;
const WARM_UP: usize = 50;
const TTL: Duration = Duration::from_secs(6);
/// The held leases come in groups, spread over one interval of renewal.
const GROUPS: usize = 50;

/// A single server and a cluster, and a client of each.
struct Field {
    server: Server,
    cluster: Cluster,
    locks: [Locks; 2],
}

impl Field {
    async fn new(flavour: Flavour) -> Result<Self, Failure> {
        let server = Server::of(flavour).start();
        let calm = Duration::from_secs(60);
        let cluster = Cluster::of(flavour).with_node_timeout(calm).start();
        let locks = [tenure::connect(&server.url()).await?, tenure::connect(&cluster.url()).await?];
        Ok(Self { server, cluster, locks })
    }

    /// The calls that the servers of each have taken since the last look.
    fn calls(&self) -> Result<[u64; 2], Failure> {
        let mut all = 0;
        for node in self.cluster.nodes() {
            all += calls(node, is_sent)?;
            node.command(&["CONFIG", "RESETSTAT"]);
        }
        let single = calls(&self.server, is_sent)?;
        self.server.command(&["CONFIG", "RESETSTAT"]);
        Ok([single, all])
    }
}

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let mut all = Vec::new();
    for flavour in Flavour::ALL {
        let figures = block_on(async {
            let field = Field::new(flavour).await?;
            let mut figures = vec![one_caller(&field, scale).await?];
            figures.extend(many_tasks(&field, scale).await?);
            figures.push(held(&field, scale).await?);
            Ok::<_, Failure>(figures)
        })?;
        let named = |f: Figure| Figure { name: format!("{flavour}: cluster, {}", f.name), ..f };
        all.extend(figures.into_iter().map(named));
    }
    Ok(all)
}

async fn one_caller(field: &Field, scale: Scale) -> Result<Figure, Failure> {
    let cycles = scale.pick(20, 5_000);
    let mut took = [vec![], vec![]];
    let locks = field.locks.each_ref().map(|locks| locks.mutex("one caller"));
    for number in 0..WARM_UP + cycles {
        for (lock, took) in locks.iter().zip(&mut took) {
            let begun = Instant::now();
            lock.acquire().await?.release().await?;
            if number >= WARM_UP {
                took.push(begun.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    let [single, cluster] = took.map(|took| Sample::new(took).median());
    Ok(Figure {
        name: "one caller, cycle / of a single server".into(),
        value: cluster / single,
        unit: "x",
        limit: Limit::AtMost(1.1),
        note: format!("{cluster:.1} us against {single:.1} us (medians)"),
        raw: json!({ "cluster_us": cluster, "single_us": single }),
    })
}

async fn many_tasks(field: &Field, scale: Scale) -> Result<Vec<Figure>, Failure> {
    let (rounds, millis) = scale.pick((1, 50), (9, 500));
    let round = Duration::from_millis(millis);
    let (mut rates, mut costs) = ([vec![], vec![]], [vec![], vec![]]);
    for number in 0..=rounds {
        for (which, locks) in field.locks.iter().enumerate() {
            field.calls()?;
            let (cycles, seconds) = crowd(mutexes(locks), round).await?;
            // The first round warms up.
            if number > 0 {
                rates[which].push(cycles / seconds);
                costs[which].push(f64::from(u32::try_from(field.calls()?[which])?) / cycles);
            }
        }
    }
    let ratio = |of: &[Vec<f64>; 2]| {
        let pairs = of[1].iter().zip(&of[0]);
        Sample::new(pairs.map(|(cluster, single)| cluster / single).collect()).median()
    };
    let medians = |of: &[Vec<f64>; 2]| of.each_ref().map(|of| Sample::new(of.clone()).median());
    let ([single, cluster], [single_calls, cluster_calls]) = (medians(&rates), medians(&costs));
    Ok(vec![
        Figure {
            name: "64 tasks, cycles/s / of a single server".into(),
            value: ratio(&rates),
            unit: "x",
            limit: Limit::AtLeast(0.8),
            note: format!("{:.1} k/s against {:.1} k/s", cluster / 1e3, single / 1e3),
            raw: json!({ "single_per_s": rates[0], "cluster_per_s": rates[1] }),
        },
        Figure {
            name: "64 tasks, calls per cycle / of a single server".into(),
            value: ratio(&costs),
            unit: "x",
            limit: Limit::AtMost(1.2),
            note: format!("{cluster_calls:.3} against {single_calls:.3}"),
            raw: json!({ "single": costs[0], "cluster": costs[1] }),
        },
    ])
}

/// One for each task.
fn mutexes(locks: &Locks) -> Vec<Lock> {
    (0..TASKS).map(|task| Lock::Mutex(locks.mutex(format!("crowd-{task}")))).collect()
}

async fn held(field: &Field, scale: Scale) -> Result<Figure, Failure> {
    let (leases, rounds) = scale.pick((500, 1), (10_000, 4));
    let locks = &field.locks[1];
    let mut guards = Vec::with_capacity(leases);
    for group in 0..GROUPS {
        for number in 0..leases / GROUPS {
            let lock = locks.mutex(format!("held-{group}-{number}")).with_ttl(TTL);
            guards.push(lock.acquire().await?);
        }
        tokio::time::sleep(TTL / 3 / u32::try_from(GROUPS)?).await;
    }
    tokio::time::sleep(TTL).await;
    field.calls()?;
    tokio::time::sleep(TTL / 3 * rounds).await;
    let calls = field.calls()?[1];
    for guard in &guards {
        guard.check()?;
    }
    let per_round = f64::from(u32::try_from(calls)?) / f64::from(rounds);
    Ok(Figure {
        name: format!("{leases} held leases: calls per round of renewal"),
        value: per_round,
        unit: "",
        limit: Limit::AtMost(16.0),
        note: "over three nodes".into(),
        raw: json!({ "calls": calls, "rounds": rounds }),
    })
}
