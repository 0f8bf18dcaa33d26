//! A clock that stands still until a test moves it, roles for more processes, and words that
//! are quick to write.

#![allow(dead_code, reason = "each test program uses its part")]
#![allow(clippy::disallowed_methods, reason = "tests wait for real processes")]
#![allow(clippy::print_stdout, reason = "tests say what they measured")]

pub(crate) mod actor;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tenure::protocol::{Acquire, FenceRule, Op, Queueing, Reply, Request};
use tenure::runtime::{self, Moment, Runtime, Task};
use tenure::store::{Sqlite, Store, StoreError};
use tenure::{Claim, Fence, Key, Label, Owner};
use tenure_testkit::clean;

/// How long a test waits for what must come: longer than any machine is slow.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const ROLE: &str = "TENURE_TEST_ROLE";
const PLACE: &str = "TENURE_TEST_PLACE";

/// The machine's runtime with a clock of its own.
#[derive(Debug)]
pub(crate) struct Clock {
    now: AtomicU64,
    wall: AtomicU64,
    machine: Arc<dyn Runtime>,
}

impl Clock {
    pub(crate) fn new() -> Arc<Self> {
        let machine = runtime::machine().expect("the machine's runtime starts");
        Arc::new(Self { now: 1_000_000.into(), wall: 1_700_000_000_000_000.into(), machine })
    }

    pub(crate) fn advance(&self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).expect("a short span");
        self.now.fetch_add(micros, Ordering::SeqCst);
        self.wall.fetch_add(micros, Ordering::SeqCst);
    }

    pub(crate) fn set_wall(&self, micros: u64) {
        self.wall.store(micros, Ordering::SeqCst);
    }
}

impl Runtime for Clock {
    fn now(&self) -> Moment {
        Moment::from_micros(self.now.load(Ordering::SeqCst))
    }

    fn wall_micros(&self) -> u64 {
        self.wall.load(Ordering::SeqCst)
    }

    fn sleep_until(&self, _: Moment) -> Task {
        unreachable!("a store does not sleep")
    }

    fn spawn(&self, task: Task) {
        self.machine.spawn(task);
    }

    fn random(&self, bytes: &mut [u8]) {
        self.machine.random(bytes);
    }
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).expect("a good key")
}

pub(crate) fn owner(number: u64) -> Owner {
    Owner::from_parts(&format!("owner-{number}"), number)
}

/// A claim of `owner` for `ttl`, without a place in the queue.
pub(crate) fn claim(owner: &Owner, ttl: Duration) -> Acquire {
    let label = Label::new("test");
    Acquire {
        owner: owner.clone(),
        label,
        claim: Claim::MUTEX,
        ttl,
        queue: None,
        fence: FenceRule::Mint,
    }
}

pub(crate) fn acquire(owner: &Owner, ttl: Duration) -> Op {
    Op::Acquire(claim(owner, ttl))
}

/// A claim that waits for up to `window` without a heartbeat.
pub(crate) fn wait_for(
    owner: &Owner,
    ttl: Duration,
    window: Duration,
    inbox: Option<Arc<str>>,
) -> Op {
    let queue = Some(Queueing { window, stamp: 7, inbox });
    Op::Acquire(Acquire { queue, ..claim(owner, ttl) })
}

pub(crate) fn release(owner: &Owner) -> Op {
    Op::Release { owner: owner.clone(), min_hold: Duration::ZERO, tombstone: None }
}

/// One step, one reply.
pub(crate) async fn ask(store: &Sqlite, name: &str, op: Op) -> Result<Reply, StoreError> {
    let replies = store.call(vec![Request { key: key(name), op }]).await?;
    assert_eq!(replies.len(), 1, "one reply for one step");
    Ok(replies.into_iter().next().expect("one reply"))
}

/// The fence of a grant.
pub(crate) fn fence(reply: &Reply) -> Fence {
    match reply {
        Reply::Granted { fence } => *fence,
        other => panic!("not granted: {other:?}"),
    }
}

pub(crate) async fn open(path: &Path) -> Sqlite {
    let machine = runtime::machine().expect("the machine's runtime starts");
    Sqlite::open(path, machine).await.expect("the store opens")
}

/// Waits for what must come.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let limit = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < limit, "it does not come");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the last connection to a file is closed: then its journal is gone.
pub(crate) async fn closed(path: &Path) {
    let journal = PathBuf::from(format!("{}-wal", path.display()));
    until(|| !journal.exists()).await;
}

/// How many pages a file has, those in its journal included.
pub(crate) fn pages(path: &Path) -> i64 {
    let db = rusqlite::Connection::open(path).expect("a connection");
    db.pragma_query_value(None, "page_count", |row| row.get(0)).expect("a number")
}

/// The directory to work in, if this process was started to play `role`.
pub(crate) fn in_role(role: &str) -> Option<PathBuf> {
    (std::env::var(ROLE).ok()? == role).then(|| std::env::var_os(PLACE).expect("a place").into())
}

/// A command that runs what follows as a user without rights.
pub(crate) fn unprivileged() -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new("env");
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command
}

/// This test program once more, playing `role` in the test of that name.
pub(crate) fn actor(mut command: Command, test: &str, role: &str, place: &Path) -> Command {
    clean(&mut command);
    let program = std::env::current_exe().expect("this program");
    command.arg(program).args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env(PLACE, place);
    command
}

/// Lets this test program play a role to its end, and fails if it fails.
pub(crate) fn play(command: Command, test: &str, role: &str, place: &Path) {
    let output = actor(command, test, role, place).output().expect("the role starts");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "the role {role} is played: {said}");
}
