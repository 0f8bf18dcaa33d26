//! A refusal of the server reaches the caller that asked, and nobody whose steps travel with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tenure::protocol::{Op, Reply};
use tenure::store::Store;
use tenure::{ErrorKind, Locks, Renewal};
use tenure_testkit::{Flavour, Server, ServerOptions};

use crate::steps::{TTL, claim, open, owner, step};
use crate::world::{acquire, connect, granted, ms, take, unhurried, until, waiting, within};

/// The rights that SAFETY.md names, to keys that begin with `ok:`.
fn rules() -> String {
    crate::rights::documented().replace("jobs:", "ok:")
}

fn limited(flavour: Flavour, rules: &str) -> ServerOptions {
    Server::of(flavour).with_user("tenure", rules)
}

fn url(server: &Server) -> String {
    format!("redis://tenure:PASSWORD@{}", server.address())
}

#[tokio::test]
async fn who_asks_for_keys_beyond_the_rights_costs_nobody_a_lease() {
    for flavour in Flavour::ALL {
        let server = limited(flavour, &rules()).start();
        let locks = connect(&url(&server)).await;
        let mut held = Vec::new();
        for number in 0..10 {
            let mutex = locks.mutex(format!("ok:{number}")).with_ttl(ms(6000));
            held.push(acquire(&mutex.with_renewal(Renewal::Every(ms(500)))).await);
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let loops = (0..16).map(|_| {
            let (locks, is_over) = (locks.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let error = locks.mutex("bad:x").try_acquire().await.expect_err("no right");
                    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
                }
            })
        });
        let loops: Vec<_> = loops.collect();
        for _ in 0..14 {
            within("a renewal", held[0].renewed(held[0].deadline())).await;
            held.iter().for_each(|guard| guard.check().expect("it is renewed"));
        }
        is_over.store(true, Ordering::Relaxed);
        for task in loops {
            task.await.expect("only refused");
        }
        for guard in held {
            guard.check().expect("it is held");
            guard.release().await.expect("released");
        }
    }
}

#[tokio::test]
async fn the_innocent_among_the_refused_get_what_they_ask_for() {
    for flavour in Flavour::ALL {
        let server = limited(flavour, &rules()).start();
        let locks = connect(&url(&server)).await;
        the_innocent_among_the_refused(&locks, "ok:", "bad:").await;
    }
}

