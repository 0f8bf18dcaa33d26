//! The cost of waiting and holding for the server while nothing happens: calls for the heartbeats
//! of 1,000 waiters, and for the renewals of 10,000 leases, of one process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tenure::store::Redis;
use tenure::{Guard, Locks, LocksOptions, Renewal, runtime};
use tenure_testkit::Server;
use tokio::task::JoinSet;

use crate::Failure;
use crate::counting::Counting;
use crate::figure::{Figure, Limit, Scale};
use crate::worker::block_on;

use super::{calls, is_sent, on_each, server_cpu};

/// The time between two renewals of a lease is a third of it.
const TTL: Duration = Duration::from_secs(9);
/// The leases come in groups, spread over one interval of renewal.
const GROUPS: u32 = 50;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let (waiters, leases) = scale.pick((20, 100), (1_000, 10_000));
    on_each(|server| {
        let waiting = block_on(waiting(server, waiters, scale.pick(2, 20)))?;
        Ok(vec![waiting, block_on(holding(server, leases, scale.pick(1, 5)))?])
    })
}

async fn waiting(server: &Server, waiters: u32, seconds: u32) -> Result<Figure, Failure> {
    let holders = tenure::connect(&server.url()).await?;
    let locks = tenure::connect(&server.url()).await?;
    let ttl = Duration::from_secs(600);
    // The tasks of a process that wait for one key are one waiter to the server.
    let (mut guards, mut line) = (Vec::new(), JoinSet::new());
    for number in 0..waiters {
        let key = format!("idle-{number}");
        let held = holders.mutex(&key).with_ttl(ttl).with_renewal(Renewal::Off);
        guards.push(held.acquire().await?);
        let lock = locks.mutex(&key);
        line.spawn(async move { lock.acquire().await });
    }
    for guard in &guards {
        while holders.mutex(guard.key().as_str()).inspect().await?.waiters.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    server.command(&["CONFIG", "RESETSTAT"]);
    let (begun, before) = (Instant::now(), server_cpu(server)?);
    tokio::time::sleep(Duration::from_secs(seconds.into())).await;
    let sent = u32::try_from(calls(server, is_sent)?)?;
    let begun_to_end = begun.elapsed();
    let per_second = f64::from(sent) / begun_to_end.as_secs_f64();
    let busy = server_cpu(server)? - before;
    line.shutdown().await;
    drop(guards);
    locks.close(Duration::from_secs(20)).await?;
    holders.close(Duration::from_secs(20)).await?;
    let beats = f64::from(waiters) * begun_to_end.as_secs_f64();
    let each = busy * 1e6 / beats;
    Ok(Figure {
        name: "1,000 idle waiters in one process, calls per second".into(),
        value: per_second,
        unit: "/s",
        limit: Limit::AtMost(2.0),
        note: format!(
            "{sent} calls in {seconds} s; each of about {beats:.0} heartbeats costs the server \
             {each:.0} us of CPU"
        ),
        raw: json!({
            "calls": sent, "seconds": seconds, "server_cpu_s": busy, "heartbeats": beats,
        }),
    })
}

async fn holding(server: &Server, leases: u32, rounds: u32) -> Result<Figure, Failure> {
    let runtime = runtime::machine()?;
    let opened = Redis::open(&server.url(), Arc::clone(&runtime)).await;
    let store = opened.map_err(|error| format!("{error:?}"))?;
    let store = Arc::new(Counting::new(store));
    let locks = Locks::over(Arc::clone(&store) as _, runtime, LocksOptions::default());
    let mut guards = Vec::new();
    for group in 0..GROUPS {
        let next = Instant::now() + TTL / 3 / GROUPS;
        guards.extend(acquire(&locks, group, leases / GROUPS).await?);
        tokio::time::sleep(next - Instant::now()).await;
    }
    store.take();
    server.command(&["CONFIG", "RESETSTAT"]);
    tokio::time::sleep(TTL / 3 * rounds).await;
    let (_, renewals) = store.take();
    let (sent, renewals) = (u32::try_from(calls(server, is_sent)?)?, u32::try_from(renewals)?);
    for guard in &guards {
        guard.check()?;
    }
    let close = locks.close(Duration::from_secs(20));
    drop(guards);
    close.await?;
    Ok(Figure {
        name: "10,000 held leases, calls per round of renewal".into(),
        value: f64::from(sent) / (f64::from(renewals) / f64::from(leases)),
        unit: "",
        limit: Limit::AtMost(200.0),
        note: format!("{renewals} renewals in {sent} calls"),
        raw: json!({ "renewals": renewals, "calls": sent }),
    })
}

async fn acquire(locks: &Locks, group: u32, leases: u32) -> Result<Vec<Guard>, Failure> {
    let mut tasks = JoinSet::new();
    for number in 0..leases {
        let lock = locks.mutex(format!("held-{group}-{number}")).with_ttl(TTL);
        tasks.spawn(async move { lock.acquire().await });
    }
    let mut guards = Vec::new();
    while let Some(done) = tasks.join_next().await {
        guards.push(done??);
    }
    Ok(guards)
}
