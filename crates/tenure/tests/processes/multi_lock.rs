//! Eight processes acquire random sets of six keys, and give up at random.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tenure::{Key, Locks, LocksOptions, MultiGuard};
use tenure_testkit::{Flavour, Running, Server, role, wait_until};

use crate::home::unhurried;

const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const PROCESSES: u64 = 8;
/// Of each process: 1,000 together.
const ACQUISITIONS: u32 = 125;
/// The variables of a process that plays the role: the store; a directory; a number.
const STORE: &str = "TENURE_TEST_MULTI_STORE";
const DIR: &str = "TENURE_TEST_MULTI_DIR";
const NUMBER: &str = "TENURE_TEST_MULTI_NUMBER";
/// A deadlock ends no sooner than this. The work takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// Nothing that is left behind ends by itself while somebody looks.
const TTL: Duration = Duration::from_secs(3600);

#[test]
fn a_thousand_random_sets_on_sqlite() {
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}", dir.path().join("locks.db").display());
    random_sets(&url);
}

#[test]
fn a_thousand_random_sets_on_redis() {
    let server = Server::of(Flavour::Redis).start();
    random_sets(&unhurried(&server));
}

#[test]
fn a_thousand_random_sets_on_valkey() {
    let server = Server::of(Flavour::Valkey).start();
    random_sets(&unhurried(&server));
}

fn random_sets(store: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut started: Vec<_> = (0..PROCESSES).map(|number| start(store, &dir, number)).collect();
    for running in &mut started {
        let mut ended = None;
        let limit = std::time::Instant::now() + PATIENCE;
        while ended.is_none() && std::time::Instant::now() < limit {
            ended = running.try_wait().expect("its state");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(ended.expect("no deadlock").success(), "a process has failed");
    }
    let told: Vec<_> = (0..PROCESSES).map(|number| told(dir.path(), number)).collect();
    let [at_once, waited, given_up] =
        told.iter().fold([0; 3], |sum, told| [0, 1, 2].map(|which| sum[which] + told[which]));
    println!("{at_once} sets were held at once, {waited} after a wait, {given_up} given up");
    let are_many = at_once > 50 && waited > 50 && given_up > 100;
    assert!(are_many, "{at_once} at once, {waited} after a wait, {given_up} given up");
    nothing_is_left(store);
}

fn start(store: &str, dir: &TempDir, number: u64) -> Running {
    let mut role = role!(role_of_random_sets);
    role.env(STORE, store).env(DIR, dir.path()).env(NUMBER, number.to_string());
    Running::start(&mut role)
}

/// Not a test but what one starts.
#[tokio::test]
async fn role_of_random_sets() {
    let Ok(store) = std::env::var(STORE) else {
        return;
    };
    let variable = |name| std::env::var(name).expect("it is set");
    let (dir, number) = (variable(DIR), variable(NUMBER).parse::<u64>().expect("a number"));
    let options = LocksOptions::default().with_store_timeout(PATIENCE);
    let locks = tenure::connect_with(&store, options).await.expect("opens");
    let mut random = Random(number + 1);
    let mut counts = [0; 3];
    for _ in 0..ACQUISITIONS {
        counts[one_set(&locks, Path::new(&dir), &mut random).await as usize] += 1;
    }
    locks.close(PATIENCE).await.expect("all was answered");
    let [at_once, waited, given_up] = counts;
    let file = Path::new(&dir).join(format!("process {number}"));
    fs::write(file, format!("{at_once} {waited} {given_up}")).expect("it tells");
}

/// How a set came to be held, if it was.
#[derive(Debug, Clone, Copy)]
enum Held {
    /// In one step.
    AtOnce,
    /// One of the keys was busy at first.
    AfterAWait,
    GivenUp,
}

/// Two thirds are tried before they are waited for. A half of those that are waited for are dropped
/// after a random time.
async fn one_set(locks: &Locks, dir: &Path, random: &mut Random) -> Held {
    let count = 1 + random.below(4);
    let keys: Vec<_> = (0..count).map(|_| KEYS[random.below(6)]).collect();
    let lock = locks.all(keys).with_ttl(TTL);
    let limit = match random.below(2) {
        0 => PATIENCE,
        _ => Duration::from_micros(random.below(20_000) as u64),
    };
    let tried = match random.below(3) {
        0 => None,
        _ => lock.try_acquire().await.expect("an answer"),
    };
    let (held, guard) = match tried {
        Some(guard) => (Held::AtOnce, guard),
        None => match tokio::time::timeout(limit, lock.acquire()).await {
            // Without a try before it, this may have been one step, too.
            Ok(guard) => (Held::AfterAWait, guard.expect("granted")),
            Err(_) => return Held::GivenUp,
        },
    };
    let alone: Vec<_> =
        guard.leases().iter().map(|lease| Alone::in_key(dir, lease.key())).collect();
    is_whole(locks, &guard).await;
    drop(alone);
    match random.below(3) {
        0 => drop(guard),
        1 => drop(tokio::time::timeout(Duration::from_micros(300), guard.release()).await),
        _ => drop(guard.release().await.expect("released")),
    }
    held
}

/// A file that is there while a process works under a key.
struct Alone(PathBuf);

impl Alone {
    /// No other process works under the key.
    fn in_key(dir: &Path, key: &Key) -> Self {
        let file = dir.join(key.as_str());
        fs::File::create_new(&file).expect("two processes hold one key");
        Self(file)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        fs::remove_file(&self.0).expect("it is still there");
    }
}

/// The store has every key for this owner.
async fn is_whole(locks: &Locks, guard: &MultiGuard) {
    for lease in guard.leases() {
        let seen = locks.mutex(lease.key()).inspect().await.expect("a look");
        let is_ours = seen.holders.first().is_some_and(|holder| &holder.owner == lease.owner());
        assert!(is_ours, "a part of the set is not held: {seen:?}");
    }
}

fn told(dir: &Path, number: u64) -> [u32; 3] {
    let text = fs::read_to_string(dir.join(format!("process {number}"))).expect("it has told");
    let counts: Vec<_> = text.split(' ').map(|count| count.parse().expect("a number")).collect();
    counts.try_into().expect("three numbers")
}

/// Long before the end of any lease.
fn nothing_is_left(store: &str) {
    let locks = tenure::blocking::connect(store).expect("opens");
    wait_until("nothing is held, nobody waits", || {
        KEYS.iter().all(|key| {
            let seen = locks.mutex(key).inspect().expect("a look");
            seen.holders.is_empty() && seen.waiters.is_empty()
        })
    });
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).expect("a small number")
    }
}
