//! Grants that replicas acknowledge: none is told before enough of them have it, and of one that
//! too few have nothing is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tenure::protocol::{Count, Group, Op, Reply, Request, TickClock, Ticks};
use tenure::store::{Redis, Store, StoreError, StoreErrorClass};
use tenure::{Claim, Error, ErrorKind, Key, Owner, runtime};
use tenure_testkit::{Fate, Flavour, Proxy, Server, Which};

use crate::steps::{self, claim, granted as fence_of, heartbeat, owner, pass, release, step};
use crate::world::{
    acquire, connect, exists, granted, ms, nothing_but_memories, take, unhurried, until,
    until_waiting, waiting, within,
};

/// A server with replicas. Those that are stopped are killed with it.
pub(crate) struct Replicated {
    pub(crate) primary: Server,
    pub(crate) replicas: Vec<Server>,
}

/// Waits until a primary streams to so many replicas, which is up to a second after they say that
/// they are linked.
pub(crate) fn until_streaming(primary: &Server, count: usize) {
    let mut client = primary.client();
    let mut call = |words: &[&str]| client.call(words).unwrap_or_else(|e| panic!("{words:?}: {e}"));
    for words in [["SET", "warm", "1"].as_slice(), &["DEL", "warm"]] {
        assert!(!call(words).is_error(""));
    }
    let streaming = call(&["WAIT", &count.to_string(), "60000"]).int();
    assert_eq!(usize::try_from(streaming), Ok(count), "replicas that have both");
}

impl Replicated {
    pub(crate) fn start(flavour: Flavour, count: usize) -> Self {
        let primary = Server::of(flavour).start();
        let replicas = (0..count).map(|_| Server::of(flavour).with_primary(&primary).start());
        let replicas = replicas.collect();
        until_streaming(&primary, count);
        Self { primary, replicas }
    }

    /// A URL that waits for so many acknowledgements, for a short time.
    pub(crate) fn url(&self, ack: &str) -> String {
        format!("{}?ack={ack}&ack_timeout=100ms", self.primary.url())
    }

    /// A URL that waits so long that no busy machine comes near.
    pub(crate) fn patient_url(&self, ack: &str) -> String {
        format!("{}?ack={ack}&ack_timeout=15s&call_timeout=30s", self.primary.url())
    }

    /// Its replicas take nothing more from it.
    pub(crate) fn stop(&self) {
        self.replicas.iter().for_each(Server::stop);
    }

    pub(crate) fn cont(&self) {
        self.replicas.iter().for_each(Server::cont);
    }
}

async fn open(url: &str) -> Redis {
    Redis::open(&unhurried(url), runtime::machine().expect("threads"))
        .await
        .unwrap_or_else(|e| panic!("{e}"))
}

/// The failure of a step that was granted to nobody's knowledge.
#[track_caller]
fn unacknowledged(answer: Result<Reply, StoreError>, may_have_run: bool) -> String {
    let error = answer.expect_err("no replica can have it");
    assert_eq!((error.class, error.may_have_run), (StoreErrorClass::Transient, may_have_run));
    assert!(error.message.contains("0 of 1 replicas acknowledged within 100ms"), "{error}");
    error.message
}

/// As [`unacknowledged`], of a step of a store over this server.
async fn ask(store: &Redis, key: &str, op: Op) -> Result<Reply, StoreError> {
    within("an answer", steps::ask(store, key, op)).await
}

fn begin(number: u64) -> Op {
    let (count, retry_failed, clock) = (Count::Grid, false, TickClock::Store);
    let ticks = Ticks { every: Duration::from_secs(86_400), count, retry_failed, clock };
    Op::Begin { acquire: claim(number, 1), ticks }
}

#[track_caller]
fn check_told(error: &Error, acknowledged: usize) {
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let text = error.to_string();
    let count = format!("{acknowledged} of 2 replicas acknowledged within 100ms");
    for word in [&*count, "\"key\"", "redis://127.0.0.1", "INFO replication", "ack_timeout"] {
        assert!(text.contains(word), "{word} is missing in: {text}");
    }
}

