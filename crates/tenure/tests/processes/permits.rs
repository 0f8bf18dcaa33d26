//! Processes that share a semaphore, some of which are killed while they hold a permit or wait for
//! one: as many are inside as there are permits, and never one more.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use tenure_testkit::{Flavour, Running, role};

use crate::home::{Home, PATIENCE, inherited, open, whole_lines};

const PERMITS: usize = 3;
const PROCESSES: usize = 6;
/// Time after which the permits of a killed process come back.
const TTL: Duration = Duration::from_secs(5);
/// How long a process stays inside.
const STAY: Duration = Duration::from_millis(20);
/// The variable with the number of permits of a process of this test.
const LIMIT: &str = "TENURE_TEST_PERMITS";

/// The place where those meet that have a permit. A process is inside while it has a lock of the
/// kernel on a file of its own, so a killed one is outside at once. Nobody enters while another
/// counts; one that leaves meanwhile makes the count too large by none, since it was inside when
/// the counting began.
struct Room(PathBuf);

impl Room {
    /// Keeps everybody from entering until the answer is dropped.
    fn closed(&self) -> File {
        let door = open(&self.0.join("door"));
        flock(&door, FlockOperation::LockExclusive).expect("a lock");
        door
    }

    /// The processes that are inside. The room must be closed.
    fn inside(&self) -> Vec<u32> {
        let entries = std::fs::read_dir(&self.0).expect("the room").map(|entry| {
            let name = entry.expect("an entry").file_name();
            name.to_str().expect("text").to_owned()
        });
        let processes = entries.filter_map(|name| name.parse().ok());
        let is_inside = |id: &u32| {
            let file = open(&self.0.join(id.to_string()));
            flock(&file, FlockOperation::NonBlockingLockShared).is_err()
        };
        processes.filter(is_inside).collect()
    }

    /// This process enters, and notes how many are inside then. It leaves when the answer is
    /// dropped.
    fn enter(&self) -> File {
        let door = self.closed();
        let count = self.inside().len() + 1;
        let own = open(&self.0.join(std::process::id().to_string()));
        flock(&own, FlockOperation::LockExclusive).expect("a lock");
        writeln!(&open(&self.0.join("counts")), "{count}").expect("a line");
        drop(door);
        own
    }

    /// All counts so far.
    fn counts(&self) -> Vec<usize> {
        let lines = whole_lines(&self.0.join("counts"));
        lines.iter().map(|line| line.parse().expect("a number")).collect()
    }
}

/// Not a test but what one starts: it goes in and out until it is killed.
#[tokio::test]
async fn role_visitor() {
    let Some((store, room)) = inherited() else { return };
    let permits = std::env::var(LIMIT).expect("a number").parse().expect("a number");
    let room = Room(room);
    let locks = tenure::connect(&store).await.expect("opens");
    let semaphore = locks.semaphore("room", permits).with_ttl(TTL);
    loop {
        let permit = semaphore.acquire().await.expect("granted");
        let inside = room.enter();
        tokio::time::sleep(STAY).await;
        drop(inside);
        permit.release().await.expect("released");
    }
}

/// The processes of a test.
struct Visitors {
    home: Home,
    room: Room,
    permits: usize,
    running: Vec<Running>,
}

impl Visitors {
    fn at(server: Option<Flavour>, permits: usize) -> Self {
        let home = Home::at(server);
        let room = Room(home.room.clone());
        let mut visitors = Self { home, room, permits, running: vec![] };
        (0..PROCESSES).for_each(|_| visitors.come());
        visitors
    }

    fn come(&mut self) {
        let mut command = role!(role_visitor);
        command.env(LIMIT, self.permits.to_string());
        self.running.push(self.home.start(&mut command));
    }

    /// Waits until so many were inside at a time, counted from now on.
    fn until_inside(&self, count: usize) {
        let (begun, before) = (Instant::now(), self.room.counts().len());
        while !self.room.counts()[before..].contains(&count) {
            assert!(begun.elapsed() < PATIENCE, "never {count}: {:?}", self.room.counts());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills so many of those inside, and so many of those who wait, all with SIGKILL; as many come
    /// anew. Answers how many were killed inside.
    fn kill(&mut self, holders: usize, waiters: usize) -> usize {
        let door = self.room.closed();
        let inside = self.room.inside();
        let (mut inside, mut outside): (Vec<_>, Vec<_>) =
            self.running.drain(..).partition(|process| inside.contains(&process.id()));
        let killed = holders.min(inside.len());
        // Dropping kills.
        inside.drain(..killed);
        outside.drain(..waiters.min(outside.len()));
        self.running.extend(inside);
        self.running.extend(outside);
        drop(door);
        while self.running.len() < PROCESSES {
            self.come();
        }
        killed
    }
}

fn killed_holders_and_waiters(server: Option<Flavour>) {
    let mut visitors = Visitors::at(server, PERMITS);
    visitors.until_inside(PERMITS);
    let mut killed = visitors.kill(1, 1);
    visitors.until_inside(PERMITS);
    killed += visitors.kill(PERMITS, 1);
    visitors.until_inside(PERMITS);
    while killed < PERMITS {
        killed += visitors.kill(1, 0);
        visitors.until_inside(PERMITS);
    }
    let counts = visitors.room.counts();
    let most = counts.iter().max();
    println!("{} visits, {killed} killed inside, {most:?} at a time", counts.len());
    assert_eq!(most, Some(&PERMITS), "more were inside than there are permits");
}

#[test]
fn killed_holders_and_waiters_sqlite() {
    killed_holders_and_waiters(None);
}

#[test]
fn killed_holders_and_waiters_redis() {
    killed_holders_and_waiters(Some(Flavour::Redis));
}

#[test]
fn killed_holders_and_waiters_valkey() {
    killed_holders_and_waiters(Some(Flavour::Valkey));
}

/// The detector detects.
#[test]
fn with_one_permit_more_one_more_is_seen() {
    Visitors::at(None, PERMITS + 1).until_inside(PERMITS + 1);
}
