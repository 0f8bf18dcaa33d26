//! A server that forgets while its links live, and what its restart guard lets pass meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tenure::protocol::{Acquire, Blocker, FenceRule, Op, Queueing, Reply, Request};
use tenure::store::{Redis, RedisOptions, Store};
use tenure::{Claim, ErrorKind, Key, Label, Locks, LocksOptions, LostReason, Owner, runtime};
use tenure_testkit::{Flavour, Server};

use crate::world::{
    PATIENCE, acquire, connect, granted, ms, unhurried, until_waiting, waiting, within,
};

const MARKER: &str = "tenure:\u{1}known";
const HOUR: Duration = Duration::from_secs(3_600);

/// A handle of its own, whose restart guard lasts longer than any test. A marker that it sets is
/// old at once.
fn store(server: &Server, options: &RedisOptions) -> Arc<Redis> {
    let url = unhurried(&format!("{}?restart_guard=1h", server.url()));
    let runtime = runtime::machine().expect("threads");
    Arc::new(Redis::unopened(&url, &runtime, options).expect("a good URL"))
}

fn old() -> RedisOptions {
    RedisOptions { up_for: Some(2 * HOUR), ..RedisOptions::default() }
}

/// A handle that trusts the server, whatever others think of it.
async fn well_known(server: &Server) -> Arc<Redis> {
    server.command(&["DEL", MARKER]);
    let store = store(server, &old());
    let Reply::Inspected(seen) = ask_one(&store, "a", Op::Inspect).await else { panic!("a look") };
    assert_eq!(seen.guarded, None);
    store
}

fn over(store: Arc<Redis>) -> Locks {
    Locks::over(store, runtime::machine().expect("threads"), LocksOptions::default())
}

fn claim(number: u64, queued: bool) -> Acquire {
    let queue = Queueing { window: Duration::from_secs(60), stamp: 1, inbox: None };
    Acquire {
        owner: Owner::from_parts(&format!("owner {number}"), number),
        label: Label::new("label"),
        claim: Claim::EXCLUSIVE,
        ttl: Duration::from_secs(60),
        queue: queued.then_some(queue),
        fence: FenceRule::Mint,
        value: None,
    }
}

fn owner(number: u64) -> Owner {
    claim(number, false).owner
}

fn release(number: u64) -> Op {
    Op::Release { owner: owner(number), min_hold: Duration::ZERO, tombstone: None }
}

fn pass(from: u64, to: u64) -> Op {
    let Op::Release { owner, min_hold, tombstone } = release(from) else { unreachable!() };
    Op::Handoff { owner, min_hold, tombstone, to: claim(to, true), ahead: true }
}

fn step(key: &str, op: Op) -> Request {
    Request { key: Key::new(key).expect("a key"), op }
}

async fn ask(store: &Redis, steps: Vec<Request>) -> Vec<Reply> {
    store.call(steps).await.expect("the server answers")
}

async fn ask_one(store: &Redis, key: &str, op: Op) -> Reply {
    ask(store, vec![step(key, op)]).await.remove(0)
}

/// Whether nothing but the restart guard is said to be in the way.
fn is_guarded(reply: &Reply) -> bool {
    match reply {
        Reply::Busy { blocker: Some(Blocker { guarded: Some(guarded), .. }), .. }
        | Reply::Queued { blocker: Some(Blocker { guarded: Some(guarded), .. }), .. } => {
            guarded.left > HOUR / 2 && guarded.left <= HOUR
        }
        Reply::HandedOff { released, acquired } => {
            **released == Reply::Released && is_guarded(acquired)
        }
        _ => false,
    }
}