/// Tasks that take keys to which this user has a right go on while others ask for keys to which it
/// has none.
pub(crate) async fn the_innocent_among_the_refused(locks: &Locks, good: &str, bad: &str) {
    let cycles = Arc::new(AtomicUsize::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let good = (0..40).map(|number| {
        let (locks, cycles) = (locks.clone(), Arc::clone(&cycles));
        let (is_over, key) = (Arc::clone(&is_over), format!("{good}{number}"));
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let guard = take(&locks, &key).await;
                let told = guard.release().await.expect("released");
                assert_eq!(told, tenure::Released::Released);
                cycles.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let good: Vec<_> = good.collect();
    let bad = (0..420).map(|number| {
        let (locks, key) = (locks.clone(), format!("{bad}{number}"));
        tokio::spawn(async move {
            let error = locks.mutex(key.as_str()).try_acquire().await.expect_err("no right");
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            assert!(error.to_string().contains(&key), "{error}");
        })
    });
    for task in bad.collect::<Vec<_>>() {
        task.await.expect("refused");
    }
    let before = cycles.load(Ordering::Relaxed);
    until("they go on", async || cycles.load(Ordering::Relaxed) > before + 40).await;
    is_over.store(true, Ordering::Relaxed);
    for task in good {
        task.await.expect("no innocent call failed");
    }
}

/// How many script calls the server was sent.
fn script_calls(server: &Server) -> i64 {
    let stats = server.command(&["INFO", "commandstats"]).text().expect("statistics");
    let mut lines = stats.lines();
    let Some(line) = lines.find(|line| line.starts_with("cmdstat_evalsha:")) else { return 0 };
    let number = |name: &str| {
        let (_, rest) = line.split_once(name).expect("a number");
        rest.split(',').next().expect("a number").trim().parse::<i64>().expect("a number")
    };
    number("calls=") + number("rejected_calls=")
}

#[tokio::test]
async fn a_key_that_is_refused_again_and_again_is_soon_asked_for_by_itself() {
    const ROUNDS: u64 = 50;
    let server = limited(Flavour::Redis, &rules()).start();
    let runtime = tenure::runtime::machine().expect("the machine's runtime starts");
    let store = tenure::store::Redis::open(&unhurried(&url(&server)), runtime)
        .await
        .expect("the server answers");
    let before = script_calls(&server);
    for round in 0..ROUNDS {
        let good = |number: u64| {
            let claim = claim(100 * round + number, 1);
            step(&format!("ok:{round}:{number}"), Op::Acquire(claim))
        };
        let mut steps: Vec<_> = (0..20).map(good).collect();
        if round > 0 {
            // The grant of the round before is renewed beside it.
            let (owner, key) = (owner(100 * (round - 1) + 1), format!("ok:{}:1", round - 1));
            steps[0] = step(&key, Op::Renew { owner, ttl: TTL });
        }
        steps.insert(7, step("bad:x", Op::Acquire(claim(1, 1))));
        let mut replies = store.call(steps).await.expect("the good ones are answered");
        let refused = replies.remove(7);
        assert!(matches!(&refused, Reply::Refused(why) if why.contains("ACL")), "{refused:?}");
        let is_done = |reply: &Reply| matches!(reply, Reply::Granted { .. } | Reply::Renewed);
        assert!(replies.iter().all(is_done), "{replies:?}");
    }
    let calls = script_calls(&server) - before;
    // Once one by one, and from then on two for each. After ten seconds it is tried again.
    assert!(calls < 3 * ROUNDS.cast_signed(), "{calls} calls for {ROUNDS} rounds");
}

#[tokio::test]
async fn who_lacks_the_right_to_a_command_is_refused_where_it_is_needed() {
    for flavour in Flavour::ALL {
        let server = limited(flavour, &rules().replace("+zadd ", "")).start();
        let locks = connect(&url(&server)).await;
        let held = take(&locks, "ok:a").await;
        let error = within("an answer", locks.mutex("ok:a").acquire())
            .await
            .expect_err("it cannot stand in line");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("right"), "{error}");
        held.check().expect("held");
        held.release().await.expect("released");
    }
}

#[tokio::test]
async fn who_stands_in_line_stays_there_while_memory_is_full() {
    const KEYS: usize = 10;
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let (locks, holder) = (connect(&server.url()).await, connect(&server.url()).await);
        let (mut held, mut waiters) = (Vec::new(), Vec::new());
        for number in 0..KEYS {
            let key = format!("key {number}");
            held.push(take(&holder, &key).await);
            // One stands in line at the server, and the other, which comes later, behind it in this
            // process.
            let mutex = locks.mutex(key.as_str()).with_ttl(ms(3000));
            waiters.push(waiting(mutex.clone()));
            crate::world::until_waiting(&holder, &key, 1).await;
            waiters.push(waiting(mutex));
        }
        server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        server.command(&["CONFIG", "SET", "maxmemory", "1"]);
        // Each leaves a withdrawal behind, for which there is no memory.
        for number in 0..300 {
            let mutex = locks.mutex(format!("dropped {}", number % 7));
            tokio::select! {
                biased;
                _ = mutex.acquire() => {}
                () = tokio::task::yield_now() => {}
            }
        }
        // One lock is handed on meanwhile: whoever stood behind gets no place yet.
        held.remove(0).release().await.expect("released");
        let first = tokio::select! {
            one = &mut waiters[0] => one,
            other = tokio::time::sleep(crate::world::PATIENCE) => panic!("not granted: {other:?}"),
        };
        let first = first.expect("granted");
        waiters.remove(0);
        let lasted = async || {
            let seen = holder.mutex("key 1").inspect().await.expect("a look");
            seen.waiters.first().is_some_and(|place| place.waiting > ms(7500))
        };
        until("a place kept for more than twice its ttl", lasted).await;
        // On a busy machine the short lease can have ended that the first one waits behind.
        for waiter in &waiters[1..] {
            assert!(!waiter.is_finished(), "it was told something else than to wait");
        }
        server.command(&["CONFIG", "SET", "maxmemory", "0"]);
        first.release().await.expect("released");
        for guard in held {
            guard.release().await.expect("released");
        }
        for waiter in waiters {
            granted(waiter).await.release().await.expect("released");
        }
    }
}

#[tokio::test]
async fn a_waiter_is_told_at_once_that_memory_is_full_if_it_never_stood_in_line() {
    let server = Server::redis().start();
    let locks = connect(&server.url()).await;
    let held = take(&locks, "key").await;
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = within("an answer", locks.mutex("key").acquire()).await.expect_err("no memory");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("maxmemory"), "{error}");
    held.release().await.expect("released");
}

/// Another program has put a value beside the lock.
#[tokio::test]
async fn a_waiter_on_a_damaged_key_is_told_what_is_wrong() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let held = take(&locks, "key").await;
        server.command(&["SET", "tenure:{key}:queue", "of somebody else"]);
        let error = within("an answer", locks.mutex("key").acquire()).await.expect_err("damaged");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        for word in ["WRONGTYPE", ":queue", "delete it"] {
            assert!(error.to_string().contains(word), "{word} is missing in: {error}");
        }
        let store = open(&server).await;
        let look = store.call(vec![step("other", Op::Inspect)]).await;
        assert!(look.is_ok(), "{look:?}");
        held.release().await.expect("released");
    }
}
