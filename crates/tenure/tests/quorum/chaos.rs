//! Five servers that are killed, stopped, emptied and restarted at random, with their data and
//! without, under six processes that want one lock. `TENURE_CHAOS_SECONDS=300` is the long form,
//! and `TENURE_CHAOS_RESULT` names a file for what it came to.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tenure::{ErrorKind, Locks, Renewal};
use tenure_testkit::{Flavour, Running, Server, role};

use crate::nodes::machine;

const PROCESSES: usize = 6;
const KEY: &str = "stock";
/// As long as it takes a lease to end, and a server to be trusted again.
const MAX_TTL: &str = "2s";
/// A grant a second is wanted, and a busy machine gets so much more time for it.
const LONGER: u32 = 10;

/// A grant as its holder saw it, on the clock that all processes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    from: u64,
    until: u64,
    fence: u64,
}

fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    machine().random(&mut bytes);
    u64::from_le_bytes(bytes) % below
}

/// One of the six. The test below starts it, with everything it needs in its environment.
#[tokio::test]
#[ignore = "started by the test below"]
async fn contender() {
    let told = |name: &str| std::env::var(name).expect("started by the test below");
    let (url, log, stop) = (told("CONTENDER_URL"), told("CONTENDER_LOG"), told("CONTENDER_STOP"));
    let mut log = OpenOptions::new().append(true).create(true).open(log).expect("the log");
    let locks = loop {
        match tenure::connect(&url).await {
            Ok(locks) => break locks,
            // It may be that too few are up, or that the machine is busy.
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
        if Path::new(&stop).exists() {
            return;
        }
    };
    while !Path::new(&stop).exists() {
        if let Some(held) = hold_once(&locks).await {
            // One write, so that lines of six processes do not mix.
            let line = format!("{} {} {}\n", held.from, held.until, held.fence);
            log.write_all(line.as_bytes()).expect("the log");
        }
    }
}

/// Holds the lock for a while: mostly briefly, now and then to the very end of its validity.
async fn hold_once(locks: &Locks) -> Option<Held> {
    let to_the_end = random(8) == 0;
    let renewal = if to_the_end { Renewal::Off } else { Renewal::Auto };
    let mutex = locks.mutex(KEY).with_ttl(Duration::from_secs(1)).with_renewal(renewal);
    let guard = mutex.with_wait(Duration::from_secs(2)).acquire().await.ok()?;
    let from = machine().now();
    if from >= guard.deadline() {
        // Paused until its lease was over: it has held nothing.
        return None;
    }
    if to_the_end {
        guard.lost().await;
    } else {
        tokio::time::sleep(Duration::from_millis(random(30))).await;
    }
    let until = machine().now().min(guard.deadline());
    let held =
        Held { from: from.as_micros(), until: until.as_micros(), fence: guard.fence().get() };
    // A lease that cannot be released now is released in the background.
    let _ = guard.release().await;
    Some(held)
}

/// Does something to one of the servers, and undoes it after a while. At most two are away or
/// young at a time, or nobody would be granted anything.
fn trouble(servers: &[Server]) -> &'static str {
    let server = &servers[usize::try_from(random(5)).expect("small")];
    let away = Duration::from_millis(random(1_200));
    match random(5) {
        0 => {
            server.kill9();
            std::thread::sleep(away);
            server.restart();
            "kill, with its data"
        }
        1 => {
            server.kill9();
            std::thread::sleep(away);
            server.restart_empty();
            "kill, empty"
        }
        2 => {
            server.restart_empty();
            "restart, empty"
        }
        3 => {
            // All links to it live on.
            server.command(&["FLUSHALL"]);
            "emptied"
        }
        _ => {
            server.stop();
            std::thread::sleep(away);
            server.cont();
            "stop"
        }
    }
}