/// Every way to a new lease, by every script.
fn ways() -> Vec<(&'static str, Vec<Request>)> {
    let take = |key: &str, number| step(key, Op::Acquire(claim(number, false)));
    let with_fence = |key: &str, number, fence| {
        vec![step(key, Op::Acquire(Acquire { fence, ..claim(number, false) }))]
    };
    let fence = tenure::Fence::new(7);
    let proposed = FenceRule::Propose { fence, within: Duration::from_secs(60) };
    let transfer =
        Op::Transfer { from: owner(2), to: owner(25), label: Label::new("next"), ttl: ms(1_000) };
    vec![
        ("lone acquire", vec![take("free", 20)]),
        ("lone proposal", with_fence("proposed", 21, proposed)),
        ("top-up", with_fence("carried", 22, FenceRule::Carry(fence))),
        ("place in line", vec![step("queue", Op::Acquire(claim(23, true)))]),
        ("crowd", (0..12).map(|number| take(&format!("crowd {number}"), 30 + number)).collect()),
        ("steal", vec![step("held 1", Op::Steal(claim(24, false)))]),
        ("transfer", vec![step("held 2", transfer)]),
        ("lone pass", vec![step("held 3", pass(3, 26))]),
        ("passes", vec![step("held 4", pass(4, 27)), step("held 5", pass(5, 28))]),
    ]
}

#[tokio::test]
async fn a_server_without_its_marker_grants_nothing_new_in_that_same_step() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let mut store = well_known(&server).await;
        for number in 1..=6 {
            let key = format!("held {number}");
            let reply = ask_one(&store, &key, Op::Acquire(claim(number, false))).await;
            assert!(matches!(reply, Reply::Granted { .. }), "{reply:?}");
            let reply = ask_one(&store, &key, Op::Acquire(claim(90, true))).await;
            assert!(matches!(reply, Reply::Queued { .. }), "{reply:?}");
        }
        for (way, steps) in ways() {
            store = well_known(&server).await;
            server.command(&["DEL", MARKER]);
            let replies = ask(&store, steps).await;
            assert!(replies.iter().all(is_guarded), "{flavour}, {way}: {replies:?}");
        }
        store = well_known(&server).await;
        server.command(&["DEL", MARKER]);
        assert_eq!(ask_one(&store, "held 6", release(6)).await, Reply::Released, "{flavour}");
        for key in ["held 3", "held 4", "held 5", "held 6"] {
            let Reply::Inspected(seen) = ask_one(&store, key, Op::Inspect).await else { panic!() };
            assert!(seen.holders.is_empty(), "{key} was handed on: {seen:?}");
            assert!(seen.guarded.is_some_and(|g| g.known_for < HOUR), "{seen:?}");
        }
        // A lease takes fewer units, and not more.
        let resize = |fence, from, to| Op::Resize { owner: owner(2), fence, from, to };
        let Reply::Inspected(seen) = ask_one(&store, "held 2", Op::Inspect).await else { panic!() };
        let (fence, share) = (seen.holders[0].fence, Claim::new(1, 3).expect("a good claim"));
        let down = resize(fence, Claim::EXCLUSIVE, share);
        assert_eq!(ask_one(&store, "held 2", down).await, Reply::Resized { fence });
        let up = ask_one(&store, "held 2", resize(fence, share, Claim::EXCLUSIVE)).await;
        assert!(is_guarded(&up), "{flavour}: {up:?}");
        // Leases go on.
        let renew = Op::Renew { owner: owner(1), ttl: Duration::from_secs(90) };
        assert_eq!(ask_one(&store, "held 1", renew).await, Reply::Renewed);
        let again = ask_one(&store, "held 1", Op::Acquire(claim(1, false))).await;
        assert!(matches!(again, Reply::Granted { .. }), "its own: {again:?}");
        let withdraw = Op::Withdraw { owner: owner(1), tombstone: ms(60_000) };
        assert_eq!(ask_one(&store, "held 1", withdraw).await, Reply::Released);
        // Of a stranger's lease it is still told as of one.
        let busy = ask_one(&store, "held 2", Op::Acquire(claim(29, false))).await;
        let Reply::Busy { blocker: Some(blocker), .. } = &busy else { panic!("{busy:?}") };
        assert_eq!((blocker.label.as_str(), blocker.guarded), ("label", None));
    }
}

