//! Every way in which a file can be wrong has its own message and class, and nothing that was
//! there is lost.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tenure::protocol::{Op, Reply, State};
use tenure::store::StoreErrorClass::{Config, Full, Refused, Transient};
use tenure::store::{Sqlite, SqliteOptions, Store, StoreError, StoreErrorClass};
use tenure::{ErrorKind, runtime};
use tenure_testkit::role;

use crate::world::{
    acquire, ask, closed, fence, in_role, key, open, owner, play, release, unprivileged,
};

const TTL: Duration = Duration::from_secs(3600);

async fn open_with(path: &Path, options: SqliteOptions) -> Result<Sqlite, StoreError> {
    Sqlite::open_with(path, runtime::machine().expect("the machine's runtime"), options).await
}

async fn refusal(path: &Path) -> StoreError {
    open_with(path, SqliteOptions::default()).await.expect_err("the file is refused")
}

#[track_caller]
fn says(error: &StoreError, class: StoreErrorClass, texts: &[&str]) {
    assert_eq!(error.class, class, "{error}");
    assert!(!error.may_have_run, "{error}");
    for text in texts {
        assert!(error.message.contains(text), "{text:?} is missing in: {error}");
    }
}

/// The names in a directory, and what the files hold.
fn contents(dir: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let entries = fs::read_dir(dir).expect("a directory").map(|e| e.expect("an entry").path());
    let mut all: Vec<_> = entries.map(|path| (path.clone(), fs::read(path).ok())).collect();
    all.sort();
    all
}

/// A store with one lock, closed again.
async fn made(path: &Path) {
    let store = open(path).await;
    fence(&ask(&store, "held", acquire(&owner(1), TTL)).await.expect("an answer"));
    drop(store);
    closed(path).await;
}

#[tokio::test]
async fn a_missing_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let error = refusal(&dir.path().join("no/such/locks.db")).await;
    says(&error, Config, &["no directory", "mkdir -p", "no/such"]);
    assert_eq!(contents(dir.path()), vec![]);
}

#[tokio::test]
async fn a_directory_in_the_place_of_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    says(&refusal(dir.path()).await, Config, &["is a directory", "locks.db"]);
    assert_eq!(contents(dir.path()), vec![]);
}

#[tokio::test]
async fn a_device_or_a_link_to_nothing() {
    says(&refusal(Path::new("/dev/null")).await, Config, &["/dev/null", "not a regular file"]);
    let dir = tempfile::tempdir().expect("a directory");
    let link = dir.path().join("locks.db");
    std::os::unix::fs::symlink("nowhere", &link).expect("a link");
    says(&refusal(&link).await, Config, &["symbolic link"]);
}

/// It was waited for, as a server that may come.
#[tokio::test]
async fn links_that_lead_round_and_round() {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, target) in [("self", "self"), ("one", "two"), ("two", "one")] {
        std::os::unix::fs::symlink(target, dir.path().join(name)).expect("a link");
    }
    for name in ["self", "one", "self/locks.db"] {
        says(&refusal(&dir.path().join(name)).await, Config, &[name, "round and round"]);
    }
}

#[tokio::test]
async fn a_path_that_no_file_can_have() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["a\0b".to_owned(), "n".repeat(300), String::new(), "..".to_owned()] {
        let error = refusal(&dir.path().join(&name)).await;
        assert_eq!(error.class, Config, "{name:?}: {error}");
    }
    assert_eq!(refusal(Path::new("")).await.class, Config);
    assert_eq!(contents(dir.path()), vec![]);
}

/// In a time namespace: the boot-time clock is another one than everybody else's.
#[tokio::test]
async fn role_shifted_clock() {
    let Some(dir) = in_role() else {
        return;
    };
    says(&refusal(&dir.join("locks.db")).await, Config, &["time namespace", "boot-time clock"]);
    assert_eq!(contents(&dir), vec![]);
}

#[test]
fn a_clock_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let shifted = ["-rT", "--boottime", "1000", "-f"];
    if !Command::new("unshare").args(shifted).arg("true").status().is_ok_and(|s| s.success()) {
        println!("SKIPPED: this machine lets nobody shift a clock (unshare -rT --boottime)");
        return;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(shifted);
    play(unshare, &role!(role_shifted_clock), dir.path());
}

#[tokio::test]
async fn a_file_that_is_no_database() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("notes.txt");
    fs::write(&path, "my diary, volume one\n".repeat(300)).expect("a file");
    let before = contents(dir.path());
    says(&refusal(&path).await, Config, &["notes.txt", "not an SQLite database"]);
    assert_eq!(contents(dir.path()), before, "left as it was, and nothing beside it");
}

