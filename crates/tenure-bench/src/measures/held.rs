//! The cost of a thousand held locks: store calls for their renewal, and memory.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tenure::store::Memory;
use tenure::{Locks, LocksOptions, runtime};

use crate::counting::Counting;
use crate::figure::{Figure, Limit, Scale};
use crate::worker::block_on;
use crate::{Failure, HEAP};

const LOCKS: u32 = 1_000;
const TTL: Duration = Duration::from_secs(6);
/// The locks come in groups, spread over one interval of renewal.
const GROUPS: u32 = 50;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let rounds = scale.pick(1, 6);
    block_on(async {
        let runtime = runtime::machine()?;
        let store = Arc::new(Counting::new(Memory::new(Arc::clone(&runtime))));
        let locks = Locks::over(Arc::clone(&store) as _, runtime, LocksOptions::default());
        // The first lock pays for what an engine needs once.
        locks.mutex("first").acquire().await?.release().await?;

        let mut guards = Vec::with_capacity(LOCKS as usize);
        let before = live_bytes();
        for group in 0..GROUPS {
            for number in 0..LOCKS / GROUPS {
                let lock = locks.mutex(format!("held-{group}-{number}")).with_ttl(TTL);
                guards.push(lock.acquire().await?);
            }
            tokio::time::sleep(TTL / 3 / GROUPS).await;
        }
        let bytes = f64::from(u32::try_from(live_bytes() - before)?) / f64::from(LOCKS);

        store.take();
        let mut seen = Vec::new();
        for _ in 0..rounds {
            tokio::time::sleep(TTL / 3).await;
            seen.push(store.take());
        }
        for guard in &guards {
            guard.check()?;
        }
        let calls = u32::try_from(seen.iter().map(|(calls, _)| calls).sum::<u64>())?;
        let renewals = u32::try_from(seen.iter().map(|(_, renewals)| renewals).sum::<u64>())?;
        let per_round = f64::from(calls) / (f64::from(renewals) / f64::from(LOCKS));
        Ok(vec![
            Figure {
                name: "1,000 held locks: store calls per round of renewal".into(),
                value: per_round,
                unit: "",
                limit: Limit::AtMost(10.0),
                note: format!("{renewals} renewals in {calls} calls"),
                raw: json!({ "calls_and_renewals": seen }),
            },
            Figure {
                name: "1,000 held locks: memory of each".into(),
                value: bytes,
                unit: "B",
                limit: Limit::AtMost(2048.0),
                note: "with the memory store's own record".into(),
                raw: json!({ "bytes": bytes }),
            },
        ])
    })
}

fn live_bytes() -> usize {
    let heap = HEAP.stats();
    heap.bytes_allocated - heap.bytes_deallocated
}
