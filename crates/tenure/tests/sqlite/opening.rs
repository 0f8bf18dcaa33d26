//! Files that are opened. A fresh one by many at once, while those who came first already write to
//! it: all of them get in, and nobody takes a file that is just being written for a damaged one.
//! And one with claims as programs wrote them that knew no shares, or no values.

use std::sync::Barrier;
use std::time::Duration;

use rusqlite::Connection;
use tenure::protocol::{Acquire, Op, Reply};
use tenure::{Claim, Value};

use crate::world::{LIMIT, ask, claim, open, owner, release};

const ROUNDS: usize = 50;
const OPENERS: usize = 8;

#[test]
fn many_open_a_fresh_file_while_others_write_to_it() {
    for round in 0..ROUNDS {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", directory.path().join("locks.db").display());
        let start = Barrier::new(OPENERS);
        std::thread::scope(|scope| {
            for opener in 0..OPENERS {
                let (url, start) = (&url, &start);
                scope.spawn(move || {
                    start.wait();
                    // They come one after the other, as processes do.
                    std::thread::sleep(Duration::from_micros(opener as u64 * 700));
                    let runtime = tokio::runtime::Builder::new_current_thread().build();
                    let used = runtime.expect("a runtime").block_on(async {
                        let locks = tenure::connect(url).await?;
                        let guard = locks.mutex(format!("key-{opener}")).acquire().await?;
                        guard.release().await
                    });
                    used.unwrap_or_else(|e| panic!("round {round}, opener {opener}: {e}"));
                });
            }
        });
    }
}

/// A program that knew no shares wrote 1 of 1 for all that it claimed, and fails on what is below
/// zero: it would grant a share beside a mutex.
#[tokio::test]
async fn an_exclusive_claim_is_stored_as_it_ever_was_and_a_share_as_it_never_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let (store, ttl) = (open(&path).await, Duration::from_secs(60));
    let share = |number, units, limit| {
        let share = Claim::new(units, limit).expect("a good claim");
        Acquire { claim: share, ..claim(&owner(number), ttl) }
    };
    let acquire = async |key: &str, claim| ask(&store, key, Op::Acquire(claim)).await;
    for (key, claim) in
        [("mutex", claim(&owner(1), ttl)), ("one", share(1, 1, 1)), ("most", share(1, 2, 5))]
    {
        let reply = acquire(key, claim).await.expect("an answer");
        assert!(matches!(reply, Reply::Granted { .. }), "{reply:?}");
    }
    let stored = |key: &str| -> (i64, i64) {
        let db = Connection::open(&path).expect("a connection");
        let sql = "SELECT units, unit_limit FROM holder WHERE key = ?1";
        db.query_row(sql, [key], |row| Ok((row.get(0)?, row.get(1)?))).expect("a holder")
    };
    assert_eq!(["mutex", "one", "most"].map(stored), [(1, 1), (1, -1), (2, -5)]);
    // Read by another connection, they are what they were.
    let other = open(&path).await;
    for (key, refused) in [("mutex", false), ("one", true), ("most", false)] {
        let asked = Op::Acquire(share(2, 1, 5));
        let reply = ask(&other, key, asked).await.expect("an answer");
        assert_eq!(matches!(reply, Reply::Mismatch(_)), refused, "{key}: {reply:?}");
        assert_eq!(matches!(reply, Reply::Granted { .. }), key == "most", "{key}: {reply:?}");
        assert_eq!(ask(&other, key, release(&owner(1))).await.expect("done"), Reply::Released);
    }
}

/// A file from before there were values gets its columns, while a program of that time has it open;
/// and that program goes on.
#[tokio::test]
async fn a_file_without_values_gets_them_and_its_programs_go_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let ttl = Duration::from_secs(60);
    drop(open(&path).await);
    let old = Connection::open(&path).expect("a connection");
    let without = "ALTER TABLE holder DROP COLUMN value; ALTER TABLE place DROP COLUMN value";
    old.execute_batch(without).expect("as it was once");
    let columns = "key, seq, owner, attempt, label, units, unit_limit, fence, since, expires";
    let put = format!("INSERT OR REPLACE INTO holder ({columns}) SELECT {columns} FROM holder");
    let mut put = old.prepare(&put).expect("it is compiled once");
    assert_eq!(put.execute([]).expect("nothing there"), 0);
    let store = open(&path).await;
    let value = Some(Value::new("a leader's").expect("short"));
    let leader = Acquire { value: value.clone(), ..claim(&owner(1), ttl) };
    let reply = ask(&store, "key", Op::Acquire(leader)).await.expect("an answer");
    assert!(matches!(reply, Reply::Granted { .. }), "{reply:?}");
    let seen = async || match ask(&store, "key", Op::Inspect).await.expect("a look") {
        Reply::Inspected(seen) => seen.holders[0].value.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(seen().await, value);
    // The old program writes the row as it knows it.
    assert_eq!(put.execute([]).expect("the statement is good still"), 1);
    assert_eq!(seen().await, None);
    let renew = Op::Renew { owner: owner(1), ttl: 2 * ttl };
    assert_eq!(ask(&store, "key", renew).await.expect("an answer"), Reply::Renewed);
    let again = open(&path).await;
    assert_eq!(ask(&again, "key", release(&owner(1))).await.expect("done"), Reply::Released);
}

