//! The memory of a file: one-off keys, reboots, clocks that go back, wake-ups.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::world::{
    Clock, LIMIT, acquire, ask, closed, fence, key, open, owner, pages, release, until, wait_for,
};
use tenure::Fence;
use tenure::protocol::{Op, Reply, Request, State};
use tenure::store::{Inbox, Push, Sqlite, SqliteOptions, Store};

const TTL: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn open_on(path: &Path, clock: &Arc<Clock>, options: SqliteOptions) -> Sqlite {
    let runtime = Arc::clone(clock) as Arc<_>;
    Sqlite::open_with(path, runtime, options).await.expect("the store opens")
}

async fn next(inbox: &mut Inbox) -> Push {
    let push = tokio::time::timeout(LIMIT, inbox.pushes.recv()).await;
    push.expect("a push in time").expect("an open inbox")
}

#[tokio::test]
async fn two_thousand_one_off_keys_leave_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let clock = Clock::new();
    let store = open_on(&path, &clock, SqliteOptions::default()).await;
    let fresh = pages(&path);
    let mut largest = Fence::default();
    for batch in 0..100 {
        let names = (0..20).map(|n| key(&format!("one-off {batch} {n} {}", "x".repeat(200))));
        let steps = names.flat_map(|key| {
            let step = |op| Request { key: key.clone(), op };
            [step(acquire(&owner(1), TTL)), step(release(&owner(1)))]
        });
        let replies = store.call(steps.collect()).await.expect("an answer");
        assert!(replies.chunks(2).all(|pair| pair[1] == Reply::Released));
        let granted = replies.iter().step_by(2).map(fence).max().expect("grants");
        largest = largest.max(granted);
    }
    let full = pages(&path);
    assert!(full > fresh + 50, "the records are there: {full} pages, {fresh} before");

    // A day and its slack later they leave, a few with every step of whoever comes next, and
    // their pages go back to the disk.
    clock.advance(DAY + DAY / 8 + Duration::from_secs(1));
    for _ in 0..100 {
        fence(&ask(&store, "tick", acquire(&owner(2), TTL)).await.expect("an answer"));
    }
    let after = pages(&path);
    println!("{fresh} pages when new, {full} with 2,000 records, {after} after their time");
    assert!(after <= fresh + 16, "{after} pages, {fresh} before");

    // Nothing is remembered of them, and yet no fence of theirs comes again.
    clock.set_wall(1);
    let again = key(&format!("one-off 7 7 {}", "x".repeat(200)));
    let granted = ask(&store, again.as_str(), acquire(&owner(3), TTL)).await.expect("an answer");
    assert!(fence(&granted) > largest, "above every fence that was forgotten");
}

#[tokio::test]
async fn fences_grow_whatever_the_wall_clock_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let clock = Clock::new();
    let mut last = 0;
    for (round, wall) in [1_000_000, 500, 2_000_000, 3, 4].into_iter().enumerate() {
        // Forgotten at once, opened anew each time: only the file can know.
        let options = SqliteOptions { fence_retention: Duration::ZERO, ..Default::default() };
        let store = open_on(&path, &clock, options).await;
        clock.set_wall(wall);
        let granted = ask(&store, "k", acquire(&owner(1), TTL)).await.expect("an answer");
        assert!(fence(&granted).get() > last, "round {round}: {granted:?} after {last}");
        last = fence(&granted).get();
        ask(&store, "k", release(&owner(1))).await.expect("an answer");
    }
    assert!(last >= 2_000_000);
}

