//! Seven processes that read in a stream and one that writes: it is alone when it writes, and it
//! does not wait for longer than the readers in front of it take.
//!
//! `TENURE_READERS_SECONDS=60 cargo test -p tenure --test processes readers -- --nocapture` takes
//! so long for each store.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use tenure::{Guard, RwLock};
use tenure_testkit::{Flavour, Running, role};

use crate::home::{Home, PATIENCE, inherited, open, whole_lines};

const READERS: u64 = 7;
/// How long one reads, at least; each process a little longer than the one before.
const READING: Duration = Duration::from_millis(5);
const WRITING: Duration = Duration::from_millis(2);
/// The pause of the writer, in which readers stream in.
const BETWEEN: Duration = Duration::from_millis(30);
/// So often it writes in the short form.
const WRITES: usize = 30;

/// The variables with the number of a process of this test, and whether the writer claims no more
/// than a reader does.
const NUMBER: &str = "TENURE_TEST_NUMBER";
const IS_CARELESS: &str = "TENURE_TEST_CARELESS";
/// The variable with the length of the long form.
const SECONDS: &str = "TENURE_READERS_SECONDS";

/// The place where they meet. Those inside have a lock of the kernel on a file, so it knows who may
/// be there together; and they write down when they were.
struct Room(PathBuf);

/// A line that one of them has written down.
#[derive(Debug, Clone, Copy)]
enum Entry {
    Read(Turn),
    Write(Turn),
    Violation,
}

/// When one asked, held the lock, and gave it back, on the host's clock.
#[derive(Debug, Clone, Copy)]
struct Turn {
    asked: Duration,
    begin: Duration,
    end: Duration,
}

impl Room {
    /// Goes in, and answers the proof. It notes a violation if somebody is inside who must not be.
    fn enter(&self, operation: FlockOperation) -> File {
        let file = open(&self.0.join("inside"));
        if flock(&file, operation).is_err() {
            self.note("v");
        }
        file
    }

    fn note(&self, line: &str) {
        let mut file = open(&self.0.join("notes"));
        file.write_all(format!("{line}\n").as_bytes()).expect("a line");
    }

    fn entries(&self) -> Vec<Entry> {
        let entry = |line: &String| {
            let mut words = line.split(' ');
            let word = words.next();
            let mut time = || {
                let micros = words.next().expect("a time").parse().expect("a number");
                Duration::from_micros(micros)
            };
            let mut turn = || Turn { asked: time(), begin: time(), end: time() };
            match word.expect("a word") {
                "r" => Entry::Read(turn()),
                "w" => Entry::Write(turn()),
                "v" => Entry::Violation,
                other => panic!("{other}"),
            }
        };
        whole_lines(&self.0.join("notes")).iter().map(entry).collect()
    }
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros()
}

/// Not a test but what one starts: it reads, or the first one writes, until it is killed.
#[tokio::test]
async fn role_reader_or_writer() {
    let Some((store, room)) = inherited() else { return };
    let number: u64 = std::env::var(NUMBER).expect("a number").parse().expect("a number");
    let room = Room(room);
    let locks = tenure::connect(&store).await.expect("opens");
    let rwlock = locks.rwlock("room").with_ttl(Duration::from_secs(5));
    match number {
        0 => write(&room, &rwlock).await,
        _ => read(&room, &rwlock, READING + Duration::from_millis(number)).await,
    }
}

async fn write(room: &Room, rwlock: &RwLock) {
    let is_careless = std::env::var_os(IS_CARELESS).is_some();
    loop {
        let (writer, asked) = if is_careless {
            (rwlock.read().await.expect("granted"), now())
        } else {
            write_from(rwlock).await
        };
        let begin = now();
        let inside = room.enter(FlockOperation::NonBlockingLockExclusive);
        tokio::time::sleep(WRITING).await;
        drop(inside);
        room.note(&format!("w {asked} {begin} {}", now()));
        writer.release().await.expect("released");
        tokio::time::sleep(BETWEEN).await;
    }
}

/// Waits in line as a writer, and answers since when it stood there: the time until its request has
/// got there is the machine's.
async fn write_from(rwlock: &RwLock) -> (Guard, u128) {
    let in_line = async {
        let seen = || async { rwlock.inspect().await.expect("a look").waiters };
        while !seen().await.iter().any(|waiter| waiter.exclusive) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        now()
    };
    let (mut writer, mut in_line) = (pin!(rwlock.write()), pin!(in_line));
    let since = tokio::select! {
        biased;
        writer = &mut writer => return (writer.expect("granted"), now()),
        since = &mut in_line => since,
    };
    (writer.await.expect("granted"), since)
}

