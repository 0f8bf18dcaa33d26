//! Programs that share locks: many processes at one counter, and a holder that is killed.

#![allow(clippy::disallowed_methods, reason = "tests measure real processes")]
#![allow(clippy::print_stdout, reason = "tests say what they measured")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tenure::Locks;

const PROCESSES: usize = 6;
const CYCLES: usize = 300;
/// No step of a healthy machine takes so long, however busy it is.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The example `counter`, built as this test was.
fn counter() -> PathBuf {
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "tenure", "--example", "counter"])
        .status();
    assert!(build.expect("cargo runs").success(), "the example does not build");
    let test = std::env::current_exe().expect("this test's path");
    let profile = test.ancestors().nth(2).expect("the profile's directory");
    profile.join("examples").join("counter")
}

/// What six processes made of the counter, and how often they overlapped.
fn count_together(store: &str, file: &Path) -> (usize, usize) {
    let counter = counter();
    let started: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let mut command = Command::new(&counter);
            command.arg(store).arg(file).arg(CYCLES.to_string());
            Running(command.spawn().expect("the example starts"))
        })
        .collect();
    for mut running in started {
        assert!(running.0.wait().expect("its end").success(), "it failed");
    }
    let count = std::fs::read_to_string(file).expect("the counter");
    let overlaps = std::fs::read_to_string(format!("{}.overlaps", file.display()));
    (count.parse().expect("a number"), overlaps.unwrap_or_default().lines().count())
}

#[test]
fn six_processes_count_right_and_never_overlap() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = format!("sqlite:{}", dir.path().join("locks.db").display());
    let (count, overlaps) = count_together(&store, &dir.path().join("count"));
    assert_eq!((count, overlaps), (PROCESSES * CYCLES, 0));
}

/// The detector detects, and the counter miscounts, where there is no lock.
#[test]
fn without_a_lock_the_detector_sees_them_overlap() {
    let dir = tempfile::tempdir().expect("a directory");
    let (count, overlaps) = count_together("none", &dir.path().join("count"));
    println!("without a lock: {count} of {}, {overlaps} overlaps", PROCESSES * CYCLES);
    assert!(overlaps > 0, "the detector is blind");
    assert!(count < PROCESSES * CYCLES, "the race is none");
}

const ROLE: &str = "TENURE_TEST_HOLDS";
const TTL: Duration = Duration::from_millis(500);
const ROUNDS: usize = 20;

/// Not a test but what the next one starts: it holds a lock until it is killed.
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

fn start_holder(store: &str) -> Running {
    let mut command = Command::new(std::env::current_exe().expect("this test's path"));
    command.args(["role_holder", "--exact", "--nocapture"]).env(ROLE, store);
    let mut holder = Running(command.stdout(Stdio::piped()).spawn().expect("a process"));
    let mut said = BufReader::new(holder.0.stdout.take().expect("its stdout")).lines();
    let held = said.any(|line| line.expect("a line").contains("@held"));
    assert!(held, "the holder ended in silence");
    holder
}

/// How long after the end of a killed holder's lease the waiter was granted; `None` if the
/// machine was so busy that the lease ended before it could be looked at.
async fn succession(store: &str, locks: &Locks) -> Option<Duration> {
    let holder = start_holder(store);
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

#[tokio::test]
async fn killed_holder_is_succeeded_as_soon_as_its_lease_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = format!("sqlite:{}", dir.path().join("locks.db").display());
    let locks = tenure::connect(&store).await.expect("opens");
    let mut late = Vec::new();
    for _ in 0..3 * ROUNDS {
        late.extend(succession(&store, &locks).await);
        if late.len() == ROUNDS {
            break;
        }
    }
    assert_eq!(late.len(), ROUNDS, "the machine is too busy to measure");
    late.sort_unstable();
    let (median, worst) = (late[ROUNDS / 2], late[ROUNDS - 1]);
    println!("granted after the lease's end: median {median:?}, worst {worst:?}, limit 50 ms");
    assert!(median <= Duration::from_millis(50), "{late:?}");
}
