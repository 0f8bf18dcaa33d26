//! Many processes on one file: opening it at once, tight loops, wake-ups, kills.
//!
//! Each further process is this test program once more, playing a role; it speaks in lines that
//! begin with `@`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::world::actor::{Actor, told};
use crate::world::{
    LIMIT, acquire, ask, closed, fence, in_role, open, owner, play, release, unprivileged, wait_for,
};
use tenure::LocksOptions;
use tenure::protocol::{Op, Reply, State};
use tenure::store::Store;
use tenure_testkit::{lateness, role};

const TTL: Duration = Duration::from_secs(3600);
const PROCESSES: usize = 8;
/// The worst transaction of eight processes in tight loops: what the project aims at, and what
/// this test insists on, beside the time for which the machine did not run them. A transaction may
/// wait for another process.
const WORST_AIM: Duration = Duration::from_millis(100);
const WORST_LIMIT: Duration = Duration::from_secs(2);
/// No disk is so slow that their journal does not begin anew in this time: it is cut off whenever
/// somebody finds 5 MiB.
const PATIENCE: Duration = Duration::from_secs(60);
/// The line of an actor that has seen that.
const CUT_OFF: &str = "cut-off";

#[tokio::test]
async fn role_opener() {
    let Some(place) = in_role() else {
        return;
    };
    println!("@ready");
    while let Some(file) = told() {
        let store = open(&place.join(file)).await;
        let name = format!("key of {}", std::process::id());
        fence(&ask(&store, &name, acquire(&owner(1), TTL)).await.expect("an answer"));
        println!("@opened");
    }
}

#[test]
fn eight_processes_open_a_fresh_file_at_once_fifty_times() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut actors: Vec<_> =
        (0..PROCESSES).map(|_| Actor::start(role!(role_opener), dir.path())).collect();
    for actor in &mut actors {
        assert_eq!(actor.hear(), "ready");
    }
    for round in 0..50 {
        for actor in &mut actors {
            actor.tell(&format!("round-{round}.db"));
        }
        for actor in &mut actors {
            assert_eq!(actor.hear(), "opened", "round {round}");
        }
    }
}

#[tokio::test]
async fn role_looper() {
    let Some(place) = in_role() else {
        return;
    };
    let store = open(&place.join("locks.db")).await;
    let journal = place.join("locks.db-wal");
    let name = format!("key of {}", std::process::id());
    let _from_here_on = lateness();
    println!("@ready");
    told().expect("the start");
    let cut_off = place.join(CUT_OFF);
    let began = Instant::now();
    let mut spans = Vec::new();
    let mut length = 0;
    while began.elapsed() < Duration::from_secs(3)
        || (!cut_off.exists() && began.elapsed() < PATIENCE)
    {
        let before = length;
        length = fs::metadata(&journal).expect("a journal").len();
        if length < before {
            fs::write(&cut_off, format!("from {before} bytes to {length}")).expect("it is noted");
        }
        for op in [acquire(&owner(1), TTL), release(&owner(1))] {
            let since = Instant::now();
            ask(&store, &name, op).await.expect("an answer");
            spans.push(since.elapsed());
        }
    }
    spans.sort_unstable();
    let micros = |span: &Duration| span.as_micros();
    let p99 = &spans[spans.len() * 99 / 100];
    let worst = spans.last().expect("some");
    println!(
        "@{} {} {} {} {}",
        spans.len(),
        micros(&spans[spans.len() / 2]),
        micros(p99),
        micros(worst),
        micros(&lateness())
    );
}

#[test]
fn eight_processes_in_tight_loops() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut actors: Vec<_> =
        (0..PROCESSES).map(|_| Actor::start(role!(role_looper), dir.path())).collect();
    for actor in &mut actors {
        assert_eq!(actor.hear(), "ready");
    }
    for actor in &mut actors {
        actor.tell("go");
    }
    let mut worst = Duration::ZERO;
    let (mut fewest, mut latest) = (u64::MAX, Duration::ZERO);
    for actor in &mut actors {
        let said = actor.hear();
        let numbers: Vec<u64> = said.split(' ').map(|n| n.parse().expect("a number")).collect();
        let [count, p50, p99, max, late] = numbers[..] else {
            panic!("five numbers, not {said}");
        };
        println!("{count} transactions, p50 {p50} µs, p99 {p99} µs, worst {max} µs");
        worst = worst.max(Duration::from_micros(max));
        fewest = fewest.min(count);
        latest = latest.max(Duration::from_micros(late));
    }
    println!("worst transaction {worst:?}, aim {WORST_AIM:?}, limit here {WORST_LIMIT:?}");
    let cut_off = fs::read_to_string(dir.path().join(CUT_OFF)).expect("the journal grows for ever");
    println!("their journal was cut off, {cut_off}");
    assert!(worst <= WORST_LIMIT + 2 * latest, "{worst:?}, {latest:?} late");
    assert!(fewest > 20, "somebody starves");
}

