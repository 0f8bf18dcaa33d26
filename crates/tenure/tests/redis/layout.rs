//! The bytes of keys on a server that programs of an earlier time know, too: those of exclusive
//! claims alone. Keys with shares, values or runs have other forms, which such programs refuse.

use std::time::Duration;

use tenure::protocol::{Acquire, Op, Reply};
use tenure::{Claim, Owner, Value};
use tenure_testkit::{Flavour, Server};

use crate::steps::{ask, claim, heartbeat, open, owner, release};

const RECORD: &str = "tenure:{key}:record";
const PLACES: &str = "tenure:{key}:places";

fn share(acquire: Acquire, units: u32, limit: u32) -> Op {
    let claim = Claim::new(units, limit).expect("a good claim");
    Op::Acquire(Acquire { claim, ..acquire })
}

fn eval(server: &Server, script: &str) -> String {
    server.command(&["EVAL", script, "0"]).text().unwrap_or_else(|| panic!("{script}"))
}

fn form(server: &Server) -> String {
    eval(server, &format!("return string.sub(redis.call('GET', '{RECORD}') or '--', 1, 2)"))
}

/// The shares in a record of shares alone, in which fences and times are asterisks: fence, since,
/// expires, units and claim of each.
fn shares(server: &Server) -> String {
    let record = format!("string.sub(redis.call('GET', '{RECORD}'), 43)");
    let shares = eval(server, &format!("return {record}"));
    let hidden = |(at, c)| if at % 91 < 48 { '*' } else { c };
    shares.chars().enumerate().map(hidden).collect()
}

/// The limit, and the units of the first holder, in a packed record.
fn packed(server: &Server) -> String {
    let record = format!("cmsgpack.unpack(string.sub(redis.call('GET', '{RECORD}'), 3))");
    let parts = "r.limit .. ' ' .. (r.holders[1] and r.holders[1][4] or 0)";
    eval(server, &format!("local r = {record} return {parts}"))
}

fn units_of_place(server: &Server, owner: &Owner) -> String {
    let id = format!("{:016x}:{}", owner.attempt(), owner.value());
    let place = format!("cmsgpack.unpack(redis.call('HGET', '{PLACES}', '{id}'))");
    eval(server, &format!("return tostring(({place})[4])"))
}

#[tokio::test]
async fn exclusive_claims_alone_look_as_they_ever_did() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        let done = async |op| ask(&store, "key", op).await.expect("an answer");
        done(Op::Acquire(claim(1, 1))).await;
        let lock = server.command(&["GET", "key"]).text().expect("a string");
        assert!(lock.starts_with("owner 1\n10000000000000001label 1"), "{lock}");
        assert_eq!(form(&server), "--", "the lock says everything");
        let queued = done(Op::Acquire(heartbeat(2, 1, 1))).await;
        assert!(matches!(queued, Reply::Queued { .. }), "{queued:?}");
        assert_eq!(
            (form(&server).as_str(), units_of_place(&server, &owner(2)).as_str()),
            ("1Q", "1")
        );
        done(release(1)).await;
        assert_eq!(server.command(&["GET", "key"]).text().as_deref(), Some("owner 2"));
        assert_eq!(form(&server), "1S");
        done(Op::Withdraw { owner: owner(3), tombstone: Duration::from_secs(60) }).await;
        assert_eq!((form(&server).as_str(), packed(&server).as_str()), ("1G", "1 1"));
    }
}