/// Every fourth time it writes in place if it is alone.
async fn read(room: &Room, rwlock: &RwLock, stay: Duration) {
    for turn in 0_u64.. {
        let asked = now();
        let mut reader = rwlock.read().await.expect("granted");
        let begin = now();
        let inside = room.enter(FlockOperation::NonBlockingLockShared);
        tokio::time::sleep(stay).await;
        drop(inside);
        if turn.is_multiple_of(4) {
            change(room, &mut reader).await;
        }
        room.note(&format!("r {asked} {begin} {}", now()));
        reader.release().await.expect("released");
    }
}

async fn change(room: &Room, reader: &mut Guard) {
    if reader.try_upgrade().await.expect("an answer") {
        drop(room.enter(FlockOperation::NonBlockingLockExclusive));
        reader.downgrade().await.expect("a reader");
    }
    drop(room.enter(FlockOperation::NonBlockingLockShared));
}

/// The processes of a test. They are killed when this is dropped.
struct Crowd {
    room: Room,
    _running: Vec<Running>,
    _home: Home,
}

impl Crowd {
    fn at(server: Option<Flavour>, is_careless: bool) -> Self {
        let home = Home::at(server);
        let start = |number: u64| {
            let mut command = role!(role_reader_or_writer);
            command.env(NUMBER, number.to_string());
            if is_careless {
                command.env(IS_CARELESS, "yes");
            }
            home.start(&mut command)
        };
        let running = (0..=READERS).map(start).collect();
        Self { room: Room(home.room.clone()), _running: running, _home: home }
    }

    /// Waits until this is so of the notes, which it answers.
    fn until(&self, what: &str, so: impl Fn(&[Entry]) -> bool, limit: Duration) -> Vec<Entry> {
        let begun = Instant::now();
        loop {
            let entries = self.room.entries();
            if so(&entries) {
                return entries;
            }
            assert!(begun.elapsed() < limit, "{what}: not in {} notes", entries.len());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// All turns of readers, and all of the writer.
fn turns(entries: &[Entry]) -> [Vec<Turn>; 2] {
    let mut turns = [vec![], vec![]];
    for entry in entries {
        match entry {
            Entry::Read(turn) => turns[0].push(*turn),
            Entry::Write(turn) => turns[1].push(*turn),
            Entry::Violation => {}
        }
    }
    turns
}

fn writes(entries: &[Entry]) -> usize {
    turns(entries)[1].len()
}

/// The longest time of all turns.
fn longest(turns: &[Turn], time: impl Fn(&Turn) -> Duration) -> Duration {
    turns.iter().map(time).max().unwrap_or_default()
}

/// The longest time from the end of the last one that was waited for; without any, from the
/// request. So it has all that the machine adds to the time of the lock.
fn handoff(turns: &[Turn], others: &[Turn]) -> Duration {
    longest(turns, |turn| {
        let ends = others.iter().map(|other| other.end);
        let last = ends.filter(|end| (turn.asked..=turn.begin).contains(end)).max();
        turn.begin.saturating_sub(last.unwrap_or(turn.asked))
    })
}

fn stream_of_readers(server: Option<Flavour>) {
    let crowd = Crowd::at(server, false);
    let seconds = std::env::var(SECONDS).ok();
    if let Some(seconds) = seconds {
        std::thread::sleep(Duration::from_secs(seconds.parse().expect("a number")));
    }
    let entries = crowd.until("enough writes", |entries| writes(entries) >= WRITES, PATIENCE);
    drop(crowd);
    let violations = entries.iter().filter(|entry| matches!(entry, Entry::Violation)).count();
    let [readers, writer] = turns(&entries);
    let wait = longest(&writer, |turn| turn.begin.saturating_sub(turn.asked));
    let stay = longest(&readers, |turn| turn.end.saturating_sub(turn.begin));
    let handoff = handoff(&writer, &readers).max(handoff(&readers, &writer));
    println!(
        "{} reads, {} writes, {violations} violations; the writer waited {wait:?} at most, a \
         reader stayed {stay:?}, a handoff took {handoff:?}",
        readers.len(),
        writer.len()
    );
    assert_eq!(violations, 0, "a writer was not alone");
    // Those in front of it got the lock before it stood in line: each has to hear of that, and to
    // stay, and then the writer has to hear.
    assert!(wait <= 2 * (stay + handoff), "the writer was starved: {wait:?}");
}

#[test]
fn stream_of_readers_sqlite() {
    stream_of_readers(None);
}

#[test]
fn stream_of_readers_redis() {
    stream_of_readers(Some(Flavour::Redis));
}

#[test]
fn stream_of_readers_valkey() {
    stream_of_readers(Some(Flavour::Valkey));
}

/// The detector detects.
#[test]
fn writer_that_claims_no_more_than_a_reader_is_seen() {
    let seen = |entries: &[Entry]| entries.iter().any(|entry| matches!(entry, Entry::Violation));
    Crowd::at(None, true).until("a violation", seen, PATIENCE);
}