#[tokio::test]
async fn role_waiter() {
    let Some(place) = in_role() else {
        return;
    };
    let store = open(&place.join("locks.db")).await;
    let mut inbox = store.inbox().await.expect("an answer").expect("an inbox");
    let me = owner(u64::from(std::process::id()));
    let waits = wait_for(&me, TTL, TTL, Some(Arc::clone(&inbox.address)));
    let queued = ask(&store, "k", waits).await.expect("an answer");
    assert!(matches!(queued, Reply::Queued { .. }), "{queued:?}");
    println!("@queued");
    let push = inbox.pushes.recv().await.expect("a push");
    assert_eq!((push.owner, push.key.as_str()), (me, "k"));
    println!("@granted {}", push.fence);
    told();
}

#[tokio::test]
async fn a_grant_wakes_a_waiter_in_another_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(&dir.path().join("locks.db")).await;
    let held = fence(&ask(&store, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
    let mut waiter = Actor::start(role!(role_waiter), dir.path());
    assert_eq!(waiter.hear(), "queued");
    let since = Instant::now();
    ask(&store, "k", release(&owner(1))).await.expect("an answer");
    let said = waiter.hear();
    println!("release to push across processes: {:?}", since.elapsed());
    let granted = said.strip_prefix("granted ").and_then(|n| n.parse().ok()).unwrap_or(0);
    assert!(granted > held.get(), "{said}");
}

/// Another user, who may write the file: the directory of the sockets follows the file's mode.
#[tokio::test]
async fn role_other_user() {
    let Some(place) = in_role() else {
        return;
    };
    let store = open(&place.join("locks.db")).await;
    let freed = ask(&store, "k", release(&owner(1))).await.expect("an answer");
    assert_eq!(freed, Reply::Released);
}

#[tokio::test]
async fn another_user_who_may_write_the_file_wakes_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    drop(open(&path).await);
    let wake_dir = fs::metadata(dir.path().join("locks.db.wake")).expect("the directory");
    assert_eq!(wake_dir.mode() & 0o077, 0, "for nobody else, as long as the file is not");
    // The files beside the file get its mode when they are made.
    closed(&path).await;
    mode(dir.path(), 0o777);
    mode(&path, 0o666);
    let store = open(&path).await;
    let mut inbox = store.inbox().await.expect("an answer").expect("an inbox");
    fence(&ask(&store, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
    let waits = wait_for(&owner(2), TTL, TTL, Some(Arc::clone(&inbox.address)));
    ask(&store, "k", waits).await.expect("an answer");
    play(unprivileged(), &role!(role_other_user), dir.path());
    assert_eq!(inbox.pushes.recv().await.expect("a push").owner, owner(2));
}

#[tokio::test]
async fn role_holder() {
    let Some(place) = in_role() else {
        return;
    };
    let store = open(&place.join("locks.db")).await;
    let granted = fence(&ask(&store, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
    println!("@{granted}");
    for number in 0.. {
        // Never twice the same, so that it is killed in the middle of something.
        ask(&store, "other", acquire(&owner(number), Duration::from_millis(10))).await.ok();
    }
}

#[tokio::test]
async fn a_lock_outlives_the_kill_of_every_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let mut holder = Actor::start(role!(role_holder), dir.path());
    let granted = holder.hear();
    drop(holder);
    let store = open(&path).await;
    let seen = match ask(&store, "k", Op::Inspect).await.expect("an answer") {
        Reply::Inspected(seen) => seen,
        other => panic!("{other:?}"),
    };
    assert_eq!(seen.state, State::Held);
    assert_eq!(seen.fence.map(|f| f.to_string()), Some(granted));
    let busy = ask(&store, "k", acquire(&owner(2), TTL)).await.expect("an answer");
    assert!(matches!(busy, Reply::Busy { .. }), "{busy:?}");
    let renewed = ask(&store, "k", Op::Renew { owner: owner(1), ttl: TTL }).await;
    assert_eq!(renewed.expect("an answer"), Reply::Renewed);
}

#[tokio::test]
async fn role_relative() {
    let Some(place) = in_role() else {
        return;
    };
    let store = open(Path::new("locks.db")).await;
    assert_eq!(store.name().as_ref(), "sqlite:locks.db");
    fence(&ask(&store, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
    // The path means what it meant when it was opened.
    std::env::set_current_dir("/").expect("another directory");
    let mut inbox = store.inbox().await.expect("an answer").expect("an inbox");
    let other = open(&place.join("locks.db")).await;
    let waits = wait_for(&owner(2), TTL, TTL, Some(Arc::clone(&inbox.address)));
    ask(&store, "k", waits).await.expect("an answer");
    ask(&other, "k", release(&owner(1))).await.expect("an answer");
    assert!(inbox.pushes.recv().await.is_some());
}

#[test]
fn a_relative_path() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("env");
    command.current_dir(dir.path());
    play(command, &role!(role_relative), dir.path());
}

/// Stays inside a transaction.
#[tokio::test]
async fn role_writer() {
    let Some(place) = in_role() else {
        return;
    };
    let db = rusqlite::Connection::open(place.join("locks.db")).expect("a connection");
    db.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
    println!("@inside");
    told();
}

/// However long a program waits for its store: the reason is heard before that.
#[tokio::test]
async fn a_process_inside_a_transaction_is_named_within_every_time_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let _kept = open(&path).await;
    let mut writer = Actor::start(role!(role_writer), dir.path());
    assert_eq!(writer.hear(), "inside");
    let who = format!("process {} (", writer.child.id());
    let pid = rustix::process::Pid::from_child(&writer.child);
    let url = format!("sqlite:{}", path.display());
    for is_stopped in [false, true] {
        if is_stopped {
            rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("stopped");
        }
        for limit in [4, 5, 20].map(Duration::from_secs) {
            let options = LocksOptions::default().with_store_timeout(limit);
            let locks = tenure::connect_with(&url, options).await.expect("looking works");
            let begun = Instant::now();
            let error = locks.mutex("k").try_acquire().await.expect_err("nobody can write");
            println!("{limit:?}, stopped: {is_stopped}: after {:?}: {error}", begun.elapsed());
            let text = error.to_string();
            assert!(text.contains(&who) && text.contains("inside a transaction"), "{text}");
            assert_eq!(text.contains("it is stopped"), is_stopped, "{text}");
            if is_stopped {
                let patient = locks.mutex("k").with_wait(Duration::from_secs(2));
                let text = patient.acquire().await.expect_err("nobody can write").to_string();
                assert!(text.contains(&who) && text.contains("it is stopped"), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn a_stopped_process_is_passed_over_or_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(&dir.path().join("locks.db")).await;
    let holder = {
        let mut holder = Actor::start(role!(role_holder), dir.path());
        holder.hear();
        holder
    };
    let pid = rustix::process::Pid::from_child(&holder.child);
    let limit = Instant::now() + LIMIT;
    let (mut passed, mut named) = (0, 0);
    // Stopped again and again, at whatever point it is. It is named after half a second.
    while passed < 50 && named == 0 && Instant::now() < limit {
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("stopped");
        match ask(&store, "mine", acquire(&owner(1), TTL)).await {
            Ok(reply) => {
                fence(&reply);
                passed += 1;
            }
            Err(error) => {
                let who = format!("process {}", holder.child.id());
                assert!(error.message.contains(&who), "{error}");
                assert!(error.message.contains("it is stopped"), "{error}");
                assert!(!error.may_have_run);
                named += 1;
            }
        }
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).expect("it goes on");
        fence(&ask(&store, "mine", acquire(&owner(1), TTL)).await.expect("it goes on"));
    }
    println!("stopped {} times, {named} of them inside a transaction", passed + named);
}