/// For those who look only, with time.
fn looking() -> tenure::LocksOptions {
    tenure::LocksOptions::default()
        .with_access(tenure::store::Access::Looks)
        .with_store_timeout(LIMIT)
}

/// A look changes no file, so it cannot read the claims of one that is of an older program.
#[tokio::test]
async fn a_look_at_an_older_file_says_so_and_leaves_it_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let store = open(&path).await;
    let reply = ask(&store, "key", Op::Acquire(claim(&owner(1), Duration::from_secs(60)))).await;
    assert!(matches!(reply, Ok(Reply::Granted { .. })), "{reply:?}");
    let url = format!("sqlite:{}", path.display());
    let locks = tenure::connect_with(&url, looking()).await.expect("it can be read");
    assert_eq!(locks.mutex("key").inspect().await.expect("a look").holders.len(), 1);
    let refused = locks.mutex("other").try_acquire().await.expect_err("it was opened to look");
    assert_eq!(refused.kind(), tenure::ErrorKind::Refused);
    let old = Connection::open(&path).expect("a connection");
    let without = "ALTER TABLE holder DROP COLUMN value; ALTER TABLE place DROP COLUMN value";
    old.execute_batch(without).expect("as it was once");
    let older = tenure::connect_with(&url, looking()).await.expect_err("there are claims");
    assert_eq!(older.kind(), tenure::ErrorKind::Config);
    assert!(older.to_string().contains("of an older Tenure"), "{older}");
    old.execute_batch("DELETE FROM holder").expect("nobody holds");
    let seen = locks.mutex("key").inspect().await.expect("it may be a file that is being made");
    assert_eq!(seen.state, tenure::protocol::State::Free);
}

/// The last user brings the journal into the file, removes the shared memory, and then the journal:
/// it may be killed in between.
#[tokio::test]
async fn a_look_reads_a_file_whose_last_user_left_its_journal() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let left = dir.path().join("left.db");
    let beside = |path: &std::path::Path| path.with_extension("db-wal");
    // The file and its journal, without the shared memory.
    let leave = || {
        for (from, to) in [(path.clone(), left.clone()), (beside(&path), beside(&left))] {
            std::fs::copy(from, to).expect("copied");
        }
    };
    let options = looking();
    let url = format!("sqlite:{}", left.display());
    let look = || tenure::connect_with(&url, options);
    let locks = tenure::connect(&format!("sqlite:{}", path.display())).await.expect("it opens");
    let _guard = locks.mutex("key").acquire().await.expect("granted");
    let checkpoint = || {
        let other = Connection::open(&path).expect("a connection");
        let told =
            other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0));
        assert_eq!(told.expect("an answer"), 0, "it is not busy");
    };
    checkpoint();
    leave();
    assert!(std::fs::metadata(beside(&left)).expect("it is left").len() > 0);
    let seen = look().await.expect("it can be read").mutex("key").inspect().await;
    assert_eq!(seen.expect("a look").holders.len(), 1);
    assert!(!left.with_extension("db-shm").exists(), "a look makes nothing");

    // A journal that is ahead of its file: there are holders that the file does not know.
    let _newer = locks.mutex("newer").acquire().await.expect("granted");
    leave();
    let unknown = look().await.expect_err("the file alone would say that it is free");
    assert_eq!(unknown.kind(), tenure::ErrorKind::Refused, "{unknown}");
    checkpoint();
    leave();
    let seen = look().await.expect("it can be read").mutex("newer").inspect().await;
    assert_eq!(seen.expect("a look").holders.len(), 1);
}

/// The first write to a journal is its header: a process may be killed right behind it, and its
/// shared memory stays.
#[tokio::test]
async fn a_look_reads_a_file_whose_journal_ends_behind_its_header() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let left = dir.path().join("left.db");
    let locks = tenure::connect(&format!("sqlite:{}", path.display())).await.expect("it opens");
    let _guard = locks.mutex("key").acquire().await.expect("granted");
    let other = Connection::open(&path).expect("a connection");
    let told = other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0));
    assert_eq!(told.expect("an answer"), 0, "it is not busy");
    for beside in ["db", "db-wal", "db-shm"] {
        std::fs::copy(path.with_extension(beside), left.with_extension(beside)).expect("copied");
    }
    let journal = std::fs::File::options().write(true).open(left.with_extension("db-wal"));
    journal.and_then(|journal| journal.set_len(32)).expect("cut off");
    let options = looking();
    let url = format!("sqlite:{}", left.display());
    let seen = tenure::connect_with(&url, options).await.expect("it can be read");
    assert_eq!(seen.mutex("key").inspect().await.expect("a look").holders.len(), 1);
    // So can it by those who lock.
    let locks = tenure::connect(&url).await.expect("it opens");
    assert_eq!(locks.mutex("key").inspect().await.expect("a look").holders.len(), 1);
}