#[tokio::test]
async fn with_too_few_replicas_nothing_is_granted_and_nothing_is_left() {
    for flavour in Flavour::ALL {
        for count in 0..3 {
            let servers = Replicated::start(flavour, count);
            if count == 2 {
                let locks = connect(&servers.patient_url("2")).await;
                let guard = take(&locks, "key").await;
                assert!(servers.replicas.iter().all(|replica| exists(replica, "key")));
                guard.release().await.expect("released");
                continue;
            }
            let locks = connect(&servers.url("2")).await;
            let answer = within("an answer", locks.mutex("key").try_acquire()).await;
            let error = answer.expect_err("too few replicas");
            check_told(&error, count);
            assert!(!error.may_hold(), "{error:?}");
            assert!(!exists(&servers.primary, "key"), "{flavour}, {count}: held by nobody");
            let record = || servers.primary.command(&["HGETALL", "tenure:{key}:record"]);
            let is_left = exists(&servers.primary, "tenure:{key}:record");
            assert!(!is_left, "{flavour}, {count}: a tombstone is left: {:?}", record());
            let rival = connect(&servers.primary.url()).await;
            take(&rival, "key").await.release().await.expect("released");
            nothing_but_memories(&servers.primary);
            within("the close", locks.close(ms(60_000))).await.expect("nothing is left to do");
        }
    }
}

#[tokio::test]
async fn one_of_two_replicas_is_stopped_and_one_is_enough_for_one() {
    for flavour in Flavour::ALL {
        let servers = Replicated::start(flavour, 2);
        let (one, two) = (connect(&servers.url("1")).await, connect(&servers.url("2")).await);
        servers.replicas[0].stop();
        let error = within("an answer", two.mutex("key").try_acquire()).await;
        check_told(&error.expect_err("one is stopped"), 1);
        let guard = acquire(&one.mutex("key")).await;
        guard.release().await.expect("released");
        // An acquire repeats its request for a while, and then says the same.
        let patient = two.mutex("key").with_wait(ms(3_000));
        check_told(&within("an end", patient.acquire()).await.expect_err("one is stopped"), 1);
        // Its last request may have been under way when its time was over.
        until("it is withdrawn", async || !exists(&servers.primary, "key")).await;
        servers.replicas[0].cont();
        until("both acknowledge", async || {
            two.mutex("key").try_acquire().await.is_ok_and(|guard| guard.is_some())
        })
        .await;
    }
}

#[tokio::test]
async fn a_majority_is_counted_and_needs_a_replica() {
    for flavour in Flavour::ALL {
        let alone = Server::of(flavour).start();
        let url = format!("{}?ack=majority", alone.url());
        let error = tenure::connect(&unhurried(&url)).await.expect_err("it is alone");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        for word in ["majority", "no replica", "INFO replication", "leave ack out"] {
            assert!(error.to_string().contains(word), "{word} is missing in: {error}");
        }
        let servers = Replicated::start(flavour, 2);
        let locks = connect(&servers.url("majority")).await;
        servers.replicas[0].stop();
        acquire(&locks.mutex("key")).await.release().await.expect("two of three have it");
        servers.replicas[1].stop();
        let error = within("an answer", locks.mutex("key").try_acquire()).await;
        let text = error.expect_err("one of three has it").to_string();
        assert!(text.contains("0 of 1 replicas acknowledged within 100ms"), "{text}");
    }
}

