//! The file is what its path says: whatever becomes of the path, of the files that SQLite keeps
//! beside it, or of SQLite's locks, no two hold one lock.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::world::actor::{Actor, told};
use crate::world::{
    LIMIT, acquire, ask, closed, fence, in_role, key, open, owner, play, release, until,
};
use tenure::protocol::{Op, Reply, Request};
use tenure::runtime::{self, Moment};
use tenure::store::StoreErrorClass::{Config, Transient};
use tenure::store::{Sqlite, SqliteOptions, Store, StoreError, StoreErrorClass};
use tenure_testkit::role;

const LONG: Duration = Duration::from_secs(3600);

fn now() -> Moment {
    runtime::machine().expect("the machine's runtime").now()
}

/// Opens without much patience.
async fn try_open(path: &Path) -> Result<Sqlite, StoreError> {
    let options =
        SqliteOptions { busy_limit: Duration::from_millis(200), ..SqliteOptions::default() };
    Sqlite::open_with(path, runtime::machine().expect("the machine's runtime"), options).await
}

async fn is_busy(store: &Sqlite, name: &str) -> bool {
    let reply = ask(store, name, acquire(&owner(2), LONG)).await.expect("an answer");
    match reply {
        Reply::Busy { .. } => true,
        Reply::Granted { .. } => false,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn says(error: &StoreError, class: StoreErrorClass, texts: &[&str]) {
    assert_eq!(error.class, class, "{error}");
    for text in texts {
        assert!(error.message.contains(text), "{text:?} is missing in: {error}");
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    format!("{}{ending}", file.display()).into()
}

/// Another process with the store. It does what it is told and says what came of it.
#[tokio::test]
async fn role_holder() {
    let Some(dir) = in_role() else {
        return;
    };
    let path = dir.join("locks.db");
    let store = open(&path).await;
    println!("@ready");
    while let Some(line) = told() {
        let (verb, rest) = line.split_once(' ').expect("a verb and a key");
        let (name, ttl_ms) = rest.split_once(' ').expect("a key and a ttl");
        let ttl = Duration::from_millis(ttl_ms.parse().expect("a number"));
        let op = match verb {
            "acquire" => acquire(&owner(1), ttl),
            "renew" => Op::Renew { owner: owner(1), ttl },
            "release" => release(&owner(1)),
            "touch" => {
                for ending in ["", "-wal", "-shm"] {
                    drop(fs::File::open(beside(&path, ending)).expect("a file"));
                }
                println!("@touched");
                continue;
            }
            other => panic!("{other}"),
        };
        match ask(&store, name, op).await {
            Ok(reply) => println!("@{reply:?}"),
            Err(error) => println!("@error {error}"),
        }
    }
}

/// A process that holds `k` for `ttl`, and the moment before it asked for it.
fn holder(dir: &Path, ttl: Duration) -> (Actor, Moment) {
    let mut holder = Actor::start(role!(role_holder), dir);
    assert_eq!(holder.hear(), "ready");
    let before = now();
    let said = say(&mut holder, &format!("acquire k {}", ttl.as_millis()));
    assert!(said.starts_with("Granted"), "{said}");
    (holder, before)
}

fn say(holder: &mut Actor, line: &str) -> String {
    holder.tell(line);
    holder.hear()
}

#[tokio::test]
async fn a_journal_is_removed_while_a_holder_lives() {
    for endings in [&["-wal"][..], &["-shm"], &["-wal", "-shm"], &["-wal", "-shm", ".wake"]] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("locks.db");
        let ttl = Duration::from_secs(5);
        let (mut holder, asked) = holder(dir.path(), ttl);
        for ending in endings {
            let path = beside(&path, ending);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
                .expect("removed");
        }
        let error = try_open(&path).await.expect_err("somebody holds what cannot be seen");
        says(&error, Transient, &["-wal", "-shm", "removed", "kill"]);
        let pid = format!("process {} (", holder.child.id());
        says(&error, Transient, &[&pid]);
        let said = say(&mut holder, "renew k 60000");
        assert!(said.contains("removed while in use"), "{endings:?}: {said}");

        let store = open_after_others(&path).await;
        assert!(!is_busy(&store, "k").await, "{endings:?}: its time is over");
        assert!(now() > asked + ttl, "{endings:?}: two held it");
        let said = say(&mut holder, "renew k 1000");
        assert!(said == "Gone" || said == "Others", "{endings:?}: {said}");
        let said = say(&mut holder, "acquire other 3600000");
        assert!(said.starts_with("Granted"), "{endings:?}: it works again: {said}");
        assert!(is_busy(&store, "other").await, "{endings:?}: in one file");
    }
}

/// Where transactions follow each other at once, the files are compared only after each of them.
#[tokio::test]
async fn a_journal_is_removed_under_load() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let store = open(&path).await;
    assert!(!is_busy(&store, "k").await);
    let ask_often = |count| {
        let op = Op::Renew { owner: owner(2), ttl: LONG };
        let renew = || store.call(vec![Request { key: key("k"), op: op.clone() }]);
        (0..count).map(|_| renew()).collect::<Vec<_>>()
    };
    let mut early = ask_often(20_000).into_iter();
    early.next().expect("one").await.expect("the journal is there");
    fs::remove_file(beside(&path, "-wal")).expect("removed");
    for late in ask_often(1_000) {
        let error = late.await.expect_err("in a journal that nobody else can open");
        says(&error, Transient, &["-wal", "removed"]);
    }
    let mut is_gone = false;
    for answer in early {
        let failed = answer.await.is_err();
        assert!(failed || !is_gone, "once it is gone, it stays so");
        is_gone = failed;
    }
    let error = ask(&store, "k", Op::Inspect).await.expect_err("its lease is not over");
    says(&error, Transient, &["-wal", "removed while in use"]);
}

/// Opens once others have left what was removed.
async fn open_after_others(path: &Path) -> Sqlite {
    let limit = Instant::now() + LIMIT;
    loop {
        match try_open(path).await {
            Ok(store) => return store,
            // A busy machine may hold up the other one within its opening.
            Err(error) if error.message.contains("was opening") => {}
            Err(error) => says(&error, Transient, &["removed"]),
        }
        assert!(Instant::now() < limit, "nobody can open the file any more");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_file_alone_is_removed_or_emptied_anew_while_a_holder_lives() {
    for is_empty in [false, true, false] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("locks.db");
        let (mut holder, _) = holder(dir.path(), LONG);
        fs::remove_file(&path).expect("removed");
        if is_empty {
            fs::write(&path, "").expect("a file");
        }
        let store = open_after_others(&path).await;
        fence(&ask(&store, "k", acquire(&owner(2), LONG)).await.expect("a new file works"));
        let said = say(&mut holder, "renew k 1000");
        assert!(said == "Gone" || said == "Others", "the old holder is told: {said}");
        let said = say(&mut holder, "acquire other 3600000");
        assert!(said.starts_with("Granted"), "{said}");
        assert!(is_busy(&store, "other").await, "in one file again");
    }
}

#[tokio::test]
async fn a_stopped_process_that_uses_a_removed_file_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let (mut holder, _) = holder(dir.path(), LONG);
    let pid = rustix::process::Pid::from_child(&holder.child);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("stopped");
    fs::remove_file(&path).expect("removed");
    let error = loop {
        let error = try_open(&path).await.expect_err("its journal is in use");
        if error.message.contains("stopped") {
            break error;
        }
    };
    let pid_text = holder.child.id();
    let texts = [&format!("process {pid_text} ("), &format!("kill -CONT {pid_text}")];
    says(&error, Transient, &["removed or emptied", texts[0], texts[1]]);
    assert!(!path.exists() && beside(&path, "-wal").exists() && beside(&path, "-shm").exists());
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).expect("it goes on");
    let store = open_after_others(&path).await;
    assert!(!is_busy(&store, "k").await);
    let said = say(&mut holder, "renew k 1000");
    assert!(said == "Gone" || said == "Others", "{said}");
}

