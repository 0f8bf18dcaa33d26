//! How many commands a handoff costs the server, whatever the number of waiters: all that it ran
//! from a release until the next holder's lease is confirmed, those within scripts included.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::json;
use tenure::{Guard, Locks, Mutex, Renewal};
use tenure_testkit::Server;
use tokio::task::JoinHandle;

use crate::Failure;
use crate::crew::block_on;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;

use super::{calls, is_sent, on_each};

/// Longer than one confirmation takes, shorter than the time between two heartbeats.
const CONFIRMED: Duration = Duration::from_millis(30);

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

/// A waiter that never stops standing in line until it is granted.
type Waiting = JoinHandle<tenure::Result<Guard>>;

/// Medians: of all commands, and of those that were sent by programs.
async fn on(server: &Server, waiters: u32, handoffs: u32) -> Result<(f64, f64), Failure> {
    let holders = tenure::connect(&server.url()).await?;
    let locks = tenure::connect(&server.url()).await?;
    let key = format!("commands-{waiters}");
    let ttl = Duration::from_secs(600);
    let lock = holders.mutex(&key).with_ttl(ttl).with_renewal(Renewal::Off);
    let mut guard = lock.acquire().await?;
    let line = locks.mutex(&key).with_ttl(ttl).with_renewal(Renewal::Off);
    let mut waiting = VecDeque::new();
    let (mut all, mut sent) = (Vec::new(), Vec::new());
    for _ in 0..handoffs {
        // One takes over, the others stay.
        fill(&line, &mut waiting, waiters + 1).await?;
        server.command(&["CONFIG", "RESETSTAT"]);
        guard.release().await?;
        let first = waiting.pop_front().ok_or("nobody waits")?;
        guard = first.await??;
        tokio::time::sleep(CONFIRMED).await;
        all.push(count(calls(server, |command| !is_ours(command))?)?);
        sent.push(count(calls(server, is_sent)?)?);
    }
    waiting.iter().for_each(JoinHandle::abort);
    close(guard, holders, locks).await?;
    Ok((Sample::new(all).median(), Sample::new(sent).median()))
}

async fn close(guard: Guard, holders: Locks, locks: Locks) -> Result<(), Failure> {
    guard.release().await?;
    holders.close(Duration::from_secs(5)).await?;
    locks.close(Duration::from_secs(5)).await?;
    Ok(())
}

/// Adds waiters, one behind the other, until so many stand in line.
async fn fill(lock: &Mutex, waiting: &mut VecDeque<Waiting>, wanted: u32) -> Result<(), Failure> {
    let wanted = usize::try_from(wanted)?;
    while waiting.len() < wanted {
        let lock = lock.clone();
        waiting.push_back(tokio::spawn(async move { lock.acquire().await }));
        // They are granted in this order only if they came in this order.
        tokio::task::yield_now().await;
    }
    while lock.inspect().await?.waiters.len() < wanted {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// What this measurement itself runs.
fn is_ours(command: &str) -> bool {
    command.starts_with("config") || matches!(command, "auth" | "info")
}

fn count(calls: u64) -> Result<f64, Failure> {
    Ok(f64::from(u32::try_from(calls)?))
}