#[tokio::test]
async fn a_flushed_server_is_noticed_at_once_by_all_and_nobody_overlaps() {
    let clock = runtime::machine().expect("a clock");
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let url = format!("{}?restart_guard=2s", server.url());
        let (locks, rival) = (connect(&url).await, connect(&url).await);
        // First contact is guarded, too: it is waited for.
        let mutex = locks.mutex("key").with_ttl(ms(2_000)).with_renewal(tenure::Renewal::Off);
        let guard = acquire(&mutex).await;
        let other = locks.mutex("other").with_ttl(ms(2_000)).with_renewal(tenure::Renewal::Off);
        let other = acquire(&other).await;
        acquire(&rival.mutex("warm").with_ttl(ms(2_000))).await.release().await.expect("released");
        let deadline = guard.deadline();
        server.command(&["FLUSHALL"]);
        let error =
            rival.mutex("key").with_ttl(ms(2_000)).try_acquire().await.expect_err("guarded");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{flavour}: {error}");
        let next = acquire(&rival.mutex("key").with_ttl(ms(2_000))).await;
        let now = clock.now();
        assert!(now >= deadline, "{flavour}: overlap of {:?}", deadline.since(now));
        assert!(next.fence() > guard.fence());
        // The client that notices it has all its leases verified.
        drop(guard);
        let error = locks.mutex("third").with_ttl(ms(2_000)).try_acquire().await;
        drop(error);
        within("the loss", other.lost()).await;
    }
}

#[tokio::test]
async fn the_first_to_notice_verifies_what_it_holds() {
    let server = Server::redis().start();
    let locks = over(store(&server, &old()));
    let mutex = locks.mutex("held").with_ttl(HOUR).with_renewal(tenure::Renewal::Off);
    let guard = acquire(&mutex).await;
    server.command(&["FLUSHALL"]);
    assert!(locks.mutex("another").try_acquire().await.is_err());
    assert_eq!(within("the loss", guard.lost()).await, LostReason::Gone);
}

#[tokio::test]
async fn a_guarded_server_is_unavailable_and_not_busy() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&format!("{}?restart_guard=1h", server.url())).await;
        let mutex = locks.mutex("nightly");
        let seen = within("a look", mutex.inspect()).await.expect("an answer");
        let guarded = seen.guarded.expect("known for less than an hour");
        assert!(guarded.left <= HOUR && seen.holders.is_empty(), "{guarded:?}");
        for error in [
            mutex.try_acquire().await.expect_err("nobody holds it"),
            mutex.clone().with_wait(ms(2_000)).acquire().await.expect_err("too short a wait"),
            mutex.steal().await.expect_err("a steal, too"),
        ] {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{flavour}: {error}");
            let text = error.to_string();
            for words in ["nothing new is granted until", "UTC", "known for", "try again"] {
                assert!(text.contains(words), "{words} is missing in: {text}");
            }
            assert!(!text.contains("held by"), "{text}");
            assert!(!error.may_hold(), "{text}");
        }
        // A shorter guard ends.
        let locks = connect(&format!("{}?restart_guard=3s", server.url())).await;
        let mutex = locks.mutex("nightly").with_ttl(ms(3_000));
        let guard = acquire(&mutex).await;
        assert!(mutex.inspect().await.expect("a look").guarded.is_none());
        guard.release().await.expect("released");
    }
}

#[tokio::test]
async fn who_waits_in_line_when_a_server_forgets_is_granted_when_the_guard_ends() {
    let [redis, valkey] = Flavour::ALL.map(waits_for_the_guard);
    tokio::join!(redis, valkey);
}

async fn waits_for_the_guard(flavour: Flavour) {
    let server = Server::of(flavour).start();
    let url = format!("{}?restart_guard=5s", server.url());
    let locks = connect(&url).await;
    let guard = acquire(&locks.mutex("key").with_ttl(ms(5_000))).await;
    let waiter = waiting(locks.mutex("key").with_ttl(ms(5_000)));
    until_waiting(&locks, "key", 1).await;
    server.command(&["DEL", MARKER]);
    guard.release().await.expect("released");
    let seen = locks.mutex("key").inspect().await.expect("a look");
    assert!(seen.holders.is_empty() && seen.guarded.is_some(), "handed on: {seen:?}");
    granted(waiter).await.release().await.expect("released");
}

