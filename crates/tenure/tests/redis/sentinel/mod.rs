//! Servers behind Sentinels: what a failover does to leases, waiters and connections, and what
//! happens when the Sentinels themselves are away or wrong.

mod failover;
mod fake;
mod forgetting;
mod logins;
mod refusals;
mod trouble;

use std::time::{Duration, Instant};

use tenure::{ErrorKind, Locks, LocksOptions};
use tenure_testkit::{Server, wait_until};

use crate::world::{PATIENCE, ms};

/// Its renewal is due so late that only a new connection brings the verdict.
const LONG_TTL: Duration = Duration::from_secs(60);

/// A handle that waits for the store as long as a failover takes.
async fn patient(url: &str) -> Locks {
    let options = LocksOptions::default().with_store_timeout(PATIENCE);
    let started = Instant::now();
    loop {
        match tenure::connect_with(url, options).await {
            Ok(locks) => return locks,
            // The first contact is not repeated.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                assert!(started.elapsed() < PATIENCE, "{url}: {error}");
                tokio::time::sleep(ms(10)).await;
            }
            Err(error) => panic!("{url}: {error}"),
        }
    }
}

/// Runs what blocks on a thread of its own, so that the clients go on meanwhile.
async fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    tokio::task::block_in_place(work)
}

/// Waits until all replicas have what the primary has.
fn replicated(primary: &Server) {
    let told = primary.command(&["WAIT", "2", "60000"]);
    assert_eq!(told.int(), 2, "both replicas have it");
}

/// How many inboxes are subscribed to. The Sentinels have a channel of their own there.
fn inboxes(server: &Server) -> usize {
    server.command(&["PUBSUB", "CHANNELS", "tenure:inbox:*"]).list().len()
}

/// Ends the replication from the primary for good: its replicas stay as they are. A stopped one
/// would read from its socket, when it goes on, what had been sent to it meanwhile.
fn cut_off(primary: &Server) {
    let kit = primary.command(&["ACL", "WHOAMI"]).text().expect("a name");
    let told = primary.command(&["ACL", "SETUSER", &kit, "-psync", "-sync"]);
    assert!(!told.is_error(""), "{told}");
    primary.command(&["CLIENT", "KILL", "TYPE", "replica"]);
    wait_until("nothing is replicated", || {
        primary.info("connected_slaves").as_deref() == Some("0")
    });
}
