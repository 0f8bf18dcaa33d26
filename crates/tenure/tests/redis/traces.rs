//! Nothing is left behind that stays. Keys end by themselves, subscriptions end with their handle,
//! and a client that works for long has no more connections and memory than at first.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tenure::{ErrorKind, Locks, Mutex};
use tenure_testkit::{Flavour, Server, role};

use crate::world::{
    acquire, channels, connect, keys, ms, nothing_but_memories, take, until, until_waiting,
};

const KEYS: usize = 2000;
const TASKS: usize = 50;
const CYCLES: usize = 100_000;
/// Memory that an allocator may keep, in KiB. Twenty bytes of each cycle would be too much.
const GROWTH_MAX_KIB: u64 = 2 * 1024;

#[tokio::test]
async fn keys_used_once_leave_no_key_without_a_ttl() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let tasks: Vec<_> =
            (0..TASKS).map(|task| tokio::spawn(use_once(locks.clone(), task))).collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        let left = keys(&server);
        // A lock that was only held and released has left nothing.
        assert!(left.len() < KEYS / 2, "{} keys are left", left.len());
        nothing_but_memories(&server);
        println!("{flavour}: {} keys left, each with a ttl", left.len());
    }
}

/// Uses keys once each: some are released, some withdrawn in line, some left to expire.
async fn use_once(locks: Locks, task: usize) {
    for number in 0..KEYS / TASKS {
        let key = format!("once {task} {number}");
        let guard = take(&locks, &key).await;
        if number % 8 == 0 {
            let error = locks.mutex(&key).with_wait(ms(5)).acquire().await;
            let kind = error.expect_err("it is held").kind();
            // A busy machine may not answer within the time for the first round trip.
            assert!(matches!(kind, ErrorKind::Busy | ErrorKind::Unavailable), "{kind:?}");
        }
        guard.release().await.expect("released");
    }
}

/// Fifty tasks of two handles want one to three of ten permits each, more than there are.
#[tokio::test]
async fn cycles_of_semaphores_leave_no_key_without_a_ttl() {
    const CYCLES: usize = 10_000;
    const SEMAPHORES: usize = 5;
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let handles = [connect(&server.url()).await, connect(&server.url()).await];
        let begun = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let locks = handles[task % 2].clone();
                tokio::spawn(async move {
                    for number in 0..CYCLES / TASKS {
                        let key = format!("pool {}", (task + number) % SEMAPHORES);
                        let units = u32::try_from(1 + (task + number) % 3).expect("small");
                        let permits = locks.semaphore(key, 10).acquire_many(units).await;
                        permits.expect("granted").release().await.expect("released");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        for handle in &handles {
            handle.close(ms(60_000)).await.expect("closed");
        }
        let left = keys(&server);
        assert!(left.len() < 4 * SEMAPHORES, "{} keys are left: {left:?}", left.len());
        nothing_but_memories(&server);
        println!("{flavour}: {CYCLES} cycles in {:?}, {} keys left", begun.elapsed(), left.len());
    }
}

#[tokio::test]
async fn subscriptions_end_with_their_handles() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        for _ in 0..5 {
            let handles = [connect(&server.url()).await, connect(&server.url()).await];
            let before = take(&handles[0], "key").await;
            let waiters: Vec<_> = (0..20)
                .map(|number| tokio::spawn(wait_and_release(handles[number % 2].mutex("key"))))
                .collect();
            // The tasks of a handle stand in one line, and its first at the store.
            until_waiting(&handles[0], "key", 2).await;
            assert_eq!(channels(&server), 2, "one for each handle, whatever the waiters");
            before.release().await.expect("released");
            for waiter in waiters {
                waiter.await.expect("granted");
            }
            for handle in &handles {
                handle.close(ms(60_000)).await.expect("closed");
            }
        }
        until("no subscription is left", async || channels(&server) == 0).await;
        until("no connection is left", async || connections(&server) == 0).await;
        nothing_but_memories(&server);
    }
}

async fn wait_and_release(mutex: Mutex) {
    acquire(&mutex).await.release().await.expect("released");
}

/// Connections over TCP. The harness comes over the Unix socket.
fn connections(server: &Server) -> usize {
    let list = server.command(&["CLIENT", "LIST"]).text().expect("a list");
    list.lines().filter(|line| line.contains(" name=tenure")).count()
}

const ROLE: &str = "TENURE_TEST_CYCLER";

/// Not a test but what the next one starts: a process of its own, so that its memory is its own.
#[tokio::test]
async fn role_cycler() {
    let Ok(url) = std::env::var(ROLE) else {
        return;
    };
    let locks = connect(&url).await;
    // All that is made once is there after the first tenth.
    run(&locks, CYCLES / 10, 0).await;
    let before = resident_kib();
    let begun = Instant::now();
    run(&locks, CYCLES, CYCLES).await;
    let (after, took) = (resident_kib(), begun.elapsed());
    println!("@{before} {after} {}", took.as_millis());
    // Until its parent has counted its connections.
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("stdin");
}

async fn run(locks: &Locks, cycles: usize, first: usize) {
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let locks = locks.clone();
            tokio::spawn(async move {
                for number in 0..cycles / TASKS {
                    let key = format!("cycle {}", first + number * TASKS + task);
                    acquire(&locks.mutex(key)).await.release().await.expect("released");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Not a scratch on a client that has worked for long: every key is another one.
#[test]
fn connections_and_memory_of_a_client_stay_flat() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let server = Server::redis().start();
    let mut command = role!(role_cycler);
    command.env(ROLE, server.url());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its stdout")).lines();
    let said = lines
        .by_ref()
        .map(|line| line.expect("a line"))
        .find_map(|line| line.split_once('@').map(|(_, said)| said.to_owned()))
        .expect("it says what it measured");
    let open = connections(&server);
    child.stdin.take().expect("its stdin").write_all(b"\n").expect("it listens");
    assert!(child.wait().expect("its end").success());
    let numbers: Vec<u64> = said.split(' ').map(|n| n.parse().expect("a number")).collect();
    let [before, after, took] = numbers[..] else { panic!("three numbers: {said}") };
    let took = Duration::from_millis(took);
    println!("{CYCLES} cycles in {took:?}: {before} KiB, then {after} KiB; {open} connections");
    assert!(after < before + GROWTH_MAX_KIB, "it grew from {before} to {after} KiB");
    assert!(open <= 2, "{open}: one link, a lone caller's at most, and nobody waited");
}
