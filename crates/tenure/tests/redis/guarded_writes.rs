//! Commands on data that are carried out only while the lease is held, by the server's own look.

use std::sync::Arc;

use tenure::protocol::{Op, Request};
use tenure::store::{DataReply, Redis, Store};
use tenure::{
    DataCommand, DataValue, ErrorKind, Guard, Key, Locks, LostReason, Operation, Owner, Renewal,
    runtime,
};
use tenure_testkit::{Flavour, Server};

use crate::rights::documented;
use crate::world::{connect, granted, ms, take, unhurried, until_waiting, waiting, within};

fn set(body: &str) -> DataCommand {
    DataCommand::from(["SET", "data", body])
}

fn data(server: &Server) -> Option<String> {
    server.command(&["GET", "data"]).text()
}

/// Nothing was written, though this process believes that it holds the lock.
async fn refused(server: &Server, guard: &Guard) {
    let before = data(server);
    guard.check().expect("the holder does not know of it yet");
    let error = within("an answer", guard.write([set("late")])).await.expect_err("not its turn");
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Lost, Operation::Write), "{error}");
    assert!(error.message().starts_with("nothing was written"), "{error}");
    assert_eq!(data(server), before);
    // Now it knows.
    assert_eq!(within("the loss", guard.lost()).await, LostReason::Gone);
    let error = guard.write([set("late")]).await.expect_err("lost");
    assert_eq!(error.kind(), ErrorKind::Lost);
}

#[tokio::test]
async fn a_holder_writes_and_gets_every_answer() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let guard = take(&locks, "key").await;
        let raw = b"raw \xff\r\n bytes".as_slice();
        let answers = guard.write([
            set("first"),
            DataCommand::from(["INCR", "count"]),
            DataCommand::from(["GET", "missing"]),
            DataCommand::new("RPUSH").arg("list").arg("a").arg(raw),
            DataCommand::from(["LRANGE", "list", "0", "-1"]),
        ]);
        let answers = within("the answers", answers).await.expect("written");
        let bytes = |bytes: &[u8]| DataValue::Bytes(bytes.to_vec());
        assert_eq!(answers[0].as_str(), Some("OK"));
        assert_eq!((answers[1].as_int(), &answers[2]), (Some(1), &DataValue::Nil));
        assert_eq!(answers[3], DataValue::Int(2));
        assert_eq!(answers[4], DataValue::List(vec![bytes(b"a"), bytes(raw)]));
        // While others wait, the lock has another form at the server.
        let waiter = waiting(locks.mutex("key"));
        until_waiting(&locks, "key", 1).await;
        within("an answer", guard.write([set("second")])).await.expect("written");
        within("a renewal", guard.extend_to(ms(60_000))).await.expect("renewed");
        within("an answer", guard.write([set("third")])).await.expect("written");
        guard.release().await.expect("released");
        let next = granted(waiter).await;
        assert_eq!(data(&server).as_deref(), Some("third"));
        within("an answer", next.write([set("fourth")])).await.expect("written");
        assert_eq!(data(&server).as_deref(), Some("fourth"));
        let blocking = tenure::blocking::Guard::from(next);
        blocking.write([set("fifth")]).expect("written");
        assert_eq!(data(&server).as_deref(), Some("fifth"));
    }
}

#[tokio::test]
async fn a_holder_that_lost_it_without_knowing_writes_nothing() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let [locks, others] = [connect(&server.url()).await, connect(&server.url()).await];
        // Nothing tells it: nothing is renewed.
        let take_quietly = async |key: &str| {
            let mutex = locks.mutex(key).with_renewal(Renewal::Off).with_ttl(ms(60_000));
            mutex.try_acquire().await.expect("an answer").expect("free")
        };
        let guard = take_quietly("forced").await;
        within("an answer", guard.write([set("first")])).await.expect("written");
        assert_eq!(others.mutex("forced").force_release().await.expect("forced"), 1);
        refused(&server, &guard).await;

        let guard = take_quietly("stolen").await;
        let thief = others.mutex("stolen").steal().await.expect("stolen");
        within("an answer", thief.write([set("the thief's")])).await.expect("written");
        refused(&server, &guard).await;
        within("an answer", thief.write([set("the thief's own")])).await.expect("written");

        let guard = take_quietly("forgotten").await;
        server.command(&["DEL", "forgotten"]);
        refused(&server, &guard).await;

        let guard = take_quietly("another library").await;
        server.command(&["SET", "another library", "a random value", "PX", "60000"]);
        refused(&server, &guard).await;

        // Beside a tombstone the record names the holder, but the lock's own key decides.
        let machine = runtime::machine().expect("a clock and timers");
        let store = Redis::open(&unhurried(&server.url()), machine).await.expect("connects");
        for command in [&["DEL", "deleted"][..], &["SET", "overwritten", "a random value"]] {
            let name = command[1];
            let guard = take_quietly(name).await;
            let (owner, tombstone) = (Owner::from_parts("another", 1), ms(60_000));
            let op = Op::Withdraw { owner, tombstone };
            let step = Request { key: guard.key().clone(), op };
            store.call(vec![step]).await.expect("withdrawn");
            within("an answer", guard.write([set("mine")])).await.expect("written");
            server.command(command);
            refused(&server, &guard).await;
        }

        // With waiters the record is another one.
        let guard = take_quietly("waited for").await;
        let waiter = waiting(others.mutex("waited for"));
        until_waiting(&others, "waited for", 1).await;
        assert_eq!(others.mutex("waited for").force_release().await.expect("forced"), 1);
        drop(granted(waiter).await);
        refused(&server, &guard).await;
    }
}

