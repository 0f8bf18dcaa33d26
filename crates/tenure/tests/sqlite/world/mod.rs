//! A clock that tests move, roles for more processes, and words that are quick to write.

pub(crate) mod actor;
mod clock;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tenure::protocol::{Acquire, FenceRule, Op, Queueing, Reply, Request};
use tenure::runtime;
use tenure::store::{Sqlite, Store, StoreError};
use tenure::{Claim, Fence, Key, Label, Owner};
use tenure_testkit::clean;

pub(crate) use clock::Clock;

/// How long a test waits for what must come: longer than any machine is slow.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// Tells a process in a role where to work.
const PLACE: &str = "TENURE_TEST_PLACE";

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
        claim: Claim::EXCLUSIVE,
        ttl,
        queue: None,
        fence: FenceRule::Mint,
        value: None,
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

/// The directory to work in, if this process was started to play a role.
pub(crate) fn in_role() -> Option<PathBuf> {
    std::env::var_os(PLACE).map(PathBuf::from)
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

/// Runs `role` to its end behind `command`, which runs what follows it. Fails if it fails.
pub(crate) fn play(mut command: Command, role: &Command, place: &Path) {
    clean(&mut command).arg(role.get_program()).args(role.get_args()).env(PLACE, place);
    let output = command.output().expect("the role starts");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{role:?} is played: {said}");
}