#[tokio::test]
async fn every_way_to_a_lease_leaves_none_that_is_not_acknowledged() {
    for flavour in Flavour::ALL {
        let servers = Replicated::start(flavour, 1);
        let other = open(&servers.primary.url()).await;
        for key in ["stolen", "shared"] {
            let share = if key == "shared" { 5 } else { 1 };
            fence_of(&ask(&other, key, Op::Acquire(claim(90, share))).await.expect("granted"));
        }
        let store = open(&servers.url("1")).await;
        servers.stop();
        let members = ["a", "b"].map(|key| (Key::new(key).expect("a key"), claim(1, 1)));
        let group = Request::acquire_all(Group::new(members).expect("a good group"));
        let all = within("an answer", store.call(vec![group])).await;
        unacknowledged(all.map(|mut replies| replies.remove(0)), false);
        for (key, op) in [
            ("plain", Op::Acquire(claim(2, 1))),
            ("stolen", Op::Steal(claim(3, 1))),
            ("share", Op::Acquire(claim(4, 5))),
            ("job", begin(5)),
        ] {
            unacknowledged(ask(&store, key, op).await, false);
            assert!(!exists(&servers.primary, key), "{flavour}: {key} is held");
        }
        // Nobody else is told of the failure.
        let busy = ask(&store, "shared", Op::Acquire(claim(6, 1))).await;
        assert!(matches!(busy, Ok(Reply::Busy { .. })), "{busy:?}");
        let both = vec![
            step("shared", Op::Acquire(claim(6, 1))),
            step("plain", Op::Acquire(claim(7, 1))),
            step("shared", Op::Inspect),
        ];
        let both = within("an answer", store.call(both)).await.expect("one of them failed");
        let [Reply::Busy { .. }, Reply::Unknown(why), Reply::Inspected(_)] = &both[..] else {
            panic!("{both:?}")
        };
        assert!(why.contains("0 of 1 replicas acknowledged"), "{why}");
        for key in ["a", "b", "plain", "stolen", "share"] {
            fence_of(&ask(&other, key, Op::Acquire(claim(8, 1))).await.expect("an answer"));
        }
        // The tick is as free as before.
        fence_of(&ask(&other, "job", begin(9)).await.expect("a run is due"));
    }
}

#[tokio::test]
async fn a_grant_from_the_queue_is_told_once_it_is_acknowledged() {
    for flavour in Flavour::ALL {
        let servers = Replicated::start(flavour, 1);
        let locks = connect(&servers.url("1")).await;
        let rival = connect(&servers.primary.url()).await;
        let guard = take(&rival, "key").await;
        let waiter = waiting(locks.mutex("key"));
        until_waiting(&rival, "key", 1).await;
        servers.stop();
        let before = locks.mutex("key").inspect().await.expect("a look").fence;
        guard.release().await.expect("released");
        // The server has granted it, and has pushed that, and the waiter has asked again.
        until("it asks again", async || {
            let seen = rival.mutex("key").inspect().await.expect("a look");
            seen.waiters.is_empty() && seen.fence > before
        })
        .await;
        let waits = || servers.primary.info("cmdstat_wait");
        let asked = waits();
        until("it asks once more", async || waits() != asked).await;
        assert!(!waiter.is_finished(), "{flavour}: no replica has the grant");
        servers.cont();
        let guard = granted(waiter).await;
        assert!(exists(&servers.replicas[0], "key"), "{flavour}: not acknowledged");
        guard.release().await.expect("released");
        // One that gives up leaves nothing.
        let guard = take(&rival, "key").await;
        let waiter = tokio::spawn({
            let mutex = locks.mutex("key").with_wait(ms(3_000));
            async move { mutex.acquire().await }
        });
        until_waiting(&rival, "key", 1).await;
        servers.stop();
        guard.release().await.expect("released");
        let error = within("an end", waiter).await.expect("no panic").expect_err("no replica");
        assert!(matches!(error.kind(), ErrorKind::Busy | ErrorKind::Unavailable), "{error}");
        within("the withdrawal", locks.close(ms(60_000))).await.expect("withdrawn");
        assert!(!exists(&servers.primary, "key"), "{flavour}: held by nobody");
    }
}