#[tokio::test]
async fn the_database_of_another_program() {
    for (journal, app) in [("DELETE", 0), ("WAL", 0), ("DELETE", 77)] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("photos.db");
        let other = Connection::open(&path).expect("a database");
        other.pragma_update(None, "journal_mode", journal).expect("a journal");
        other.pragma_update(None, "application_id", app).expect("an id");
        other.execute_batch("CREATE TABLE photo (name); INSERT INTO photo VALUES ('cat')").unwrap();
        other.close().expect("it closes");
        let before = contents(dir.path());
        says(&refusal(&path).await, Config, &["photos.db", "another program"]);
        assert_eq!(contents(dir.path()), before, "left as it was, and nothing beside it");
    }
}

#[tokio::test]
async fn the_database_of_another_program_that_is_still_in_its_journal() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("photos.db");
    let other = Connection::open(&path).expect("a database");
    other.pragma_update(None, "journal_mode", "WAL").expect("a journal");
    other.execute_batch("CREATE TABLE photo (name); INSERT INTO photo VALUES ('cat')").unwrap();
    says(&refusal(&path).await, Config, &["photos.db", "another program"]);
    let tables: Vec<String> = other
        .prepare("SELECT name FROM sqlite_schema")
        .and_then(|mut all| all.query_map([], |row| row.get(0))?.collect())
        .expect("its tables");
    assert_eq!(tables, ["photo"]);
}

#[tokio::test]
async fn a_file_of_a_newer_version() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    made(&path).await;
    let newer = Connection::open(&path).expect("a database");
    newer.pragma_update(None, "user_version", 2).expect("a version");
    newer.close().expect("it closes");
    let before = contents(dir.path());
    says(&refusal(&path).await, Config, &["layout 2", "newer Tenure", "update"]);
    assert_eq!(contents(dir.path()), before);
}

#[tokio::test]
async fn a_damaged_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    made(&path).await;
    let whole = fs::read(&path).expect("the file");
    // The first page, with the schema, is whole: the damage shows at the first use.
    let mut damaged = whole.clone();
    damaged[4096..].fill(0xa5);
    fs::write(&path, &damaged).expect("written");
    let error = match open_with(&path, SqliteOptions::default()).await {
        Ok(store) => ask(&store, "held", Op::Inspect).await.expect_err("it is damaged"),
        Err(error) => error,
    };
    says(&error, Config, &["is damaged", "move it away", "-wal"]);
    assert_eq!(fs::read(&path).expect("the file"), damaged);

    fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    let error = match open_with(&path, SqliteOptions::default()).await {
        Ok(store) => ask(&store, "new", acquire(&owner(1), TTL)).await.expect_err("it is cut off"),
        Err(error) => error,
    };
    says(&error, Config, &["is damaged"]);

    for name in ["locks.db-wal", "locks.db-shm"] {
        let _ = fs::remove_file(dir.path().join(name));
    }
    fs::write(&path, &whole).expect("written");
    let seen = ask(&open(&path).await, "held", Op::Inspect).await.expect("an answer");
    assert!(matches!(seen, Reply::Inspected(seen) if seen.state == State::Held), "whole again");
}

/// The errors for an ordinary user; the parent has made the files, perhaps as root.
#[tokio::test]
async fn role_ordinary_user() {
    let Some(dir) = in_role() else {
        return;
    };
    let error = refusal(&dir.join("read-only-file/locks.db")).await;
    says(&error, Refused, &["read-only-file/locks.db", "can be read but not written"]);
    let error = refusal(&dir.join("read-only-dir/locks.db")).await;
    says(&error, Refused, &["read-only-dir/locks.db", "directory", "must be writable"]);
    let error = refusal(&dir.join("read-only-dir/new.db")).await;
    says(&error, Refused, &["read-only-dir/new.db", "directory", "must be writable"]);
    let error = refusal(&dir.join("closed-dir/locks.db")).await;
    says(&error, Refused, &["closed-dir/locks.db", "ermission denied"]);
    let error = refusal(&dir.join("unreadable-file/locks.db")).await;
    says(&error, Refused, &["unreadable-file/locks.db", "rights"]);
}

