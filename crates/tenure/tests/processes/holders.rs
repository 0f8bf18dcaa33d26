//! Programs that share locks: many processes at one counter, and a holder that is killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tenure::{ErrorKind, Locks, Renewal};
use tenure_testkit::{Flavour, Running, Server, clean, role, wait_until};

use crate::example_programs::example;
use crate::home::unhurried;

const PROCESSES: usize = 6;
const CYCLES: usize = 300;
/// No step of a healthy machine takes so long, however busy it is.
const PATIENCE: Duration = Duration::from_secs(60);

/// The counter after six processes have used it, and how often they overlapped.
fn count_together(store: &str, file: &Path) -> (usize, usize) {
    let counter = example("counter");
    let started: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let mut command = Command::new(&counter);
            clean(&mut command).arg(store).arg(file).arg(CYCLES.to_string());
            Running::start(&mut command)
        })
        .collect();
    for mut running in started {
        assert!(running.wait().expect("its end").success(), "it failed");
    }
    let count = std::fs::read_to_string(file).expect("the counter");
    let overlaps = std::fs::read_to_string(format!("{}.overlaps", file.display()));
    (count.parse().expect("a number"), overlaps.unwrap_or_default().lines().count())
}

/// A store that processes can share, gone with its value.
struct Shared {
    url: String,
    dir: TempDir,
    _server: Option<Server>,
}

impl Shared {
    fn sqlite() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", dir.path().join("locks.db").display());
        Self { url, dir, _server: None }
    }

    fn server(flavour: Flavour) -> Self {
        let server = Server::of(flavour).start();
        let dir = tempfile::tempdir().expect("a directory");
        Self { url: unhurried(&server), dir, _server: Some(server) }
    }
}

/// Every test of this file on one store each.
macro_rules! on {
    ($($store:ident: $shared:expr;)+) => {
        $(mod $store {
            use super::*;

            #[test]
            fn six_processes_count_right_and_never_overlap() {
                count_right(&$shared);
            }

            #[tokio::test]
            async fn killed_holder_is_succeeded_as_soon_as_its_lease_ends() {
                killed_holder(&$shared).await;
            }

            #[tokio::test]
            async fn guard_alive_at_the_end_of_main_after_close_is_released() {
                closed_program(&$shared).await;
            }

            #[tokio::test]
            async fn stopped_holder_wakes_up_lost_and_leaves_its_successor_alone() {
                stopped_holder(&$shared).await;
            }
        })+
    };
}

on! {
    sqlite: Shared::sqlite();
}

on! {
    redis: Shared::server(Flavour::Redis);
    valkey: Shared::server(Flavour::Valkey);
}

fn count_right(shared: &Shared) {
    let (count, overlaps) = count_together(&shared.url, &shared.dir.path().join("count"));
    assert_eq!((count, overlaps), (PROCESSES * CYCLES, 0));
}

/// The detector detects, and the counter miscounts, where there is no lock.
#[test]
fn without_a_lock_the_detector_sees_them_overlap() {
    let begun = Instant::now();
    loop {
        let dir = tempfile::tempdir().expect("a directory");
        let (count, overlaps) = count_together("none", &dir.path().join("count"));
        println!("without a lock: {count} of {}, {overlaps} overlaps", PROCESSES * CYCLES);
        if overlaps > 0 && count < PROCESSES * CYCLES {
            break;
        }
        // A busy machine may run one after the other, once.
        assert!(begun.elapsed() < PATIENCE, "the detector is blind, or the race is none");
    }
}

/// The variable with the store of a process that plays a role.
const ROLE: &str = "TENURE_TEST_STORE";
const TTL: Duration = Duration::from_millis(500);
const ROUNDS: usize = 20;
/// Long enough to be stopped within, unless the machine is very busy.
const SLEEPER_TTL: Duration = Duration::from_secs(3);
/// Time that a grant at the end of a lease takes: a timer and one call. A waiter that only looked
/// with its heartbeats would come half a second late on average.
const LATE: Duration = Duration::from_millis(100);

/// Not a test but what one starts: it holds a lock until it is killed.
#[tokio::test]
async fn role_holder() {
    let Ok(store) = std::env::var(ROLE) else {
        return;
    };
    let locks = tenure::connect(&store).await.expect("opens");
    let guard = locks.mutex("key").with_ttl(TTL).acquire().await.expect("granted");
    println!("@held");
    guard.lost().await;
}

/// This test program once more, in a role; it has said what it says first.
fn start(mut role: Command, store: &str) -> (Running, impl Iterator<Item = String>) {
    role.env(ROLE, store);
    let mut running = Running::start(role.stdout(Stdio::piped()));
    let lines = BufReader::new(running.stdout.take().expect("its stdout")).lines();
    let mut said = lines.filter_map(|line| {
        let line = line.expect("a line");
        line.split_once('@').map(|(_, said)| said.to_owned())
    });
    assert_eq!(said.next().as_deref(), Some("held"));
    (running, said)
}