#[tokio::test]
async fn keys_with_shares_have_another_form_as_long_as_there_are_any() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        let done = async |op| ask(&store, "key", op).await.expect("an answer");
        // Held, of 1 of 1: it must not be taken for a mutex.
        done(share(claim(1, 1), 1, 1)).await;
        assert_eq!(form(&server), "1R");
        assert_eq!(server.command(&["EXISTS", "key"]).int(), 0);
        done(Op::Acquire(heartbeat(2, 1, 1))).await;
        assert_eq!((form(&server).as_str(), packed(&server).as_str()), ("1H", "1 1"), "a queue");
        done(release(1)).await;
        // Waited for, behind a holder that has all.
        done(share(heartbeat(3, 1, 1), 2, 3)).await;
        assert_eq!(server.command(&["GET", "key"]).text().as_deref(), Some("owner 2"));
        assert_eq!((form(&server).as_str(), packed(&server).as_str()), ("1H", "3 2147483648"));
        assert_eq!(units_of_place(&server, &owner(3)), "-2");
        done(release(3)).await;
        assert_eq!(form(&server), "1S", "it is the record of a mutex again");
        done(release(2)).await;
        done(share(claim(1, 1), 2, 3)).await;
        done(share(claim(2, 1), 1, 3)).await;
        let one = |number, units| {
            let (numbers, attempt) = ("*".repeat(48), "0".repeat(15));
            format!(
                "{numbers}000000000{units}\u{1}owner {number}\n1{attempt}{number}label {number}"
            )
        };
        assert_eq!((form(&server), shares(&server)), ("1R".into(), one(1, 2) + &one(2, 1)));
        done(release(1)).await;
        assert_eq!((form(&server), shares(&server)), ("1R".into(), one(2, 1)));
        done(Op::Renew { owner: owner(2), ttl: Duration::from_secs(60) }).await;
        assert_eq!((form(&server), shares(&server)), ("1R".into(), one(2, 1)));
        done(release(2)).await;
        assert_eq!(form(&server), "1S", "and when it is free");
    }
}

fn valued(acquire: Acquire, text: &str) -> Op {
    Op::Acquire(Acquire { value: Some(Value::new(text).expect("a short value")), ..acquire })
}

#[tokio::test]
async fn keys_with_values_have_another_form_as_long_as_one_is_held() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        let done = async |op| ask(&store, "key", op).await.expect("an answer");
        let seen = async || {
            let Reply::Inspected(seen) = done(Op::Inspect).await else { panic!("no look") };
            let value = |holder: &tenure::protocol::HolderView| holder.value.clone();
            seen.holders.iter().map(value).collect::<Vec<_>>()
        };
        let value = |text| Some(Value::new(text).expect("a short value"));
        done(valued(claim(1, 1), "first")).await;
        let lock = server.command(&["GET", "key"]).text();
        assert_eq!((lock.as_deref(), form(&server).as_str()), (Some("owner 1"), "1V"));
        done(release(1)).await;
        assert_eq!((server.command(&["EXISTS", "key"]).int(), form(&server).as_str()), (0, "1S"));
        // A plain mutex that says everything, and one that waits behind it with a value: its lease
        // begins with that, though a plain release grants it.
        done(Op::Acquire(claim(2, 1))).await;
        done(valued(heartbeat(3, 1, 1), "third")).await;
        done(Op::Acquire(heartbeat(4, 1, 1))).await;
        assert_eq!(form(&server), "1Q", "a value that waits is in its place");
        assert_eq!(done(release(2)).await, Reply::Released);
        assert_eq!((seen().await, form(&server).as_str()), (vec![value("third")], "1V"));
        assert_eq!(done(release(3)).await, Reply::Released);
        assert_eq!((seen().await, form(&server).as_str()), (vec![None], "1S"));
        // Beside shares it is the same form.
        done(release(4)).await;
        let one_of_two = Claim::new(1, 2).expect("a good claim");
        done(valued(Acquire { claim: one_of_two, ..claim(5, 1) }, "fifth")).await;
        done(share(claim(6, 1), 1, 2)).await;
        assert_eq!((seen().await, form(&server).as_str()), (vec![value("fifth"), None], "1V"));
        done(release(5)).await;
        assert_eq!((seen().await, form(&server).as_str()), (vec![None], "1R"));
    }
}

