//! Locks with a plain value, beside programs that run `SET key token NX PX ttl` and scripts that
//! compare the token: these are excluded, and may extend, shorten and release.

mod faults;
mod refused;
mod steps;

use std::time::Duration;

use tenure::protocol::State;
use tenure::{ErrorKind, Guard, Locks, LostReason, Mutex, Released, Renewal};
use tenure_testkit::{Cluster, Fate, Flavour, Proxy, Reply, Sentinels, Server, Which};

use crate::world::{
    acquire, connect, exists, granted, ms, nothing_but_memories, until, until_waiting, waiting,
    within,
};

/// No lease of a test ends by itself before the test does.
const LONG: Duration = Duration::from_secs(60);

/// Releases as redis-py does, and everybody who has copied it.
const COMPARE_AND_DELETE: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then \
                                  return redis.call('del', KEYS[1]) end return 0";
/// Extends as redis-py does, with `replace_ttl`.
const COMPARE_AND_EXPIRE: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then \
                                  return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0";

/// Another program at a server, with its token.
struct Other<'a> {
    server: &'a Server,
    token: String,
}

impl Other<'_> {
    fn acquires(&self, key: &str, ttl: u32) -> bool {
        let set = ["SET", key, &self.token, "NX", "PX", &ttl.to_string()];
        self.server.command(&set) == Reply::Simple("OK".into())
    }

    fn extends(&self, key: &str, ttl: u32) -> bool {
        let eval = ["EVAL", COMPARE_AND_EXPIRE, "1", key, &self.token, &ttl.to_string()];
        self.server.command(&eval) == Reply::Int(1)
    }

    fn releases(&self, key: &str) -> bool {
        let eval = ["EVAL", COMPARE_AND_DELETE, "1", key, &self.token];
        self.server.command(&eval) == Reply::Int(1)
    }
}

fn another(server: &Server) -> Other<'_> {
    Other { server, token: "theirs".into() }
}

/// Another program that was told the value of this guard.
fn friend<'a>(server: &'a Server, guard: &Guard) -> Other<'a> {
    Other { server, token: guard.owner().value().into() }
}

fn plain(locks: &Locks, key: &str) -> Mutex {
    locks.mutex(key).with_plain_value().with_ttl(LONG)
}

fn value(server: &Server, key: &str) -> Option<String> {
    server.command(&["GET", key]).text()
}

/// The time that the key has left, in milliseconds.
fn left(server: &Server, key: &str) -> i64 {
    server.command(&["PTTL", key]).int()
}

async fn tried(mutex: &Mutex) -> Option<Guard> {
    within("an answer", mutex.try_acquire()).await.unwrap_or_else(|e| panic!("{e}"))
}

/// The key is the owner's value, and a lease that others can extend.
async fn is_plain(server: &Server, locks: &Locks, guard: &Guard) {
    let key = guard.key().as_str();
    assert_eq!(value(server, key).as_deref(), Some(guard.owner().value()), "{key}");
    assert!(friend(server, guard).extends(key, 1_000_000), "{key}");
    let seen = locks.mutex(key).inspect().await.expect("a look");
    assert_eq!(seen.holders[0].fence, guard.fence(), "{seen:?}");
    let remaining = seen.holders[0].remaining;
    assert!(remaining > Duration::from_secs(900), "its extension does not count: {seen:?}");
}

#[tokio::test]
async fn value_is_that_of_the_owner_by_whichever_way_it_came() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let (locks, rival) = (connect(&server.url()).await, connect(&server.url()).await);
        let mutex = plain(&locks, "job");
        let guard = acquire(&mutex).await;
        assert!((1..=60_000).contains(&left(&server, "job")));
        let listed = locks.list("", None, 100).await.expect("a page");
        assert_eq!((listed.len(), &listed[0].1.state), (1, &State::Held), "{listed:?}");
        is_plain(&server, &locks, &guard).await;
        within("a renewal", guard.extend_to(LONG)).await.expect("renewed");
        is_plain(&server, &locks, &guard).await;
        // From the queue, also of a holder in the other form.
        let waiter = waiting(plain(&rival, "job"));
        until_waiting(&locks, "job", 1).await;
        is_plain(&server, &locks, &guard).await;
        guard.release().await.expect("released");
        let guard = granted(waiter).await;
        is_plain(&server, &locks, &guard).await;
        guard.release().await.expect("released");
        let other_form = acquire(&locks.mutex("job")).await;
        let waiter = waiting(plain(&rival, "job"));
        until_waiting(&locks, "job", 1).await;
        other_form.release().await.expect("released");
        let guard = granted(waiter).await;
        is_plain(&server, &locks, &guard).await;
        // From task to task of this process.
        let waiter = waiting(plain(&rival, "job"));
        until_waiting(&locks, "job", 1).await;
        guard.release().await.expect("released");
        let guard = granted(waiter).await;
        is_plain(&server, &locks, &guard).await;
        let ticket = guard.hand_over(LONG).await.expect("handed over");
        let guard = within("an answer", locks.adopt(&ticket)).await.expect("adopted");
        is_plain(&server, &locks, &guard).await;
        let guard = within("an answer", mutex.steal()).await.expect("stolen");
        is_plain(&server, &locks, &guard).await;
        assert_eq!(rival.mutex("job").force_release().await.expect("forced"), 1);
        assert!(!exists(&server, "job"));
        let guard = acquire(&mutex.clone().with_owner("a token of ours")).await;
        assert_eq!(value(&server, "job").as_deref(), Some("a token of ours"));
        guard.release().await.expect("released");
        let blocking = tenure::blocking::Mutex::from(locks.mutex("blocking")).with_plain_value();
        let guard = blocking.acquire().expect("free");
        assert_eq!(value(&server, "blocking").as_deref(), Some(guard.owner().value()));
        guard.release().expect("released");
        nothing_but_memories(&server);
    }
}

