//! Three candidates for one role. Each leads in its turn, and tells its address. An observer
//! follows the leaders, as the clients of a service would.
//!
//! ```sh
//! cargo run --example leader
//! ```
//!
//! It prints:
//!
//! ```text
//! 3 candidates led one after the other, in growing terms
//! the observer saw 3 addresses, and then that nobody leads
//! ```

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "it is a program")]

use std::collections::BTreeSet;
use std::time::Duration;

use tenure::Fence;
use tokio::sync::watch;

/// The address of a leader that is not ready yet.
const STARTING: &str = "starting";

/// Leads until the observer has seen it, and resigns. Answers its term.
async fn stand(number: u32, mut seen: watch::Receiver<Fence>) -> tenure::Result<Fence> {
    let mut leadership = tenure::election("scheduler").campaign(STARTING).await?;
    // Here it would open its port.
    leadership.set_value(format!("10.0.0.{number}:8080")).await?;
    let term = leadership.term();
    tokio::select! {
        _ = seen.wait_for(|last| *last >= term) => {}
        reason = leadership.lost() => eprintln!("stop: {reason}"),
    }
    leadership.resign().await?;
    Ok(term)
}

/// Follows the leaders until so many addresses were seen, and nobody leads any more. Answers the
/// addresses, and the terms in which they were seen.
async fn follow(
    count: usize,
    tell: watch::Sender<Fence>,
) -> tenure::Result<(BTreeSet<String>, Vec<Fence>)> {
    let (mut addresses, mut terms) = (BTreeSet::new(), Vec::new());
    let observed = tenure::election("scheduler").observe();
    let mut leaders = observed.with_interval(Duration::from_millis(10));
    while let Some(leader) = leaders.next().await.transpose()? {
        match leader {
            Some(leader) if leader.value() != STARTING => {
                addresses.insert(leader.value().to_owned());
                terms.push(leader.term());
                tell.send_replace(leader.term());
            }
            None if addresses.len() == count => break,
            _ => {}
        }
    }
    Ok((addresses, terms))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (tell, seen) = watch::channel(Fence::default());
    let candidates: Vec<_> =
        (1..=3).map(|number| tokio::spawn(stand(number, seen.clone()))).collect();
    let (addresses, terms) = follow(candidates.len(), tell).await?;
    let mut led = Vec::new();
    for candidate in candidates {
        led.push(candidate.await??);
    }
    led.sort_unstable();
    let grow = if led == terms { "growing" } else { "confused" };
    println!("{} candidates led one after the other, in {grow} terms", led.len());
    println!("the observer saw {} addresses, and then that nobody leads", addresses.len());
    Ok(())
}