#[tokio::test]
async fn without_the_rights() {
    let dir = tempfile::tempdir().expect("a directory");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    mode(dir.path(), 0o755).expect("a mode");
    for (name, dir_mode, file_mode) in [
        ("read-only-file", 0o777, 0o444),
        ("read-only-dir", 0o555, 0o666),
        ("closed-dir", 0o000, 0o666),
        ("unreadable-file", 0o777, 0o000),
    ] {
        let place = dir.path().join(name);
        fs::create_dir(&place).expect("a directory");
        made(&place.join("locks.db")).await;
        // As if it had come from a backup: without what lies beside it.
        let _ = fs::remove_dir_all(place.join("locks.db.wake"));
        mode(&place.join("locks.db"), file_mode).expect("a mode");
        mode(&place, dir_mode).expect("a mode");
    }
    play(unprivileged(), &role!(role_ordinary_user), dir.path());
    mode(&dir.path().join("closed-dir"), 0o755).expect("a mode");
}

/// Makes a file as large as the disk lets it be.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).expect("a name is still free");
    while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
}

/// On a disk of 512 KiB: fill it, be told, lose nothing, go on once there is room.
#[tokio::test]
async fn role_small_disk() {
    let Some(dir) = in_role() else {
        return;
    };
    let path = dir.join("locks.db");
    let store = open(&path).await;
    fence(&ask(&store, "first", acquire(&owner(1), TTL)).await.expect("an answer"));
    let filler = dir.join("filler");
    fill(&filler);
    // Steps that need no new page go on: the journal is emptied and begins anew.
    for _ in 0..200 {
        let renew = Op::Renew { owner: owner(1), ttl: TTL };
        assert_eq!(ask(&store, "first", renew).await.expect("an answer"), Reply::Renewed);
    }
    fs::remove_file(&filler).expect("room again");
    fs::write(&filler, [0; 100 << 10]).expect("room for the filler");
    let mut held = 1;
    let error = loop {
        let name = format!("key-{held}-{}", "x".repeat(400));
        match ask(&store, &name, acquire(&owner(held), TTL)).await {
            Ok(reply) => drop(fence(&reply)),
            Err(error) => break error,
        }
        held += 1;
        assert!(held < 10_000, "the disk does not fill");
    };
    says(&error, Full, &["locks.db", "is full", "nothing is lost", "free some space"]);
    println!("full after {held} locks: {error}");
    let listed = async || {
        let page = store.list("", None, 20_000).await.expect("a full disk can be read");
        u64::try_from(page.len()).expect("a number")
    };
    assert_eq!(listed().await, held, "what was there is there");
    fs::remove_file(&filler).expect("room again");
    fence(&ask(&store, "last", acquire(&owner(1), TTL)).await.expect("there is room again"));
    let freed = ask(&store, "first", release(&owner(1))).await;
    assert_eq!(freed.expect("an answer"), Reply::Released);
    assert_eq!(listed().await, held);
    drop(store);
    // Its journal's room would come free behind what is filled now.
    closed(&path).await;

    // A disk that is full before anything is there.
    fill(&filler);
    let error = refusal(&dir.join("other.db")).await;
    says(&error, Full, &["other.db"]);
    println!("none could be made: {error}");
}

#[test]
fn a_full_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut unshare = Command::new("unshare");
    let script = "mount -t tmpfs -o size=512k tenure-test \"$0\" && exec \"$@\"";
    unshare.args(["-rm", "sh", "-c", script]).arg(dir.path());
    let may_mount = Command::new("unshare").args(["-rm", "true"]).status();
    if !may_mount.is_ok_and(|status| status.success()) {
        println!("SKIPPED: this machine lets nobody mount a small disk (unshare -rm)");
        return;
    }
    play(unshare, &role!(role_small_disk), dir.path());
}

#[tokio::test]
async fn a_file_that_may_not_grow() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let options = SqliteOptions { max_pages: Some(24), ..SqliteOptions::default() };
    let store = open_with(&path, options).await.expect("it opens");
    let mut held = 0;
    let error = loop {
        match ask(&store, &format!("key-{held}"), acquire(&owner(held), TTL)).await {
            Ok(reply) => drop(fence(&reply)),
            Err(error) => break error,
        }
        held += 1;
        assert!(held < 10_000, "the file does not fill");
    };
    says(&error, Full, &["full", "nothing is lost"]);
    let nothing = ask(&store, &format!("key-{held}"), release(&owner(held))).await;
    assert_eq!(nothing.expect("an answer"), Reply::Gone, "what failed has left nothing");
    let renew = Op::Renew { owner: owner(0), ttl: TTL };
    assert_eq!(ask(&store, "key-0", renew).await.expect("an answer"), Reply::Renewed);
}