#[tokio::test]
async fn programs_with_a_string_of_their_own_and_tenure_exclude_each_other() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let (mutex, theirs) = (plain(&locks, "job"), another(&server));
        let guard = acquire(&mutex).await;
        assert!(!theirs.acquires("job", 60_000), "{flavour}: both hold it");
        assert!(!theirs.extends("job", 1) && !theirs.releases("job"), "{flavour}");
        // The two forms exclude each other.
        assert!(tried(&locks.mutex("job")).await.is_none());
        assert_eq!(guard.release().await.expect("an answer"), Released::Released);
        assert!(theirs.acquires("job", 60_000), "{flavour}: it was released");
        assert!(tried(&mutex).await.is_none());
        let seen = mutex.inspect().await.expect("a look");
        assert!(matches!(seen.state, State::Foreign(_)), "{seen:?}");
        let busy = mutex.clone().with_wait(ms(3_000)).acquire().await.expect_err("they hold it");
        assert_eq!(busy.kind(), ErrorKind::Busy, "{busy}");
        let text = busy.to_string();
        let (_, lasts) = text.split_once("not Tenure, whose key lasts ").expect(&text);
        let lasts = lasts.split_once(" s more").and_then(|(lasts, _)| lasts.parse().ok());
        assert!(lasts.is_some_and(|lasts: u64| (20..=60).contains(&lasts)), "{text}");
        let waiter = waiting(mutex.clone());
        until("a waiter", async || !mutex.inspect().await.expect("a look").waiters.is_empty())
            .await;
        assert!(theirs.releases("job"), "{flavour}: it was touched");
        let guard = granted(waiter).await;
        is_plain(&server, &locks, &guard).await;
        guard.release().await.expect("released");
        let other_form = acquire(&locks.mutex("job")).await;
        assert!(tried(&mutex).await.is_none());
        other_form.release().await.expect("released");
    }
}

#[tokio::test]
async fn release_by_another_program_ends_the_lease_and_its_successor_is_left_alone() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let mutex = plain(&locks, "job").with_renewal(Renewal::Every(ms(200)));
        let guard = acquire(&mutex).await;
        assert!(friend(&server, &guard).releases("job"));
        assert_eq!(within("the loss", guard.lost()).await, LostReason::Gone);
        assert!(!exists(&server, "job"), "{flavour}: a renewal made it anew");
        drop(guard.release().await);
        let guard = acquire(&mutex).await;
        assert!(friend(&server, &guard).releases("job"));
        assert!(another(&server).acquires("job", 600_000));
        assert_eq!(within("the loss", guard.lost()).await, LostReason::Gone);
        drop(guard.release().await);
        // Before the loss is known.
        let fence = mutex.inspect().await.expect("a look").fence;
        assert!(another(&server).releases("job"));
        let guard = acquire(&mutex.clone().with_ttl(LONG)).await;
        assert!(fence < Some(guard.fence()), "{flavour}");
        assert!(friend(&server, &guard).releases("job"));
        assert!(another(&server).acquires("job", 600_000));
        assert_eq!(guard.release().await.expect("an answer"), Released::Others);
        assert_eq!(value(&server, "job").as_deref(), Some("theirs"), "{flavour}");
        assert!(left(&server, "job") > 500_000, "{flavour}: it was touched");
    }
}