#[tokio::test]
async fn connections_go_on_with_each_others_fences() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let clock = Clock::new();
    let open = || open_on(&path, &clock, SqliteOptions::default());
    let (here, there) = (open().await, open().await);
    clock.set_wall(1_000_000);
    let mut fences = Vec::new();
    for store in [&here, &there, &there, &here, &there] {
        let granted = ask(store, "k", acquire(&owner(1), TTL)).await.expect("an answer");
        fences.push(fence(&granted).get());
        ask(store, "k", release(&owner(1))).await.expect("an answer");
        // Only the file can know the last fence now.
        clock.set_wall(1);
    }
    let first = fences[0];
    assert!(first >= 1_000_000);
    assert_eq!(fences, (first..first + 5).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reboot_frees_everything_and_fences_go_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let boot = |id: &str| SqliteOptions { boot_id: Some(id.into()), ..Default::default() };
    let before = Clock::new();
    before.advance(DAY);
    let store = open_on(&path, &before, boot("one")).await;
    let granted = fence(&ask(&store, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
    let waits = wait_for(&owner(2), TTL, TTL, None);
    let queued = ask(&store, "k", waits.clone()).await.expect("an answer");
    assert!(matches!(queued, Reply::Queued { .. }), "{queued:?}");
    let withdraw = Op::Withdraw { owner: owner(3), tombstone: TTL };
    ask(&store, "k", withdraw).await.expect("an answer");

    // The clock begins anew: moments of before would lie far in the future.
    let after = Clock::new();
    after.set_wall(5);
    let rebooted = open_on(&path, &after, boot("two")).await;
    let seen = ask(&rebooted, "k", Op::Inspect).await.expect("an answer");
    assert!(
        matches!(&seen, Reply::Inspected(s) if s.state == State::Free && s.waiters.is_empty()),
        "{seen:?}"
    );
    let next = fence(&ask(&rebooted, "k", acquire(&owner(3), TTL)).await.expect("an answer"));
    assert!(next > granted, "{next} after {granted}, though the wall clock went back");

    // A process that is still at yesterday's boot is told so.
    let error = ask(&store, "k", waits).await.expect_err("another boot");
    assert!(error.message.contains("another boot"), "{error}");
}

#[tokio::test]
async fn a_grant_is_pushed_to_the_waiter_near_and_far() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let (near, far) = (open(&path).await, open(&path).await);
    for waiter in [&near, &far] {
        let mut inbox = waiter.inbox().await.expect("an answer").expect("an inbox");
        fence(&ask(&near, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
        let address = Some(Arc::clone(&inbox.address));
        let waits = wait_for(&owner(2), TTL, TTL, address);
        let queued = ask(waiter, "k", waits).await.expect("an answer");
        assert!(matches!(queued, Reply::Queued { ahead: 0, .. }), "{queued:?}");
        ask(&near, "k", release(&owner(1))).await.expect("an answer");
        let push = next(&mut inbox).await;
        assert_eq!((push.key, push.owner, push.stamp), (key("k"), owner(2), 7));
        let held = ask(waiter, "k", acquire(&owner(2), TTL)).await.expect("an answer");
        assert_eq!(fence(&held), push.fence);
        ask(waiter, "k", release(&owner(2))).await.expect("an answer");
    }
}

#[tokio::test]
async fn many_grants_at_once_all_arrive() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let (here, there) = (open(&path).await, open(&path).await);
    let mut inbox = there.inbox().await.expect("an answer").expect("an inbox");
    let step = |n: u64, op| Request { key: key(&format!("key-{n}")), op };
    let inbox_of = || Some(Arc::clone(&inbox.address));
    let all = 0..500;
    here.call(all.clone().map(|n| step(n, acquire(&owner(1), TTL))).collect()).await.expect("held");
    let wait = |n| step(n, wait_for(&owner(2), TTL, TTL, inbox_of()));
    there.call(all.clone().map(wait).collect()).await.expect("queued");
    here.call(all.clone().map(|n| step(n, release(&owner(1)))).collect()).await.expect("released");
    let mut told = Vec::new();
    for _ in all.clone() {
        told.push(next(&mut inbox).await.key);
    }
    let mut keys: Vec<_> = all.map(|n| key(&format!("key-{n}"))).collect();
    told.sort();
    keys.sort();
    assert_eq!(told, keys);
}

#[tokio::test]
async fn a_full_inbox_is_offered_its_wake_ups_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let store = open(&path).await;
    let busy = UnixDatagram::bind(dir.path().join("locks.db.wake/busy")).expect("a socket");
    busy.set_read_timeout(Some(LIMIT)).expect("a limit");
    // More than a socket has room for (`net.unix.max_dgram_qlen`), each in its own datagram.
    let room = std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").expect("a number");
    let grants = room.trim().parse::<u64>().expect("a number") + 20;
    for n in 0..grants {
        let name = format!("key-{n}");
        fence(&ask(&store, &name, acquire(&owner(1), TTL)).await.expect("an answer"));
        let waits = wait_for(&owner(2), TTL, TTL, Some("busy".into()));
        ask(&store, &name, waits).await.expect("an answer");
    }
    for n in 0..grants {
        ask(&store, &format!("key-{n}"), release(&owner(1))).await.expect("never blocked");
    }
    for _ in 0..grants {
        busy.recv(&mut [0; 9000]).expect("a wake-up");
    }
}

#[tokio::test]
async fn noise_in_the_inbox_is_ignored() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let (here, there) = (open(&path).await, open(&path).await);
    let mut inbox = there.inbox().await.expect("an answer").expect("an inbox");
    let socket = dir.path().join("locks.db.wake").join(inbox.address.as_ref());
    let stranger = UnixDatagram::unbound().expect("a socket");
    for noise in [&[][..], &[1], &[0; 100], &[1; 100], &[9; 9000]] {
        stranger.send_to(noise, &socket).expect("sent");
    }
    fence(&ask(&here, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
    let waits = wait_for(&owner(2), TTL, TTL, Some(Arc::clone(&inbox.address)));
    ask(&there, "k", waits).await.expect("an answer");
    ask(&here, "k", release(&owner(1))).await.expect("an answer");
    assert_eq!(next(&mut inbox).await.owner, owner(2), "the first and only push");
}

#[tokio::test]
async fn an_address_does_not_lead_out_of_the_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let outside = UnixDatagram::bind(dir.path().join("victim")).expect("a socket");
    outside.set_nonblocking(true).expect("a mode");
    let store = open(&path).await;
    fence(&ask(&store, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
    let waits = wait_for(&owner(2), TTL, TTL, Some("../victim".into()));
    ask(&store, "k", waits).await.expect("an answer");
    ask(&store, "k", release(&owner(1))).await.expect("an answer");
    outside.recv(&mut [0; 8]).expect_err("nothing was sent there");
}

#[tokio::test]
async fn a_long_path_has_a_short_name_or_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let deep = dir.path().join("d".repeat(100)).join("e".repeat(100));
    std::fs::create_dir_all(&deep).expect("directories");
    let path = deep.join("locks.db");
    let (here, there) = (open(&path).await, open(&path).await);
    let mut inbox = there.inbox().await.expect("an answer").expect("an inbox");
    fence(&ask(&here, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
    let waits = wait_for(&owner(2), TTL, TTL, Some(Arc::clone(&inbox.address)));
    ask(&there, "k", waits).await.expect("an answer");
    ask(&here, "k", release(&owner(1))).await.expect("an answer");
    assert_eq!(next(&mut inbox).await.owner, owner(2));
    ask(&here, "k", release(&owner(2))).await.expect("an answer");

    // Where /proc is not mounted there is no short name: waiters look by themselves.
    let fd_names = dir.path().join("no-proc");
    let options = SqliteOptions { fd_names, ..SqliteOptions::default() };
    let blind = open_on(&path, &Clock::new(), options).await;
    assert!(blind.inbox().await.expect("an answer").is_none());
    fence(&ask(&blind, "other", acquire(&owner(1), TTL)).await.expect("locks work all the same"));
}

#[tokio::test]
async fn sockets_leave_with_their_inbox_or_their_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let wake = dir.path().join("locks.db.wake");
    let sockets = || std::fs::read_dir(&wake).expect("a directory").count();
    let store = open(&path).await;
    let inbox = store.inbox().await.expect("an answer").expect("an inbox");
    assert_eq!(sockets(), 1);
    drop(inbox);
    until(|| sockets() == 0).await;

    // As a process leaves them that was killed: bound, and nobody behind it.
    for name in ["one", "two"] {
        drop(UnixDatagram::bind(wake.join(name)).expect("a socket"));
    }
    let alive = UnixDatagram::bind(wake.join("three")).expect("a socket");
    fence(&ask(&store, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
    let waits = wait_for(&owner(2), TTL, TTL, Some("one".into()));
    ask(&store, "k", waits).await.expect("an answer");
    ask(&store, "k", release(&owner(1))).await.expect("an answer");
    until(|| sockets() == 2).await;
    let _second = open(&path).await;
    assert!(!wake.join("two").exists() && wake.join("three").exists());
    drop(alive);
}

#[tokio::test]
async fn a_heartbeat_in_a_long_queue_writes_little() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let clock = Clock::new();
    let store = open_on(&path, &clock, SqliteOptions::default()).await;
    let step = |op| Request { key: key("k"), op };
    let wait = |n| step(wait_for(&owner(n), TTL, TTL, None));
    store.call((0..1000).map(wait).collect()).await.expect("queued");
    let journal = || std::fs::metadata(dir.path().join("locks.db-wal")).expect("a journal").len();
    let before = journal();
    clock.advance(Duration::from_secs(1));
    let replies = store.call(vec![wait(500)]).await.expect("an answer");
    assert!(matches!(replies[..], [Reply::Queued { ahead: 499, .. }]), "{replies:?}");
    let frames = (journal() - before) / 4096;
    assert!(frames <= 4, "one heartbeat wrote {frames} pages");
}

#[tokio::test]
async fn looking_writes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let clock = Clock::new();
    let store = open_on(&path, &clock, SqliteOptions::default()).await;
    fence(&ask(&store, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
    let journal = || std::fs::read(dir.path().join("locks.db-wal")).expect("a journal");
    let before = journal();
    // Also when there is something to purge.
    for span in [Duration::ZERO, TTL, DAY * 3] {
        clock.advance(span);
        ask(&store, "k", Op::Inspect).await.expect("an answer");
        ask(&store, "never seen", Op::Inspect).await.expect("an answer");
        store.list("", None, 10).await.expect("a page");
    }
    assert_eq!(journal(), before);
}

#[tokio::test]
async fn the_thread_ends_with_the_last_handle() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let store = open(&path).await;
    let clone = store.clone();
    drop(store);
    fence(&ask(&clone, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
    assert!(dir.path().join("locks.db-wal").exists(), "a clone keeps it open");
    drop(clone);
    closed(&path).await;
}