#[tokio::test]
async fn a_process_that_stays_inside_a_transaction() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let busy_limit = Duration::from_millis(200);
    let options = SqliteOptions { busy_limit, ..SqliteOptions::default() };
    let store = open_with(&path, options).await.expect("it opens");
    let granted = fence(&ask(&store, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
    let stopped = Connection::open(&path).expect("a second connection");
    stopped.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
    let error = ask(&store, "k", release(&owner(1))).await.expect_err("nobody can write");
    let me = format!("process {} (", std::process::id());
    says(&error, Transient, &["waited 0.2 s", &me, "inside a transaction", "locks.db"]);
    // Looking needs no lock.
    let seen = ask(&store, "k", Op::Inspect).await.expect("an answer");
    assert!(matches!(seen, Reply::Inspected(seen) if seen.fence == Some(granted)));
    stopped.execute_batch("ROLLBACK").expect("it goes on");
    let freed = ask(&store, "k", release(&owner(1))).await;
    assert_eq!(freed.expect("an answer"), Reply::Released);
}

#[tokio::test]
async fn a_file_that_stays_blocked_is_not_told_as_busy() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let url = format!("sqlite:{}", path.display());
    let [holder, waiting] = [
        tenure::connect(&url).await.expect("it opens"),
        tenure::connect(&url).await.expect("it opens"),
    ];
    let _held = holder.mutex("job").acquire().await.expect("free");
    let waiter = || {
        let mutex = waiting.mutex("job").with_ttl(Duration::from_millis(300));
        let mutex = mutex.with_wait(Duration::from_secs(9));
        tokio::spawn(async move { mutex.acquire().await })
    };
    let waiters = [waiter(), waiter()];
    let looks = holder.mutex("job");
    while looks.inspect().await.expect("an answer").waiters.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stopped = Connection::open(&path).expect("a second connection");
    stopped.busy_timeout(Duration::from_secs(30)).expect("it can be set");
    stopped.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
    for waiter in waiters {
        let error = waiter.await.expect("no panic").expect_err("nobody can write");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("has not answered for"), "{error}");
        assert!(error.to_string().contains("inside a transaction"), "{error}");
    }
    stopped.execute_batch("ROLLBACK").expect("it goes on");
}

#[tokio::test]
async fn a_process_that_stays_inside_the_opening() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    drop(open(&path).await);
    let lock = fs::File::open(dir.path().join("locks.db.wake")).expect("the directory");
    lock.lock().expect("a lock");
    let busy_limit = Duration::from_millis(100);
    let options = SqliteOptions { busy_limit, ..SqliteOptions::default() };
    let error = open_with(&path, options).await.expect_err("nobody can open");
    let me = format!("process {} (", std::process::id());
    says(&error, Transient, &["waited 0.1 s", &me, "was opening", "locks.db"]);
    drop(lock);
    drop(open(&path).await);
}

#[tokio::test]
async fn a_file_that_is_replaced_while_in_use() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let store = open(&path).await;
    let before = fence(&ask(&store, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
    for name in ["locks.db", "locks.db-wal", "locks.db-shm"] {
        let _ = fs::remove_file(dir.path().join(name));
    }
    let stranger = open(&path).await;
    let after = fence(&ask(&stranger, "k", acquire(&owner(2), TTL)).await.expect("an answer"));
    assert!(after > before, "the clock seeds the fence");
    let renewed = ask(&store, "k", Op::Renew { owner: owner(1), ttl: TTL }).await;
    assert_eq!(renewed.expect("an answer"), Reply::Gone, "the old holder learns it at once");
}

#[tokio::test]
async fn a_key_is_kept_whatever_bytes_it_has() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("#a?b%20 c&d=📈.db");
    let store = open(&path).await;
    let long = "k".repeat(512);
    let names = ["a", "A", "a ", "{a}", "a%", "a_", "é", "e\u{301}", "📈", "'; --", long.as_str()];
    for (number, name) in (0..).zip(names) {
        fence(&ask(&store, name, acquire(&owner(number), TTL)).await.expect("an answer"));
    }
    drop(store);
    let store = open(&path).await;
    let page = store.list("", None, 100).await.expect("a page");
    let mut sorted = names.map(key).to_vec();
    sorted.sort();
    assert_eq!(page.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), sorted);
    let page = store.list("a", Some(&key("a")), 2).await.expect("a page");
    assert_eq!(page.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), [key("a "), key("a%")]);
    assert!(Arc::ptr_eq(&store.name(), &store.name()));
    assert_eq!(store.name().as_ref(), format!("sqlite:{}", path.display()));
}