#[tokio::test]
async fn extension_by_another_program_counts_and_no_renewal_shortens_it() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let (locks, rival) = (connect(&server.url()).await, connect(&server.url()).await);
        let brief = plain(&locks, "job").with_ttl(ms(5_000));
        let guard = acquire(&brief.with_renewal(Renewal::Off)).await;
        let friend_of = friend(&server, &guard);
        assert!(friend_of.extends("job", 600_000), "{flavour}: it was lost before");
        assert_eq!(within("its deadline", guard.lost()).await, LostReason::Expired);
        let mutex = plain(&rival, "job");
        let waiter = waiting(mutex.clone());
        until_waiting(&rival, "job", 1).await;
        assert!(tried(&mutex).await.is_none(), "{flavour}: handed on before its time");
        // As others extend without a script.
        server.command(&["SET", "job", &friend_of.token, "XX", "PX", "700000"]);
        let seen = mutex.inspect().await.expect("a look");
        assert!(seen.holders[0].remaining > ms(650_000), "{seen:?}");
        assert!(friend_of.releases("job"));
        let guard = granted(waiter).await;
        guard.release().await.expect("released");

        let often = plain(&locks, "job").with_renewal(Renewal::Every(ms(200)));
        let guard = acquire(&often).await;
        assert!(friend(&server, &guard).extends("job", 600_000));
        for _ in 0..3 {
            within("a renewal", guard.renewed(guard.deadline())).await;
        }
        assert!(left(&server, "job") > 500_000, "{flavour}: a renewal shortened it");
        guard.release().await.expect("released");
        assert!(!exists(&server, "job"));
    }
}

#[tokio::test]
async fn key_that_another_program_shortens_is_renewed_and_one_without_an_end_is_lost() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let mutex = plain(&locks, "job").with_renewal(Renewal::Off);
        let guard = acquire(&mutex).await;
        assert!(friend(&server, &guard).extends("job", 20_000));
        let seen = mutex.inspect().await.expect("a look");
        assert!(seen.holders[0].remaining <= ms(20_000), "{seen:?}");
        // Shorter than what the lease had before that.
        within("an answer", guard.extend_to(ms(40_000))).await.expect("extended");
        assert!(left(&server, "job") > 30_000, "{flavour}: it was told so");
        assert!(friend(&server, &guard).extends("job", 1));
        until("its end", async || !exists(&server, "job")).await;
        let next = acquire(&mutex).await;
        assert!(next.fence() > guard.fence(), "{flavour}");
        let lost = within("an answer", guard.extend_to(LONG)).await.expect_err("lost");
        assert_eq!(lost.kind(), ErrorKind::Lost, "{lost}");
        server.command(&["PERSIST", "job"]);
        let refused = within("an answer", mutex.try_acquire()).await.expect_err("no lock");
        assert_eq!(refused.kind(), ErrorKind::Mismatch, "{refused}");
        let lost = within("an answer", next.extend_to(LONG)).await.expect_err("lost");
        assert_eq!(lost.kind(), ErrorKind::Lost, "{lost}");
        assert_eq!(left(&server, "job"), -1, "{flavour}: it was touched");
    }
}

#[tokio::test]
async fn lease_that_is_handed_over_is_the_other_programs_to_extend_and_release() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let guard = acquire(&plain(&locks, "job").with_ttl(ms(5_000))).await;
        let (friend, fence) = (friend(&server, &guard), guard.fence());
        let ticket = guard.hand_over(LONG).await.expect("handed over");
        assert!(friend.extends("job", 600_000));
        assert!(tried(&plain(&locks, "job")).await.is_none());
        assert!(friend.releases("job"), "{flavour}");
        let late = within("an answer", locks.adopt(&ticket)).await.expect_err("it was released");
        assert_eq!(late.kind(), ErrorKind::Lost, "{late}");
        let next = acquire(&plain(&locks, "job")).await;
        assert!(next.fence() > fence);
        next.release().await.expect("released");
    }
}

#[tokio::test]
async fn rest_of_a_minimum_hold_is_a_string_that_other_programs_can_delete() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let guard = acquire(&plain(&locks, "job").with_min_hold(ms(30_000))).await;
        let friend = friend(&server, &guard);
        guard.release().await.expect("released");
        assert!((1..=30_000).contains(&left(&server, "job")), "{flavour}");
        assert!(tried(&plain(&locks, "job")).await.is_none(), "{flavour}");
        assert!(friend.extends("job", 60_000) && friend.releases("job"), "{flavour}");
        acquire(&plain(&locks, "job")).await.release().await.expect("released");
    }
}