#[tokio::test]
async fn what_a_killed_process_left_of_a_removed_file_is_cleared_away() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let (holder, _) = holder(dir.path(), LONG);
    drop(holder);
    fs::remove_file(&path).expect("removed");
    assert!(beside(&path, "-wal").exists() && beside(&path, "-shm").exists());
    let store = try_open(&path).await.expect("nobody uses it");
    fence(&ask(&store, "k", acquire(&owner(3), LONG)).await.expect("it works"));
    // It is removed from under this process itself.
    fs::remove_file(&path).expect("removed");
    let next = open_after_others(&path).await;
    assert!(!is_busy(&next, "k").await);
    let renew = Op::Renew { owner: owner(3), ttl: LONG };
    let renewed = ask(&store, "k", renew).await.expect("an answer");
    assert!(matches!(renewed, Reply::Gone | Reply::Others), "{renewed:?}");
    fence(&ask(&store, "k2", acquire(&owner(3), LONG)).await.expect("it works"));
    assert!(is_busy(&next, "k2").await, "in one file");
}

#[tokio::test]
async fn a_journal_without_leases_stands_in_nobodys_way() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let (mut holder, _) = holder(dir.path(), LONG);
    assert_eq!(say(&mut holder, "release k 0"), "Released");
    fs::remove_file(beside(&path, "-wal")).expect("removed");
    // The holder has nothing to do, and looks all the same.
    let store = open(&path).await;
    assert!(!is_busy(&store, "k").await);
    let said = say(&mut holder, "acquire k 1000");
    assert!(said.starts_with("Busy"), "in one file again: {said}");
}

#[tokio::test]
async fn a_holder_that_is_killed_leaves_no_journal_to_wait_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let (holder, _) = holder(dir.path(), LONG);
    fs::remove_file(beside(&path, "-shm")).expect("removed");
    drop(holder);
    assert!(is_busy(&open(&path).await, "k").await, "the journal alone tells of the lease");
}

