//! Handles at a server, straight or through a proxy, and what a server may still hold when all
//! is done.

use std::future::Future;
use std::time::{Duration, Instant};

use tenure::{ErrorKind, Guard, Locks, LocksOptions, Mutex};
use tenure_testkit::{Reply, Server};

/// No condition of a healthy store takes so long, on any machine that runs tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Limits of the link so short that a fault costs little.
const QUICK: &str = "?call_timeout=250ms&connect_timeout=500ms";

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The URL with limits of the link that no pause of a busy machine reaches, where it has none.
pub(crate) fn unhurried(url: &str) -> String {
    let mut url = url.to_owned();
    for limit in ["call_timeout", "connect_timeout"] {
        if url.starts_with("redis") && !url.contains(&format!("{limit}=")) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{limit}={}s", PATIENCE.as_secs()));
        }
    }
    url
}

/// A handle of its own, which has time.
pub(crate) async fn connect(url: &str) -> Locks {
    let options = LocksOptions::default().with_store_timeout(PATIENCE);
    let has_time = ["call_timeout=", "connect_timeout="].iter().all(|limit| !url.contains(limit));
    if url.starts_with("redis") && has_time {
        let opened = tenure::connect_with(&unhurried(url), options).await;
        return opened.unwrap_or_else(|e| panic!("{url}: {e}"));
    }
    opened(&unhurried(url), options).await
}

/// A handle that takes a store for silent as soon as a program's does, for what such a store costs.
pub(crate) async fn hurried(url: &str) -> Locks {
    opened(url, LocksOptions::default()).await
}

/// A handle that soon takes a silent link for broken.
pub(crate) async fn quick(url: &str) -> Locks {
    opened(&format!("{url}{QUICK}"), LocksOptions::default()).await
}

/// A handle within limits that the first link of a busy machine may not keep.
async fn opened(url: &str, options: LocksOptions) -> Locks {
    let started = Instant::now();
    loop {
        match tenure::connect_with(url, options).await {
            Ok(locks) => return locks,
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                assert!(started.elapsed() < PATIENCE, "{error}");
            }
            Err(error) => panic!("{url}: {error}"),
        }
    }
}

/// How often one server may have been dialled so long after an outage has begun: at once, and then
/// after the shortest waits that the backoff allows.
pub(crate) fn most_attempts(since: Instant) -> u64 {
    let elapsed = since.elapsed();
    let later = [ms(200), ms(600)].iter().filter(|at| elapsed >= **at).count() as u64;
    let each_half_second = elapsed.saturating_sub(ms(600)).as_millis() / 500;
    1 + later + u64::try_from(each_half_second).expect("the time of a test")
}

/// `future`'s output, or a panic after the patience.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let timely = tokio::time::timeout(PATIENCE, future).await;
    timely.unwrap_or_else(|_| panic!("{what} did not come within {PATIENCE:?}"))
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(ms(5)).await;
    }
}

/// Acquires, within the patience.
pub(crate) async fn acquire(mutex: &Mutex) -> Guard {
    within("the lock", mutex.acquire()).await.unwrap_or_else(|e| panic!("{e}"))
}

/// Takes a lock that must be free.
pub(crate) async fn take(locks: &Locks, key: &str) -> Guard {
    let guard = within("an answer", locks.mutex(key).try_acquire()).await;
    guard.unwrap_or_else(|e| panic!("{e}")).unwrap_or_else(|| panic!("{key} is not free"))
}

/// Starts to wait in the background.
pub(crate) fn waiting(mutex: Mutex) -> tokio::task::JoinHandle<Guard> {
    tokio::spawn(async move { acquire(&mutex).await })
}

/// The guard of a waiter in the background.
pub(crate) async fn granted(waiter: tokio::task::JoinHandle<Guard>) -> Guard {
    within("the waiter's grant", waiter).await.unwrap_or_else(|e| panic!("{e}"))
}

/// Waits until so many stand in line.
pub(crate) async fn until_waiting(locks: &Locks, key: &str, count: usize) {
    let mutex = locks.mutex(key);
    until("waiters in line", async || {
        mutex.inspect().await.expect("a look").waiters.len() == count
    })
    .await;
}

/// Whether the server has this key.
pub(crate) fn exists(server: &Server, name: &str) -> bool {
    server.command(&["EXISTS", name]) == Reply::Int(1)
}

/// All of the server's keys with their ttl in milliseconds, -1 for none.
pub(crate) fn keys(server: &Server) -> Vec<(String, i64)> {
    let script = "local all = {} for _, name in ipairs(redis.call('KEYS', '*')) do \
                  all[#all + 1] = name all[#all + 1] = redis.call('PTTL', name) end return all";
    let answer = server.command(&["EVAL", script, "0"]);
    let name = |reply: &Reply| reply.text().expect("a name");
    answer.list().chunks(2).map(|pair| (name(&pair[0]), pair[1].int())).collect()
}

/// Nothing of ours is left but memories, and these end by themselves: the largest fence, the number
/// of each sender's last call, and what is known of keys that had waiters. The marker of a guarded
/// server does not.
pub(crate) fn nothing_but_memories(server: &Server) {
    for (name, ttl) in keys(server) {
        if name == "tenure:\u{1}known" {
            assert_eq!(ttl, -1, "the marker ends");
            continue;
        }
        let is_of_all = name == "tenure:\u{1}fence" || name.starts_with("tenure:\u{1}calls:");
        let is_of_one = (name.starts_with("tenure:{") || name.contains(":tenure:"))
            && (name.ends_with(":record") || name.ends_with(":buried"));
        assert!(is_of_all || is_of_one, "left: {name:?}");
        assert!(ttl > 0, "{name} stays for ever");
    }
}

/// The channels that somebody listens on.
pub(crate) fn channels(server: &Server) -> usize {
    server.command(&["PUBSUB", "CHANNELS"]).list().len()
}