/// The rest of a `min_hold` is no lease: a write that was sent before the release may come then.
#[tokio::test]
async fn a_write_that_arrives_after_the_release_is_not_carried_out() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let machine = runtime::machine().expect("a clock and timers");
        let store =
            Redis::open(&unhurried(&server.url()), Arc::clone(&machine)).await.expect("connects");
        let late = async |guard: Guard| {
            let (key, owner) = (guard.key().clone(), guard.owner().clone());
            let is_done = |reply: &DataReply| matches!(reply, DataReply::Done(_));
            let write = || async {
                let commands = [set("late")];
                let writing = store.data().expect("a server").write(&key, &owner, &commands).await;
                writing.expect("an answer")
            };
            assert!(is_done(&write().await), "it holds");
            guard.release().await.expect("released");
            assert_eq!(write().await, DataReply::Gone);
        };
        late(take(&locks, "plain").await).await;
        let kept = locks.mutex("kept").with_min_hold(ms(60_000));
        late(kept.try_acquire().await.expect("an answer").expect("free")).await;
        assert!(locks.mutex("kept").held_by_anyone().await.expect("a look"), "the rest is there");
    }
}

/// Permits have no lock of their own at the server: the record alone says who has them.
#[tokio::test]
async fn a_permit_counts_like_a_mutex() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let [locks, others] = [connect(&server.url()).await, connect(&server.url()).await];
        for limit in [1, 2] {
            let pool = |locks: &Locks| {
                let pool = locks.semaphore(format!("pool of {limit}"), limit);
                pool.with_renewal(Renewal::Off).with_ttl(ms(60_000))
            };
            let one = pool(&locks).acquire().await.expect("granted");
            within("an answer", one.write([set("first")])).await.expect("written");
            let rest = match limit - 1 {
                0 => None,
                more => Some(pool(&others).acquire_many(more).await.expect("granted")),
            };
            let mutex = waiting(others.mutex(one.key()));
            until_waiting(&others, one.key().as_str(), 1).await;
            within("an answer", one.write([set("second")])).await.expect("written");
            // Released: the other permit stays, and its holder may write on.
            let (key, owner) = (one.key().clone(), one.owner().clone());
            one.release().await.expect("released");
            assert_eq!(late_write(&server, &key, &owner).await, DataReply::Gone);
            if let Some(rest) = rest {
                within("an answer", rest.write([set("the other's")])).await.expect("written");
                rest.release().await.expect("released");
            }
            // Then the mutex has the key. After it, a holder of permits is forced out unawares.
            let whole = granted(mutex).await;
            within("an answer", whole.write([set("the mutex's")])).await.expect("written");
            assert_eq!(late_write(&server, &key, &owner).await, DataReply::Gone);
            whole.release().await.expect("released");
            let forced = pool(&locks).acquire_many(limit).await.expect("granted");
            assert_eq!(pool(&others).force_release().await.expect("forced"), 1);
            refused(&server, &forced).await;
        }
    }
}

/// A write that was under way for long.
async fn late_write(server: &Server, key: &Key, owner: &Owner) -> DataReply {
    let machine = runtime::machine().expect("a clock and timers");
    let store = Redis::open(&unhurried(&server.url()), machine).await.expect("connects");
    let commands = [set("late")];
    store.data().expect("a server").write(key, owner, &commands).await.expect("an answer")
}

#[tokio::test]
async fn a_command_that_fails_stops_the_rest_and_says_so() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let guard = take(&locks, "key").await;
        let commands = [set("text"), DataCommand::from(["RPUSH", "data", "x"]), set("never")];
        let error = within("an answer", guard.write(commands)).await.expect_err("no list");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        for part in ["command 2 of 3", "the 1 before it were carried out", "WRONGTYPE"] {
            assert!(error.message().contains(part), "{error}");
        }
        assert_eq!(data(&server).as_deref(), Some("text"));
        let error = guard.write([DataCommand::from(["NONSENSE"])]).await.expect_err("no command");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        guard.check().expect("the lock is not concerned");
    }
}

#[tokio::test]
async fn commands_without_sense_are_not_sent() {
    let server = Server::of(Flavour::Redis).start();
    let locks = connect(&server.url()).await;
    let guard = take(&locks, "key").await;
    let long = (0..4_000).fold(DataCommand::new("DEL"), |command, _| command.arg("k"));
    let many = vec![set("x"); 1_001];
    for commands in [vec![], vec![DataCommand::from([""; 0])], vec![long], many] {
        let error = guard.write(commands).await.expect_err("no sense");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    let most = (0..3_999).fold(DataCommand::new("DEL"), |command, _| command.arg("k"));
    within("an answer", guard.write([most])).await.expect("as many as there may be");
    assert_eq!(format!("{:?}", set("secret")), "DataCommand(SET and 2 arguments)");
}

/// The user of the locks has no right to data, unless it is given.
#[tokio::test]
async fn the_rights_to_the_data_are_those_of_the_user() {
    for flavour in Flavour::ALL {
        let rule = documented();
        let more = format!("{rule} ~data:*");
        let server = Server::of(flavour).with_user("tenure", &more).start();
        let locks = connect(&format!("redis://tenure:PASSWORD@{}", server.address())).await;
        let guard = take(&locks, "jobs:a").await;
        let write = |key: &str| guard.write([DataCommand::from(["SET", key, "body"])]);
        within("an answer", write("data:a")).await.expect("it has this right");
        let error = within("an answer", write("private")).await.expect_err("no right");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.message().contains("command 1 of 1"), "{error}");
        let error = guard.write([DataCommand::from(["LPUSH", "data:l", "x"])]).await;
        assert_eq!(error.expect_err("no right").kind(), ErrorKind::Refused);
    }
}