/// The locks of POSIX are lost when a process opens and closes the files by other means, to copy
/// them perhaps, so that others take themselves for the last and remove the journal. (Of SQLite
/// before 3.51 it was enough to open and close the main one.)
#[tokio::test]
async fn a_program_opens_and_closes_its_own_lock_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let (mut holder, _) = holder(dir.path(), LONG);
    assert_eq!(say(&mut holder, "touch k 0"), "touched");
    let last = open(&path).await;
    assert!(is_busy(&last, "k").await);
    drop(last);
    closed(&path).await;
    let said = say(&mut holder, "acquire k2 3600000");
    assert!(said.starts_with("Granted"), "{said}");
    assert_eq!(say(&mut holder, "renew k 3600000"), "Renewed", "what was confirmed is kept");
    let other = open(&path).await;
    assert!(is_busy(&other, "k2").await, "two hold k2");
    assert!(is_busy(&other, "k").await, "two hold k");
}

#[tokio::test]
async fn a_hard_link_is_another_file_to_sqlite() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let store = open(&path).await;
    fence(&ask(&store, "k", acquire(&owner(1), LONG)).await.expect("an answer"));
    let link = dir.path().join("same.db");
    fs::hard_link(&path, &link).expect("a link");
    for name in [&link, &path] {
        let error = try_open(name).await.expect_err("it has two names");
        says(&error, Config, &["2 names", "hard links", "copy"]);
    }
    assert!(!beside(&link, "-wal").exists() && !beside(&link, ".wake").exists(), "untouched");
    fs::remove_file(&link).expect("removed");
    assert!(is_busy(&try_open(&path).await.expect("one name"), "k").await);
}

#[tokio::test]
async fn a_symbolic_link_leads_to_the_same_journal() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, link) = (dir.path().join("locks.db"), dir.path().join("link.db"));
    let store = open(&path).await;
    fence(&ask(&store, "k", acquire(&owner(1), LONG)).await.expect("an answer"));
    symlink(&path, &link).expect("a link");
    let linked = open(&link).await;
    let renew = || Op::Renew { owner: owner(1), ttl: LONG };
    assert_eq!(ask(&linked, "k", renew()).await.expect("an answer"), Reply::Renewed);
    assert!(!beside(&link, "-wal").exists());

    // The link leads elsewhere one day, as after the deployment of a new release.
    let next = dir.path().join("next.db");
    drop(open(&next).await);
    fs::remove_file(&link).expect("removed");
    symlink(&next, &link).expect("a link");
    let renewed = ask(&linked, "k", renew()).await.expect("an answer");
    assert_eq!(renewed, Reply::Gone, "it looks where the link leads");
}

/// In a mount namespace: the file, mounted alone, and its directory, mounted whole.
#[tokio::test]
async fn role_other_end_of_a_mount() {
    let Some(dir) = in_role() else {
        return;
    };
    let error = try_open(&dir.join("alone/locks.db")).await.expect_err("a file alone");
    says(&error, Config, &["mount point", "mount the directory", "alone"]);
    assert_eq!(fs::read_dir(dir.join("alone")).expect("a directory").count(), 1, "untouched");
    let whole = open(&dir.join("whole/locks.db")).await;
    assert!(is_busy(&whole, "k").await);
}

#[tokio::test]
async fn a_file_is_mounted_without_its_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["real", "alone", "whole"] {
        fs::create_dir(dir.path().join(name)).expect("a directory");
    }
    fs::write(dir.path().join("alone/locks.db"), "").expect("a place to mount at");
    let store = open(&dir.path().join("real/locks.db")).await;
    fence(&ask(&store, "k", acquire(&owner(1), LONG)).await.expect("an answer"));
    let may_mount = Command::new("unshare").args(["-rm", "true"]).status();
    if !may_mount.is_ok_and(|status| status.success()) {
        println!("SKIPPED: this machine lets nobody mount a file (unshare -rm)");
        return;
    }
    let mut unshare = Command::new("unshare");
    let script = "cd \"$0\" && mount --bind real/locks.db alone/locks.db && \
                  mount --bind real whole && exec \"$@\"";
    unshare.args(["-rm", "sh", "-c", script]).arg(dir.path());
    play(unshare, &role!(role_other_end_of_a_mount), dir.path());
}

#[tokio::test]
async fn nothing_planted_beside_the_file_is_followed() {
    for ending in ["-wal", "-shm", "-journal"] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("locks.db");
        drop(open(&path).await);
        closed(&path).await;
        let victim = dir.path().join("victim");
        fs::write(&victim, "precious").expect("a file");
        let planted = beside(&path, ending);
        for plant in [fs::hard_link::<&Path, &Path>, |to, at| symlink(to, at)] {
            plant(&victim, &planted).expect("planted");
            let error = try_open(&path).await.expect_err("planted");
            says(&error, Config, &[ending, "nothing was touched", "remove it"]);
            assert_eq!(fs::read_to_string(&victim).expect("a file"), "precious");
            fs::remove_file(&planted).expect("removed");
        }
        until(|| !planted.exists()).await;
        drop(try_open(&path).await.expect("it opens again"));
    }
}
