//! Several keys in one step: one call, no part of it ever seen by others, and nothing written where
//! it cannot be done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tenure::protocol::{Acquire, Group, Op, Reply, Request};
use tenure::store::{Redis, Store};
use tenure::{Key, Released};
use tenure_testkit::{Flavour, Server};

use crate::pressure::{fill, raise_memory};
use crate::steps::{answer, claim, granted, heartbeat, look, open, owner, release, step};
use crate::world::{connect, nothing_but_memories};

fn group(claims: impl IntoIterator<Item = (&'static str, Acquire)>) -> Request {
    let members = claims.into_iter().map(|(key, claim)| (Key::new(key).expect("a key"), claim));
    Request::acquire_all(Group::new(members).expect("a good group"))
}

async fn ask(store: &Redis, step: Request) -> Reply {
    store.call(vec![step]).await.expect("an answer").remove(0)
}

/// The first key that cannot be had, and why.
fn blocked(reply: Reply) -> (String, Reply) {
    let Reply::Blocked { key, by } = reply else { panic!("{reply:?}") };
    (key.as_str().to_owned(), *by)
}

/// Number of calls of this command.
fn calls(server: &Server, command: &str) -> u64 {
    let stats = server.info(&format!("cmdstat_{command}")).unwrap_or_default();
    stats.split(['=', ',']).nth(1).unwrap_or("0").parse().expect("a number")
}

#[tokio::test]
async fn free_keys_are_one_call_and_leave_no_record() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let all = locks.all(["a", "b", "c"]);
        all.acquire().await.expect("granted").release().await.expect("released");
        let before = calls(&server, "evalsha");
        let guard = all.acquire().await.expect("granted");
        assert_eq!(calls(&server, "evalsha") - before, 1);
        assert_eq!(guard.release().await.expect("released"), Released::Released);
        let before = calls(&server, "evalsha");
        let guard = all.try_acquire().await.expect("an answer").expect("free");
        assert_eq!(calls(&server, "evalsha") - before, 1);
        guard.release().await.expect("released");
        assert!(server.command(&["KEYS", "*record*"]).list().is_empty());
        nothing_but_memories(&server);
    }
}

#[tokio::test]
async fn a_group_keeps_its_place_among_the_steps_of_a_call() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        granted(&answer(&store, "a", Op::Acquire(claim(1, 1))).await);
        granted(&answer(&store, "b", Op::Acquire(claim(2, 1))).await);
        let both = |number| group([("a", claim(number, 1)), ("b", claim(number, 1))]);
        let steps = vec![
            step("b", release(2)),
            both(3),
            step("a", release(1)),
            both(4),
            step("b", release(4)),
            step("b", Op::Acquire(heartbeat(5, 1, 1))),
        ];
        let mut replies = store.call(steps).await.expect("an answer");
        granted(&replies.pop().expect("the last"));
        assert_eq!(blocked(replies.remove(1)).0, "a");
        assert!(matches!(replies.remove(2), Reply::AllGranted { .. }), "{replies:?}");
        assert_eq!(replies, vec![Reply::Released; 3]);
    }
}

/// Its name, and what stands there.
#[tokio::test]
async fn a_key_of_somebody_else_blocks_and_nothing_is_written() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        for command in [
            &["HSET", "c", "field", "value"][..],
            &["SET", "c", "data"],
            &["SET", "c", "token", "PX", "60000"],
        ] {
            server.command(&["FLUSHALL"]);
            server.command(command);
            // In few words, and in full.
            for limit in [1, 2] {
                let wanted = [("a", claim(1, 1)), ("b", claim(1, limit)), ("c", claim(1, 1))];
                let (key, by) = blocked(ask(&store, group(wanted)).await);
                assert_eq!(key, "c", "{by:?}");
                assert!(matches!(by, Reply::Mismatch(_) | Reply::Busy { .. }), "{by:?}");
                for free in ["a", "b"] {
                    assert!(look(&store, free).await.holders.is_empty(), "{command:?}");
                    assert!(server.command(&["GET", free]).is_nil());
                }
            }
        }
    }
}

#[tokio::test]
async fn without_memory_no_key_is_taken() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        granted(&answer(&store, "mine", Op::Acquire(claim(1, 1))).await);
        fill(&server);
        for limit in [1, 2] {
            let wanted = [("a", claim(1, limit)), ("b", claim(1, 1)), ("mine", claim(1, 1))];
            let (key, by) = blocked(ask(&store, group(wanted)).await);
            assert_eq!(key, "a");
            assert!(matches!(by, Reply::Full(_)), "{by:?}");
        }
        raise_memory(&server);
        for free in ["a", "b"] {
            assert!(look(&store, free).await.holders.is_empty(), "{free}");
        }
        assert_eq!(look(&store, "mine").await.holders[0].owner, owner(1));
    }
}

/// A part is damaged, of the first or of the last key.
#[tokio::test]
async fn a_damaged_key_blocks_and_its_call_goes_on() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        for damaged in ["a", "b"] {
            for record in ["1S", "1G", "1Qxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "9X"] {
                server.command(&["FLUSHALL"]);
                server.command(&["SET", &format!("tenure:{{{damaged}}}:record"), record]);
                let both = group([("a", claim(1, 1)), ("b", claim(1, 1))]);
                let steps = vec![both, step("good", Op::Acquire(claim(2, 1)))];
                let replies = store.call(steps).await.expect("an answer");
                assert_eq!(blocked(replies[0].clone()).0, damaged, "{record}: {replies:?}");
                granted(&replies[1]);
                let other = if damaged == "a" { "b" } else { "a" };
                assert!(look(&store, other).await.holders.is_empty(), "{record}");
            }
        }
    }
}

/// "c" is held by another, so the keys before it are free, and never taken.
#[tokio::test]
async fn an_observer_never_sees_a_part() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let ends = Arc::new(AtomicBool::new(false));
        let observer = std::thread::spawn({
            let (mut client, ends) = (server.client(), Arc::clone(&ends));
            move || {
                let mut looks = 0_u32;
                while !ends.load(Ordering::Relaxed) {
                    let seen = client.call(&["MGET", "a", "b"]).expect("an answer");
                    assert!(
                        seen.list().iter().all(tenure_testkit::Reply::is_nil),
                        "a part: {seen:?}"
                    );
                    looks += 1;
                }
                looks
            }
        });
        let busy = locks.mutex("c").acquire().await.expect("free");
        let all = locks.all(["a", "b", "c"]);
        for _ in 0..300 {
            assert!(all.try_acquire().await.expect("an answer").is_none());
        }
        drop(busy);
        ends.store(true, Ordering::Relaxed);
        assert!(observer.join().expect("no part was seen") > 0);
    }
}