#[tokio::test]
async fn a_handoff_that_is_not_acknowledged_releases_and_lets_the_next_one_ask() {
    for flavour in Flavour::ALL {
        let servers = Replicated::start(flavour, 1);
        let store = open(&servers.url("1")).await;
        let patient = open(&servers.patient_url("1")).await;
        let held =
            fence_of(&ask(&patient, "key", Op::Acquire(claim(1, 1))).await.expect("granted"));
        servers.stop();
        let passed = ask(&store, "key", pass(1, heartbeat(2, 1, 1))).await.expect("an answer");
        let Reply::HandedOff { released, acquired } = passed else { panic!("{passed:?}") };
        assert_eq!(*released, Reply::Released);
        let Reply::Unknown(why) = *acquired else { panic!("{acquired:?}") };
        assert!(why.contains("0 of 1 replicas acknowledged"), "{why}");
        // It has not lost its turn, and a heartbeat is as little a grant as the handoff was.
        unacknowledged(ask(&store, "key", Op::Acquire(heartbeat(2, 1, 2))).await, true);
        servers.cont();
        let next = ask(&patient, "key", Op::Acquire(heartbeat(2, 1, 3))).await.expect("granted");
        assert!(fence_of(&next) > held);
        assert!(exists(&servers.replicas[0], "key"), "{flavour}: not acknowledged");
    }
}

#[tokio::test]
async fn an_upgrade_that_is_not_acknowledged_is_undone() {
    for flavour in Flavour::ALL {
        let servers = Replicated::start(flavour, 1);
        let locks = connect(&servers.url("1")).await;
        let rival = connect(&servers.primary.url()).await;
        let mut guard = within("a grant", locks.rwlock("key").read()).await.expect("granted");
        let fence = guard.fence();
        servers.stop();
        let error = within("an answer", guard.try_upgrade()).await.expect_err("no replica");
        let text = error.to_string();
        assert!(text.contains("0 of 1 replicas acknowledged"), "{text}");
        // It is a reader again, while no replica is there.
        let beside = within("a grant", rival.rwlock("key").with_wait(ms(20_000)).read()).await;
        beside.expect("beside a reader").release().await.expect("released");
        guard.check().expect("it is held");
        servers.cont();
        until("it is a writer", async || guard.try_upgrade().await.is_ok_and(|is_done| is_done))
            .await;
        assert!(guard.fence() > fence);
        within("a downgrade", guard.downgrade()).await.expect("done");
        guard.release().await.expect("released");
    }
}

#[tokio::test]
async fn what_is_held_is_renewed_and_released_while_no_replica_is_there() {
    let servers = Replicated::start(Flavour::Redis, 1);
    // Longer than the lease.
    let locks = connect(&servers.patient_url("1")).await;
    let rival = connect(&servers.primary.url()).await;
    let held = take(&rival, "busy").await;
    // A renewal falls due with a heartbeat: they come three times a second.
    let ttl = ms(9_000);
    let waiter = waiting(locks.mutex("busy").with_ttl(ms(1_000)));
    until_waiting(&rival, "busy", 1).await;
    let guard = acquire(&locks.mutex("key").with_ttl(ttl)).await;
    servers.stop();
    tokio::time::sleep(ttl + ms(500)).await;
    guard.check().expect("renewed while heartbeats wait for the replica");
    within("a release", guard.release()).await.expect("released");
    servers.cont();
    held.release().await.expect("released");
    granted(waiter).await.release().await.expect("released");
}

#[tokio::test]
async fn many_tasks_take_turns_and_each_grant_is_acknowledged() {
    const TASKS: u32 = 64;
    for flavour in Flavour::ALL {
        let servers = Replicated::start(flavour, 1);
        let handles =
            [connect(&servers.patient_url("1")).await, connect(&servers.patient_url("1")).await];
        let (inside, turns) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let tasks: Vec<_> = (0..TASKS)
            .map(|number| {
                let locks = handles[number as usize % 2].clone();
                let (inside, turns) = (Arc::clone(&inside), Arc::clone(&turns));
                tokio::spawn(async move {
                    for _ in 0..3 {
                        let own = acquire(&locks.mutex(format!("own {number}"))).await;
                        own.release().await.expect("released");
                        let guard = acquire(&locks.mutex("key")).await;
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
                        turns.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        guard.release().await.expect("released");
                    }
                })
            })
            .collect();
        for task in tasks {
            within("all turns", task).await.expect("no panic");
        }
        assert_eq!(turns.load(Ordering::SeqCst), 3 * TASKS);
        for locks in handles {
            within("the close", locks.close(ms(60_000))).await.expect("nothing is left");
        }
        nothing_but_memories(&servers.primary);
    }
}

