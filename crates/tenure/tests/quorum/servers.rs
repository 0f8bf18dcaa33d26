//! Real servers: one that is slow, and some that are stopped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tenure::store::{Quorum, QuorumOptions, Redis, RedisOptions, Store};
use tenure::{ErrorKind, Guard, Locks, LocksOptions, Released, Renewal};
use tenure_testkit::{Direction, Flavour, Proxy, Server};

use crate::nodes::{PATIENCE, machine, ms, until};

const SLOWNESS: Duration = Duration::from_secs(2);
/// Time that other work on the machine may add to a median.
const NOISE: Duration = Duration::from_millis(250);

fn servers(count: usize) -> Vec<Server> {
    let flavours = [Flavour::Redis, Flavour::Valkey];
    (0..count).map(|index| Server::of(flavours[index % 2]).start()).collect()
}

fn urls(servers: &[Server]) -> Vec<String> {
    servers.iter().map(Server::url).collect()
}

/// No server of a busy machine takes so long to answer; and none that is stopped is waited for
/// where a majority is well.
const PATIENT: Duration = Duration::from_secs(40);

/// A client of its own. Servers of tests are young, and are taken for old.
async fn locks(urls: &[String], node_timeout: Duration) -> Locks {
    let old = RedisOptions { up_for: Some(Duration::from_secs(86_400)), ..RedisOptions::default() };
    let node = |url: &String| {
        let url = format!("{url}?restart_guard=60s&call_timeout=40s");
        Arc::new(Redis::unopened(&url, &machine(), &old).expect("a good URL")) as Arc<dyn Store>
    };
    let options = QuorumOptions::default().with_max_ttl(Duration::from_secs(60));
    let options = options.with_node_timeout(node_timeout);
    let opened = Quorum::open(urls.iter().map(node).collect(), machine(), options).await;
    let quorum = Arc::new(opened.expect("a majority answers"));
    // The nodes' limit is what decides.
    let options = LocksOptions::default().with_store_timeout(2 * PATIENT);
    Locks::over(quorum, machine(), options)
}

/// How long it takes to get a lock that is free.
async fn acquired(locks: &Locks, key: &str) -> (Duration, Guard) {
    let started = Instant::now();
    let guard = locks.mutex(key).acquire().await.expect("a majority is well");
    (started.elapsed(), guard)
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test]
async fn one_node_of_five_that_is_slow_by_two_seconds_gates_nobody() {
    let servers = servers(5);
    let proxy = Proxy::to(servers[4].address());
    let slow = [&urls(&servers[..4])[..], &[proxy.url()]].concat();
    let (healthy, limping) = (locks(&urls(&servers), PATIENT).await, locks(&slow, PATIENT).await);
    proxy.set_delay(Direction::ToClient, SLOWNESS);
    let (mut well, mut ill) = (Vec::new(), Vec::new());
    for round in 0..101 {
        for (locks, times) in [(&healthy, &mut well), (&limping, &mut ill)] {
            let (took, guard) = acquired(locks, &format!("key {round}")).await;
            times.push(took);
            assert_eq!(guard.release().await.expect("an answer"), Released::Released);
        }
    }
    let (well, ill) = (middle(well), middle(ill));
    println!("p50 of acquire: {well:?} with five healthy nodes, {ill:?} with a slow one");
    assert!(ill < SLOWNESS / 4, "{ill:?}");
    assert!(ill <= well * 2 + NOISE, "{ill:?}, and {well:?} with healthy nodes");
}

/// The requests to the others would go out only after its answer.
#[tokio::test]
async fn no_caller_waits_in_place_for_one_node() {
    let servers = servers(3);
    let locks = locks(&urls(&servers), PATIENT).await;
    for _ in 0..50 {
        let (_, guard) = acquired(&locks, "key").await;
        assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    }
    for server in &servers {
        let clients = server.command(&["CLIENT", "LIST"]).text().expect("a list");
        assert!(clients.contains("name=tenure "), "{clients}");
        assert!(!clients.contains("name=tenure-direct "), "{clients}");
    }
}

#[tokio::test]
async fn two_of_five_stopped_servers_do_not_matter() {
    let servers = servers(5);
    let locks = locks(&urls(&servers), PATIENT).await;
    servers[..2].iter().for_each(Server::stop);
    let mutex = locks.mutex("key").with_renewal(Renewal::Every(ms(200)));
    let guard = mutex.acquire().await.expect("three of five");
    let deadline = guard.deadline();
    let renewed = tokio::time::timeout(PATIENCE, guard.renewed(deadline)).await;
    assert!(renewed.expect("it is renewed") > deadline);
    assert!(locks.mutex("key").try_acquire().await.expect("an answer").is_none());
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    servers[..2].iter().for_each(Server::cont);
    until_bare(&servers).await;
}

#[tokio::test]
async fn three_of_five_stopped_servers_are_an_error_and_nothing_is_left() {
    let servers = servers(5);
    // Long enough for the two that are well.
    let locks = locks(&urls(&servers), Duration::from_secs(4)).await;
    locks.mutex("warm").acquire().await.expect("all are well").release().await.expect("released");
    servers[..3].iter().for_each(Server::stop);
    let started = Instant::now();
    let error = locks.mutex("key").try_acquire().await.expect_err("two of five");
    assert!(started.elapsed() < PATIENT, "it took {:?}", started.elapsed());
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    for server in &servers {
        assert!(error.message().contains(&format!(":{}", server.port())), "{error}");
    }
    assert_eq!(error.message().matches("no answer within").count(), 3, "{error}");
    servers[..3].iter().for_each(Server::cont);
    until_bare(&servers).await;
    drop(acquired(&locks, "key").await);
}

/// Until no server has a lock of anybody.
async fn until_bare(servers: &[Server]) {
    for server in servers {
        let what = format!("nothing on port {}", server.port());
        until(&what, async || server.command(&["EXISTS", "key"]).int() == 0).await;
    }
}