#[test]
fn servers_come_and_go_and_nobody_overlaps() {
    let seconds: u64 = match std::env::var("TENURE_CHAOS_SECONDS") {
        Ok(number) => number.parse().expect("a number"),
        Err(_) => 12,
    };
    let servers: Vec<_> =
        (0..5).map(|_| Server::of(Flavour::Redis).with_aof("always").start()).collect();
    let dir = tempfile::tempdir().expect("a directory");
    let (log, stop) = (dir.path().join("held"), dir.path().join("stop"));
    let urls: Vec<_> = servers.iter().map(Server::url).collect();
    let url = format!("quorum:{} ?max_ttl={MAX_TTL}&node_timeout=300ms", urls.join(" "));
    let clients: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let mut command = role!(contender);
            command.arg("--ignored").env("CONTENDER_URL", &url).env("CONTENDER_LOG", &log);
            command.env("CONTENDER_STOP", &stop);
            command.stdout(std::process::Stdio::null());
            Running::start(&mut command)
        })
        .collect();
    let span = Duration::from_secs(seconds);
    let begun = Instant::now();
    let mut troubles = std::collections::BTreeMap::new();
    let is_enough = || read(&log).lines().count() as u64 >= seconds;
    while begun.elapsed() < span || (!is_enough() && begun.elapsed() < span * LONGER) {
        *troubles.entry(trouble(&servers)).or_insert(0) += 1;
        // One that came back empty is trusted again after two seconds.
        std::thread::sleep(Duration::from_millis(700 + random(1_800)));
    }
    std::fs::write(&stop, "").expect("a file");
    for mut running in clients {
        assert!(running.wait().expect("its end").success(), "a contender failed");
    }
    judge(&log, seconds, &troubles);
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}

/// Overlaps, fences out of order, and what a resource that looks at fences would have let pass.
fn judge(log: &Path, seconds: u64, troubles: &std::collections::BTreeMap<&str, u32>) {
    let mut held: Vec<Held> = read(log)
        .lines()
        .map(|line| {
            let mut numbers = line.split(' ').map(|word| word.parse().expect("a number"));
            let mut next = || numbers.next().expect("three numbers");
            Held { from: next(), until: next(), fence: next() }
        })
        .collect();
    held.sort_unstable();
    let pairs = || held.windows(2).map(|pair| (pair[0], pair[1]));
    let overlaps = pairs().filter(|(one, next)| next.from < one.until).count();
    let backwards = pairs().filter(|(one, next)| next.fence <= one.fence).count();
    // Writes at the beginning and at the end of each lease; the resource refuses what is below
    // the largest fence it has seen. One that came too late would be a write of an older lease
    // after one of a newer, let pass.
    let mut writes: Vec<_> =
        held.iter().flat_map(|h| [(h.from, h.fence, h.from), (h.until, h.fence, h.from)]).collect();
    writes.sort_unstable();
    let (mut seen, mut newest, mut stale) = (0, 0, 0);
    for (_, fence, lease) in writes {
        if fence >= seen {
            stale += usize::from(lease < newest);
            seen = fence;
        }
        newest = newest.max(lease);
    }
    let away = pairs().map(|(one, next)| next.from.saturating_sub(one.until)).max();
    let result = format!(
        "{{\"seconds\":{seconds},\"processes\":{PROCESSES},\"servers\":5,\"grants\":{},\
         \"overlaps\":{overlaps},\"fence_faults\":{backwards},\"stale_writes\":{stale},\
         \"longest_gap_ms\":{},\"troubles\":{troubles:?}}}",
        held.len(),
        away.unwrap_or_default() / 1000
    );
    println!("{result}");
    if let Ok(file) = std::env::var("TENURE_CHAOS_RESULT") {
        std::fs::write(file, format!("{result}\n")).expect("the result's file");
    }
    assert_eq!((overlaps, backwards, stale), (0, 0, 0), "{result}");
    let floor = usize::try_from(seconds).expect("small");
    assert!(held.len() >= floor, "fewer than one grant a second: {result}");
}