#[tokio::test]
async fn grants_have_a_connection_of_their_own_and_all_else_has_not() {
    for flavour in Flavour::ALL {
        let servers = Replicated::start(flavour, 1);
        let locks = connect(&servers.patient_url("1")).await;
        let clients = servers.primary.command(&["CLIENT", "LIST"]).text().expect("a list");
        let has = |name: &str| clients.lines().any(|line| line.contains(&format!(" name={name} ")));
        assert!(has("tenure") && has("tenure-ack"), "{clients}");
        let waits = || {
            let stats = servers.primary.info("cmdstat_wait").expect("one at the login");
            stats.split(['=', ',']).nth(1).and_then(|calls| calls.parse::<u32>().ok())
        };
        let warm = acquire(&locks.mutex("warm")).await;
        let before = waits().expect("a number");
        let guard = acquire(&locks.mutex("key")).await;
        // A grant whose replica is late is tried again.
        let after = waits().expect("a number");
        assert!(after > before, "{flavour}: a grant waits");
        within("a renewal", guard.extend_to(ms(60_000))).await.expect("renewed");
        locks.mutex("key").inspect().await.expect("a look");
        warm.release().await.expect("released");
        guard.release().await.expect("released");
        assert_eq!(waits(), Some(after), "{flavour}: only grants wait");
    }
}

#[tokio::test]
async fn a_grant_whose_acknowledgement_is_lost_is_taken_back() {
    for flavour in Flavour::ALL {
        for fate in [Fate::CutBefore, Fate::CutAfter, Fate::LoseRequest, Fate::EatReply] {
            let servers = Replicated::start(flavour, 1);
            let proxy = Proxy::to(servers.primary.address());
            let url = format!("{}?ack=1&ack_timeout=100ms&call_timeout=1s", proxy.url());
            let locks = connect(&url).await;
            acquire(&locks.mutex("warm")).await.release().await.expect("released");
            let fault = proxy.on(Which::nth_named(1, "WAIT"), fate.clone());
            let error = within("an answer", locks.mutex("key").try_acquire()).await;
            let error = error.expect_err("no answer to WAIT");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert_eq!(fault.strikes(), 1);
            // A cut may have taken the answer to the script as well.
            let is_cut = matches!(fate, Fate::CutBefore | Fate::CutAfter);
            assert!(is_cut || !error.may_hold(), "{fate:?}: {error}");
            if error.may_hold() {
                until("it is withdrawn", async || !exists(&servers.primary, "key")).await;
            }
            assert!(!exists(&servers.primary, "key"), "{flavour}, {fate:?}: held by nobody");
            acquire(&locks.mutex("key")).await.release().await.expect("the next one has it");
        }
    }
}

#[tokio::test]
async fn a_caller_that_goes_while_replicas_are_waited_for_leaves_nothing() {
    for flavour in Flavour::ALL {
        let servers = Replicated::start(flavour, 1);
        let locks = connect(&servers.patient_url("1")).await;
        acquire(&locks.mutex("warm")).await.release().await.expect("released");
        servers.stop();
        let acquiring = tokio::spawn({
            let mutex = locks.mutex("key");
            async move { mutex.acquire().await.map(drop) }
        });
        until("it is granted", async || exists(&servers.primary, "key")).await;
        acquiring.abort();
        until("it is withdrawn", async || !exists(&servers.primary, "key")).await;
        servers.cont();
        within("the close", locks.close(ms(60_000))).await.expect("nothing is left");
        assert!(!exists(&servers.primary, "key"), "{flavour}: held by nobody");
    }
}

#[tokio::test]
async fn refusals_of_wait_are_told_with_advice() {
    for flavour in Flavour::ALL {
        let renamed = Server::of(flavour).with("rename-command WAIT \"\"").start();
        let error = tenure::connect(&unhurried(&format!("{}?ack=1", renamed.url()))).await;
        let error = error.expect_err("it knows no WAIT");
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        for word in ["knows no WAIT", "proxy", "leave ack out"] {
            assert!(error.to_string().contains(word), "{word} is missing in: {error}");
        }
        let servers = Replicated::start(flavour, 1);
        let url = format!("{}?ack=1", servers.replicas[0].url());
        let error = tenure::connect(&unhurried(&url)).await;
        let error = error.expect_err("a replica has none of its own");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        for word in ["replica of", "primary", "takes no writes"] {
            assert!(error.to_string().contains(word), "{word} is missing in: {error}");
        }
    }
}