/// The old owner's record must not make a lease of it.
#[tokio::test]
async fn string_with_the_value_of_a_released_lease_is_nobodys_to_take() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let mutex = plain(&locks, "job").with_owner("theirs");
        acquire(&mutex).await.release().await.expect("released");
        assert!(another(&server).acquires("job", 60_000));
        assert!(tried(&mutex).await.is_none(), "{flavour}");
        let seen = mutex.inspect().await.expect("a look");
        assert!(matches!(seen.state, State::Foreign(_)), "{seen:?}");
        let released = locks.release_owner("job", "theirs").await.expect("an answer");
        assert_ne!(released, Released::Released);
        assert!(another(&server).releases("job"), "{flavour}: it was touched");
    }
}

#[tokio::test]
async fn lease_ends_with_its_ttl_and_a_late_release_does_not_free_the_next() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let mutex = plain(&locks, "job").with_ttl(ms(2_000)).with_renewal(Renewal::Off);
        let guard = acquire(&mutex).await;
        let next = acquire(&plain(&locks, "job")).await;
        assert!(next.fence() > guard.fence());
        assert!(!guard.held());
        drop(guard.release().await);
        assert_eq!(value(&server, "job").as_deref(), Some(next.owner().value()), "{flavour}");
        next.release().await.expect("released");
        let often = plain(&locks, "job").with_renewal(Renewal::Every(ms(200)));
        let guard = acquire(&often).await;
        for _ in 0..3 {
            assert!(friend(&server, &guard).extends("job", 20_000));
            // The first may have been under way.
            for _ in 0..2 {
                within("a renewal", guard.renewed(guard.deadline())).await;
            }
            assert!(left(&server, "job") > 20_000, "{flavour}: it was not renewed");
        }
        guard.check().expect("held");
        guard.release().await.expect("released");
    }
}

#[tokio::test]
async fn fences_grow_over_holders_of_both_forms_and_of_other_programs() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let mut last = None;
        let mut grows = |guard: &Guard| {
            assert!(last < Some(guard.fence()), "{flavour}: {:?} after {last:?}", guard.fence());
            last = Some(guard.fence());
        };
        for round in 0..12 {
            let guard = acquire(&plain(&locks, "job")).await;
            grows(&guard);
            if round % 3 == 0 {
                // A queue makes another form of the record.
                let queued = plain(&locks, "job").with_wait(ms(1)).acquire().await;
                assert!(queued.is_err(), "it is held");
            }
            guard.release().await.expect("released");
            // The place of the one that gave up may have had a turn.
            until("their turn", async || another(&server).acquires("job", 60_000)).await;
            assert!(another(&server).releases("job"));
            if round % 2 == 0 {
                let guard = acquire(&locks.mutex("job")).await;
                grows(&guard);
                guard.release().await.expect("released");
            }
        }
    }
}

#[tokio::test]
async fn each_step_is_one_trip_to_the_server() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let proxy = Proxy::to(server.address());
        let locks = connect(&proxy.url()).await;
        let mutex = plain(&locks, "job");
        acquire(&mutex).await.release().await.expect("released");
        let trips = proxy.on(Which::every_named("EVALSHA"), Fate::Copy);
        let guard = acquire(&mutex).await;
        assert!(tried(&mutex).await.is_none());
        assert!(tried(&locks.mutex("job")).await.is_none());
        within("an answer", guard.extend_to(LONG)).await.expect("extended");
        guard.release().await.expect("released");
        assert_eq!(trips.strikes(), 5, "{flavour}");
    }
}

/// A life beside another program, where `server` has the key.
async fn lives(locks: &Locks, server: &Server, key: &str) {
    let guard = acquire(&plain(locks, key)).await;
    is_plain(server, locks, &guard).await;
    assert!(!another(server).acquires(key, 60_000));
    let waiter = waiting(plain(locks, key));
    until_waiting(locks, key, 1).await;
    assert!(friend(server, &guard).releases(key));
    let next = granted(waiter).await;
    assert!(next.fence() > guard.fence());
    is_plain(server, locks, &next).await;
    let last = next.fence();
    next.release().await.expect("released");
    assert!(another(server).acquires(key, 60_000));
    assert!(tried(&plain(locks, key)).await.is_none());
    assert!(another(server).releases(key));
    let guard = acquire(&plain(locks, key)).await;
    assert!(guard.fence() > last);
    guard.release().await.expect("released");
}

#[tokio::test]
async fn clusters_and_servers_behind_sentinels_carry_it() {
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour).with_masters(3).start();
        let locks = connect(&cluster.url()).await;
        for key in ["a", "b", "c", "{a}:1", "a}b"] {
            lives(&locks, cluster.master_for(key), key).await;
        }
        let group = Sentinels::of(flavour).start();
        let locks = connect(&group.url()).await;
        lives(&locks, group.primary(), "job").await;
    }
}