/// How long after the end of a killed holder's lease the waiter was granted; `None` if the
/// machine was so busy that the lease ended before it could be looked at.
async fn succession(store: &str, locks: &Locks) -> Option<Duration> {
    let (holder, _) = start(role!(role_holder), store);
    let mutex = locks.mutex("key");
    let waiter = tokio::spawn({
        let mutex = mutex.clone();
        async move {
            let guard = mutex.acquire().await.expect("granted");
            (Instant::now(), guard)
        }
    });
    let patience = Instant::now() + PATIENCE;
    let held = loop {
        let seen = mutex.inspect().await.expect("a look");
        if !seen.waiters.is_empty() {
            break seen.fence;
        }
        if waiter.is_finished() {
            // The holder was not run for longer than its ttl.
            let (_, guard) = waiter.await.expect("no panic");
            guard.release().await.expect("released");
            return None;
        }
        assert!(Instant::now() < patience, "no place in line");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    // Dropping it kills it with SIGKILL and waits for its end.
    drop(holder);
    let looked = Instant::now();
    let seen = mutex.inspect().await.expect("a look");
    let granted = tokio::time::timeout(PATIENCE, waiter).await.expect("a grant");
    let (granted, guard) = granted.expect("no panic");
    assert!(Some(guard.fence()) > held);
    guard.release().await.expect("released");
    let left = seen.holders.first().filter(|h| Some(h.fence) == held)?;
    // The look came after `looked`, so the lease ended no earlier than this.
    let end = looked + left.remaining;
    assert!(granted >= end, "granted {:?} too early", end - granted);
    Some(granted - end)
}

async fn killed_holder(shared: &Shared) {
    let locks = tenure::connect(&shared.url).await.expect("opens");
    let mut late = Vec::new();
    let begun = Instant::now();
    while late.len() < ROUNDS {
        assert!(begun.elapsed() < 4 * PATIENCE, "the machine is too busy to measure: {late:?}");
        late.extend(succession(&shared.url, &locks).await);
    }
    late.sort_unstable();
    let (quarter, median, worst) = (late[ROUNDS / 4], late[ROUNDS / 2], late[ROUNDS - 1]);
    println!("granted after the lease's end: {quarter:?}, median {median:?}, worst {worst:?}");
    // Other work on the machine may delay most of them, but not all.
    assert!(quarter <= LATE, "{late:?}");
}

/// Not a test but what the next one starts: it closes, and ends at once with a guard alive.
#[tokio::test]
async fn role_closer() {
    let Ok(store) = std::env::var(ROLE) else {
        return;
    };
    let locks = tenure::connect(&store).await.expect("opens");
    let guard = locks.mutex("key").with_ttl(2 * PATIENCE).acquire().await.expect("granted");
    println!("@held");
    locks.close(PATIENCE).await.expect("all was answered");
    assert!(guard.check().is_err());
    // Nothing is dropped: what the guard would do then comes too late for this process.
    std::process::exit(0);
}

async fn closed_program(shared: &Shared) {
    let (mut closer, _said) = start(role!(role_closer), &shared.url);
    assert!(closer.wait().expect("its end").success());
    let locks = tenure::connect(&shared.url).await.expect("opens");
    let seen = locks.mutex("key").inspect().await.expect("a look");
    assert!(seen.holders.is_empty(), "{seen:?}");
}

/// Not a test but what the next one starts: it tells what became of its lease.
#[tokio::test]
async fn role_sleeper() {
    let Ok(store) = std::env::var(ROLE) else {
        return;
    };
    let locks = tenure::connect(&store).await.expect("opens");
    let mutex = locks.mutex("key").with_ttl(SLEEPER_TTL).with_renewal(Renewal::Off);
    let guard = mutex.acquire().await.expect("granted");
    println!("@held");
    // Stopped in here, past the deadline: the first thing it does then is to ask.
    while guard.check().is_ok() {
        std::thread::yield_now();
    }
    let lost = guard.check().expect_err("once lost, always lost");
    assert_eq!(lost.kind(), ErrorKind::Lost);
    println!("@{:?}", guard.release().await.expect("an answer"));
}

fn is_stopped(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.expect("it lives").rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

async fn stopped_holder(shared: &Shared) {
    let locks = tenure::connect(&shared.url).await.expect("opens");
    let mutex = locks.mutex("key");
    let begun = Instant::now();
    let (_sleeper, pid, mut said) = loop {
        let (sleeper, said) = start(role!(role_sleeper), &shared.url);
        let pid = i32::try_from(sleeper.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, Signal::STOP).expect("stopped");
        wait_until("it is stopped", || is_stopped(pid));
        // Before the end of its lease, that is; if not, it may have looked already.
        if mutex.held_by_anyone().await.expect("a look") {
            break (sleeper, pid, said);
        }
        assert!(begun.elapsed() < PATIENCE, "the machine is too busy to stop it in time");
    };
    let next = tokio::time::timeout(PATIENCE, mutex.acquire()).await.expect("in time");
    let next = next.expect("granted");
    kill_process(pid, Signal::CONT).expect("continued");
    assert_eq!(said.next().as_deref(), Some("Others"));
    next.check().expect("the successor was left alone");
    let seen = mutex.inspect().await.expect("a look");
    assert_eq!(seen.holders[0].fence, next.fence());
}