/// The number that the connection for grants has at its server.
fn ack_link(server: &Server) -> String {
    let clients = server.command(&["CLIENT", "LIST"]).text().expect("a list");
    let line = clients.lines().find(|line| line.contains(" name=tenure-ack "));
    line.and_then(|line| line.split(' ').next()).expect("one connection").to_owned()
}

#[tokio::test]
async fn a_refused_wait_takes_the_grant_back_too() {
    let servers = Replicated::start(Flavour::Redis, 1);
    let proxy = Proxy::to(servers.primary.address());
    // No request is repeated: its WAIT would be the first.
    let locks = connect(&format!("{}?ack=1&ack_timeout=10s&call_timeout=20s", proxy.url())).await;
    acquire(&locks.mutex("warm")).await.release().await.expect("released");
    for (text, kind, word) in [
        ("NOPERM this user has no permissions to run 'wait'", ErrorKind::Refused, "ACL"),
        ("ERR unknown command 'WAIT'", ErrorKind::Config, "knows no WAIT"),
        ("ERR WAIT cannot be used with replica instances.", ErrorKind::Unavailable, "replica"),
    ] {
        let link = ack_link(&servers.primary);
        let fault = proxy.on(Which::nth_named(1, "WAIT"), Fate::Replace(text));
        let error = within("an answer", locks.mutex("key").try_acquire()).await;
        let error = error.expect_err("it was refused");
        assert_eq!((error.kind(), error.may_hold()), (kind, false), "{error}");
        assert!(error.to_string().contains(word), "{word} is missing in: {error}");
        assert_eq!(fault.strikes(), 1);
        assert!(!exists(&servers.primary, "key"), "held by nobody");
        acquire(&locks.mutex("key")).await.release().await.expect("the next one has it");
        // A replica's link is given up, as it would never be a primary's otherwise.
        let is_new = ack_link(&servers.primary) != link;
        assert_eq!(is_new, kind == ErrorKind::Unavailable, "{text}");
    }
}

#[tokio::test]
async fn a_restart_guard_and_acknowledgement_go_together() {
    for flavour in Flavour::ALL {
        let servers = Replicated::start(flavour, 1);
        let url = format!("{}&restart_guard=3s", servers.patient_url("1"));
        let locks = connect(&url).await;
        let mutex = locks.mutex("key").with_ttl(ms(3_000));
        acquire(&mutex).await.release().await.expect("released");
        servers.primary.command(&["DEL", "tenure:\u{1}known"]);
        let error = within("an answer", mutex.try_acquire()).await.expect_err("it has forgotten");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        acquire(&mutex).await.release().await.expect("released");
        assert!(exists(&servers.replicas[0], "tenure:\u{1}known"));
    }
}

#[tokio::test]
async fn shares_and_owners_are_as_without() {
    let servers = Replicated::start(Flavour::Redis, 1);
    let store = open(&servers.patient_url("1")).await;
    let share = |number| Op::Acquire(claim(number, 3));
    for number in 1..=3 {
        fence_of(&ask(&store, "key", share(number)).await.expect("granted"));
    }
    assert!(matches!(ask(&store, "key", share(4)).await, Ok(Reply::Busy { .. })));
    assert!(matches!(ask(&store, "key", release(2)).await, Ok(Reply::Released)));
    fence_of(&ask(&store, "key", share(4)).await.expect("granted"));
    let seen = steps::look(&store, "key").await;
    let mut holders: Vec<_> = seen.holders.iter().map(|holder| holder.owner.clone()).collect();
    holders.sort_by_key(Owner::attempt);
    assert_eq!(holders, [owner(1), owner(3), owner(4)]);
    assert_eq!(seen.holders[0].units, Claim::new(1, 3).expect("a claim").units());
}
