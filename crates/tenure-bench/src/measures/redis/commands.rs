//! How many commands a handoff costs the server, whatever the number of waiters: all that it ran
//! from a release until the next holder's lease is confirmed, those within scripts included.

use std::time::Duration;

use serde_json::json;
use tenure::protocol::{Acquire, FenceRule, Op, Queueing, Request};
use tenure::store::{Redis, Store};
use tenure::{Claim, Key, Label, Locks, Mutex, Owner, Renewal, runtime};
use tenure_testkit::Server;

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;
use crate::worker::block_on;

use super::{calls, is_sent, on_each};

/// Longer than one confirmation takes, shorter than the time between two heartbeats.
const CONFIRMED: Duration = Duration::from_millis(30);
/// Nothing ends while it is measured.
const TTL: Duration = Duration::from_secs(600);

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let counts: &[u32] = scale.pick(&[1, 10], &[1, 10, 100, 1_000]);
    let handoffs = scale.pick(1, 15);
    on_each(|server| {
        let mut found = Vec::new();
        for &waiters in counts {
            found.push(block_on(on(server, waiters, handoffs))?);
        }
        let all: Vec<f64> = found.iter().map(|(all, _)| *all).collect();
        let sent: Vec<f64> = found.iter().map(|(_, sent)| *sent).collect();
        let spread = Sample::new(all.clone());
        Ok(vec![Figure {
            name: "commands per handoff, most / least".into(),
            value: spread.worst() / spread.quantile(0.0),
            unit: "x",
            limit: Limit::AtMost(1.0),
            note: format!("{all:?} with {counts:?} waiters; {sent:?} of them sent"),
            raw: json!({ "waiters": counts, "commands": all, "sent": sent }),
        }])
    })
}

/// Medians: of all commands, and of those that were sent by programs.
async fn on(server: &Server, waiters: u32, handoffs: u32) -> Result<(f64, f64), Failure> {
    let holders = tenure::connect(&server.url()).await?;
    let locks = tenure::connect(&server.url()).await?;
    let opened = Redis::open(&server.url(), runtime::machine()?).await;
    let store = opened.map_err(|error| format!("{error:?}"))?;
    let (mut all, mut sent) = (Vec::new(), Vec::new());
    for round in 0..handoffs {
        let key = format!("commands-{waiters}-{round}");
        let lock = |locks: &Locks| locks.mutex(&key).with_ttl(TTL).with_renewal(Renewal::Off);
        let guard = lock(&holders).acquire().await?;
        let first = lock(&locks);
        let first = tokio::spawn(async move { first.acquire().await });
        until_waiting(&lock(&holders), 1).await?;
        // One takes over, the others stay.
        stand_behind(&store, &key, waiters).await?;
        until_waiting(&lock(&holders), waiters + 1).await?;
        server.command(&["CONFIG", "RESETSTAT"]);
        guard.release().await?;
        let guard = first.await??;
        tokio::time::sleep(CONFIRMED).await;
        all.push(count(calls(server, |command| !is_ours(command))?)?);
        sent.push(count(calls(server, is_sent)?)?);
        drop(guard);
    }
    Ok((Sample::new(all).median(), Sample::new(sent).median()))
}

/// Waiters of other processes: the tasks of one are one waiter to the server.
async fn stand_behind(store: &Redis, key: &str, waiters: u32) -> Result<(), Failure> {
    let step = |number: u32| -> Result<Request, Failure> {
        let op = Op::Acquire(Acquire {
            owner: Owner::from_parts("waiter", number.into()),
            label: Label::new("waiter"),
            claim: Claim::EXCLUSIVE,
            ttl: TTL,
            queue: Some(Queueing { window: TTL, stamp: 1, inbox: None }),
            fence: FenceRule::Mint,
            value: None,
        });
        Ok(Request { key: Key::new(key)?, op })
    };
    let steps = (0..waiters).map(step).collect::<Result<_, _>>()?;
    store.call(steps).await.map_err(|error| format!("{error:?}"))?;
    Ok(())
}

async fn until_waiting(lock: &Mutex, wanted: u32) -> Result<(), Failure> {
    while lock.inspect().await?.waiters.len() < usize::try_from(wanted)? {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Whether this measurement itself runs the command.
fn is_ours(command: &str) -> bool {
    command.starts_with("config") || matches!(command, "auth" | "info")
}

fn count(calls: u64) -> Result<f64, Failure> {
    Ok(f64::from(u32::try_from(calls)?))
}