/// Where scripts read the time in place of the server's clock.
const CLOCK: &str = "test:clock";

/// The machine's clocks make no difference here: the server's is a number that the test sets.
#[tokio::test]
async fn a_server_whose_clock_is_set_forward_is_not_known_for_longer() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let set = |secs: u64| _ = server.command(&["SET", CLOCK, &format!("{secs}000000")]);
        let on_it = || RedisOptions { clock: Some(CLOCK.into()), ..RedisOptions::default() };
        set(1_700_000_000);
        let connected = store(&server, &on_it());
        assert!(is_guarded(&ask_one(&connected, "a", Op::Acquire(claim(1, false))).await));
        set(1_700_000_000 + 2 * 3_600);
        // By its own clock a second has passed, and it says so to those who come.
        let reply = ask_one(&connected, "a", Op::Acquire(claim(2, false))).await;
        assert!(is_guarded(&reply), "{flavour}, connected: {reply:?}");
        let newcomer = store(&server, &on_it());
        let reply = ask_one(&newcomer, "a", Op::Acquire(claim(3, false))).await;
        assert!(is_guarded(&reply), "{flavour}, newcomer: {reply:?}");
        // Nor for shorter than it is, nor for a time to come.
        set(1_600_000_000);
        let newcomer = store(&server, &on_it());
        let reply = ask_one(&newcomer, "a", Op::Acquire(claim(4, false))).await;
        assert!(is_guarded(&reply), "{flavour}, set back: {reply:?}");
        set(1_600_000_000 + 3_600);
        let newcomer = store(&server, &on_it());
        let reply = ask_one(&newcomer, "a", Op::Acquire(claim(5, false))).await;
        assert!(matches!(reply, Reply::Granted { .. }), "{flavour}, an hour later: {reply:?}");
    }
}

#[tokio::test]
async fn a_link_that_was_cut_costs_nobody_who_knows_the_server() {
    let server = Server::redis().start();
    let store = store(&server, &old());
    assert!(matches!(
        ask_one(&store, "a", Op::Acquire(claim(1, false))).await,
        Reply::Granted { .. }
    ));
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    let mut reply = store.call(vec![step("b", Op::Acquire(claim(2, false)))]).await;
    let started = std::time::Instant::now();
    while reply.is_err() && started.elapsed() < PATIENCE {
        reply = store.call(vec![step("b", Op::Acquire(claim(2, false)))]).await;
    }
    assert!(matches!(reply.expect("an answer")[..], [Reply::Granted { .. }]));
}

#[tokio::test]
async fn another_server_behind_the_same_address_is_not_trusted_at_once() {
    use tenure_testkit::Proxy;
    let servers = [Server::redis().start(), Server::valkey().start()];
    let [one, other] = &servers;
    // Both are well known to others.
    for server in &servers {
        let known = store(server, &old());
        assert!(matches!(
            ask_one(&known, "warm", Op::Acquire(claim(1, false))).await,
            Reply::Granted { .. }
        ));
    }
    let proxy = Proxy::to(one.address());
    let url = unhurried(&format!("{}?restart_guard=1h", proxy.url()));
    let runtime = runtime::machine().expect("threads");
    let behind = Redis::unopened(&url, &runtime, &RedisOptions::default()).expect("a good URL");
    let reply = ask_one(&behind, "a", Op::Acquire(claim(2, false))).await;
    assert!(matches!(reply, Reply::Granted { .. }), "known, by the server's clock: {reply:?}");
    proxy.lead_to(other.address());
    let mut reply = behind.call(vec![step("a", Op::Acquire(claim(3, false)))]).await;
    let started = std::time::Instant::now();
    while reply.is_err() && started.elapsed() < PATIENCE {
        reply = behind.call(vec![step("a", Op::Acquire(claim(3, false)))]).await;
    }
    let reply = reply.expect("an answer").remove(0);
    assert!(is_guarded(&reply), "{reply:?}");
}