/// It is not needed to keep what is held.
#[tokio::test]
async fn a_value_waits_for_memory_and_the_leadership_does_not() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        let Ok(Reply::Granted { fence }) = ask(&store, "key", valued(claim(1, 1), "a")).await
        else {
            panic!("it is free")
        };
        server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        server.command(&["CONFIG", "SET", "maxmemory", "1"]);
        let value = Value::revised("b", 1).expect("short");
        let set = Op::SetValue { owner: owner(1), fence, value };
        let reply = ask(&store, "key", set.clone()).await.expect("an answer");
        assert!(matches!(reply, Reply::Full(_)), "{reply:?}");
        let renew = Op::Renew { owner: owner(1), ttl: Duration::from_secs(90) };
        assert_eq!(ask(&store, "key", renew).await.expect("an answer"), Reply::Renewed);
        server.command(&["CONFIG", "SET", "maxmemory", "0"]);
        assert_eq!(ask(&store, "key", set).await.expect("an answer"), Reply::ValueSet);
        assert_eq!(ask(&store, "key", release(1)).await.expect("an answer"), Reply::Released);
    }
}

/// It is one exclusive claim more, and no mismatch.
#[tokio::test]
async fn a_share_waits_for_the_lock_of_another_library() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        server.command(&["SET", "key", "redis-py's", "PX", "60000"]);
        let mut beat = 0;
        let mut shares = async || {
            beat += 1;
            let asked = share(heartbeat(1, 1, beat), 2, 3);
            ask(&store, "key", asked).await.expect("an answer")
        };
        let queued = shares().await;
        assert!(matches!(queued, Reply::Queued { ahead: 0, .. }), "{queued:?}");
        server.command(&["DEL", "key"]);
        let granted = shares().await;
        assert!(matches!(granted, Reply::Granted { .. }), "{granted:?}");
    }
}

/// By their order: the lock goes with the step, and comes back with it.
#[tokio::test]
async fn the_lock_follows_the_units() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        let one = Claim::new(1, 3).expect("a good claim");
        let resize = |fence, from, to| Op::Resize { owner: owner(1), fence, from, to };
        let done = async |op| ask(&store, "key", op).await.expect("an answer");
        let Reply::Granted { fence } = done(Op::Acquire(claim(1, 1))).await else { panic!() };
        let down = resize(fence, Claim::EXCLUSIVE, one);
        assert_eq!(done(down).await, Reply::Resized { fence });
        assert_eq!((server.command(&["EXISTS", "key"]).int(), form(&server).as_str()), (0, "1R"));
        // Another library has taken the name: it is left alone.
        server.command(&["SET", "key", "redis-py's", "PX", "60000"]);
        let up = resize(fence, one, Claim::EXCLUSIVE);
        assert!(matches!(done(up.clone()).await, Reply::Busy { .. }));
        assert_eq!(server.command(&["GET", "key"]).text().as_deref(), Some("redis-py's"));
        server.command(&["DEL", "key"]);
        let Reply::Resized { fence: new } = done(up).await else { panic!("nobody is there") };
        assert!(new > fence);
        assert_eq!(server.command(&["GET", "key"]).text().as_deref(), Some("owner 1"));
        let left = server.command(&["PTTL", "key"]).int();
        assert!((1..=30_000).contains(&left) && form(&server) == "1S", "{left}");
    }
}

/// Under memory pressure a holder can always have less, as it can release.
#[tokio::test]
async fn a_downgrade_needs_no_memory() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        let share = |units| Claim::new(units, 3).expect("a good claim");
        let Ok(Reply::Granted { fence }) = ask(&store, "key", Op::Acquire(claim(1, 1))).await
        else {
            panic!("it is free")
        };
        server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        server.command(&["CONFIG", "SET", "maxmemory", "1"]);
        let steps = [(Claim::EXCLUSIVE, share(3)), (share(3), share(1))];
        for (from, to) in steps {
            let down = Op::Resize { owner: owner(1), fence, from, to };
            let reply = ask(&store, "key", down).await.expect("an answer");
            assert_eq!(reply, Reply::Resized { fence });
        }
        let up = Op::Resize { owner: owner(1), fence, from: share(1), to: Claim::EXCLUSIVE };
        let reply = ask(&store, "key", up).await.expect("an answer");
        assert!(matches!(reply, Reply::Full(_)), "{reply:?}");
        server.command(&["CONFIG", "SET", "maxmemory", "0"]);
        let Ok(Reply::Inspected(seen)) = ask(&store, "key", Op::Inspect).await else { panic!() };
        assert_eq!((seen.holders[0].units, seen.holders[0].fence), (1, fence));
    }
}
