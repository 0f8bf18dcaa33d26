//! The cost of a quorum: one caller's acquire against bare script calls to the same servers in
//! parallel, and against a single server where the network takes longer; and how many messages a
//! cycle takes. Contenders share their servers and take turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tenure::store::{Quorum, QuorumOptions, Redis, RedisOptions, Store};
use tenure::{Locks, LocksOptions, runtime};
use tenure_testkit::{Direction, Flavour, Proxy, Server};

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;
use crate::worker::block_on;

use super::bare::Bare;
use super::{calls, is_sent};

const NODES: usize = 5;
const DELAY: Duration = Duration::from_millis(5);
const WARM_UP: usize = 20;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let servers: Vec<_> = (0..NODES).map(|_| Server::of(Flavour::Redis).start()).collect();
    block_on(async {
        Ok(vec![
            against_bare(&servers, scale).await?,
            behind_delay(&servers, scale).await?,
            messages(&servers, scale).await?,
        ])
    })
}

/// A client of its own. These servers are young, and are taken for old.
async fn locks(urls: Vec<String>) -> Result<Locks, Failure> {
    let machine = runtime::machine()?;
    let old = RedisOptions { up_for: Some(Duration::from_secs(86_400)), ..RedisOptions::default() };
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for url in urls {
        let url = format!("{url}?restart_guard=5m");
        stores.push(Arc::new(Redis::unopened(&url, &machine, &old)?));
    }
    let quorum = Quorum::open(stores, Arc::clone(&machine), QuorumOptions::default()).await?;
    Ok(Locks::over(Arc::new(quorum), machine, LocksOptions::default()))
}

/// How long an acquire takes, in microseconds. The release is not counted.
async fn acquire_us(locks: &Locks) -> Result<f64, Failure> {
    let begun = Instant::now();
    let guard = locks.mutex("lone").acquire().await?;
    let took = begun.elapsed().as_secs_f64() * 1e6;
    guard.release().await?;
    Ok(took)
}

async fn against_bare(servers: &[Server], scale: Scale) -> Result<Figure, Failure> {
    let cycles = scale.pick(20, 3_000);
    let locks = locks(servers.iter().map(Server::url).collect()).await?;
    let mut links = Vec::new();
    for server in servers {
        links.push(Bare::connect_apart(server).await?);
    }
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + cycles {
        let begun = Instant::now();
        let mut calls = tokio::task::JoinSet::new();
        for link in &links {
            let mut link = link.clone();
            calls.spawn(async move { link.acquire("bare", &format!("{number:040x}")).await });
        }
        while let Some(call) = calls.join_next().await {
            call??;
        }
        let took = begun.elapsed().as_secs_f64() * 1e6;
        let acquired = acquire_us(&locks).await?;
        if number >= WARM_UP {
            bare.push(took);
            ours.push(acquired);
        }
    }
    locks.close(Duration::from_secs(5)).await?;
    Ok(figure("quorum: acquire / 5 parallel bare script calls", (ours, bare), 1.3))
}

async fn behind_delay(servers: &[Server], scale: Scale) -> Result<Figure, Failure> {
    let cycles = scale.pick(3, 300);
    let proxies: Vec<_> = servers.iter().map(|server| Proxy::to(server.address())).collect();
    proxies.iter().for_each(|proxy| proxy.set_delay(Direction::ToClient, DELAY));
    let locks = locks(proxies.iter().map(Proxy::url).collect()).await?;
    let single = format!("{}?key_template=single:{{name}}", proxies[0].url());
    let single = tenure::connect(&single).await?;
    let (mut ours, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..WARM_UP.min(cycles) {
        acquire_us(&locks).await?;
        acquire_us(&single).await?;
    }
    for _ in 0..cycles {
        alone.push(acquire_us(&single).await?);
        ours.push(acquire_us(&locks).await?);
    }
    locks.close(Duration::from_secs(5)).await?;
    single.close(Duration::from_secs(5)).await?;
    Ok(figure("quorum: acquire / one server, 5 ms away", (ours, alone), 1.2))
}

async fn messages(servers: &[Server], scale: Scale) -> Result<Figure, Failure> {
    let cycles = scale.pick(20_u32, 500);
    let locks = locks(servers.iter().map(Server::url).collect()).await?;
    acquire_us(&locks).await?;
    servers.iter().for_each(|server| _ = server.command(&["CONFIG", "RESETSTAT"]));
    for _ in 0..cycles {
        acquire_us(&locks).await?;
    }
    locks.close(Duration::from_secs(5)).await?;
    let mut most = 0;
    for server in servers {
        most = most.max(calls(server, is_sent)?);
    }
    let per_cycle = (most as f64) / f64::from(cycles);
    Ok(Figure {
        name: "quorum: messages per node, acquire + release".into(),
        value: per_cycle,
        unit: "",
        // One or two of the last release or of the look before may fall into the count.
        limit: Limit::AtMost(2.0 + 2.0 / f64::from(cycles)),
        note: format!("{most} to the busiest of {NODES} nodes in {cycles} cycles"),
        raw: json!({ "messages": most, "cycles": cycles }),
    })
}

fn figure(name: &str, (ours, theirs): (Vec<f64>, Vec<f64>), limit: f64) -> Figure {
    let median = |values: &[f64]| Sample::new(values.to_vec()).median();
    let (mine, other) = (median(&ours), median(&theirs));
    Figure {
        name: name.into(),
        value: mine / other,
        unit: "x",
        limit: Limit::AtMost(limit),
        note: format!("{mine:.0} us against {other:.0} us (medians)"),
        raw: json!({ "p50_us": mine, "other_p50_us": other, "acquires": ours.len() }),
    }
}
