//! One of the contending processes. It uses the library as a program does: it acquires, writes to
//! the resource while its lease is good, stops when told, and releases.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use tenure::{Guard, Locks, Renewal};
use tokio::task::JoinSet;

use crate::Failure;
use crate::worker::{block_on, boot_micros, tell};

use super::judge::{Lease, Side};
use super::resource::Link;

/// Longer than a failover takes, so that leases of the old master are alive at the new one.
pub(crate) const TTL: Duration = Duration::from_secs(5);

/// Keys that are contended for.
const KEYS: u64 = 32;

/// Tasks of one process.
const TASKS: u32 = 8;

/// The longest wait for a lock, and before the next attempt after an error.
const WAIT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Time between two writes of a holder.
const WRITE_EVERY: Duration = Duration::from_millis(20);

/// Its task.
#[derive(Debug, Args)]
pub(crate) struct Contender {
    /// The store.
    url: String,
    /// The beginning of all keys.
    prefix: String,
    /// The resource's socket.
    resource: PathBuf,
    /// It ends when this file is there.
    stop: PathBuf,
    /// It is on the host of the server that is struck.
    #[arg(long)]
    minority: bool,
    /// It locks names of its own, so that nothing excludes it from the others.
    #[arg(long)]
    blind: bool,
}

/// The part that the tasks of one process share.
struct Shared {
    locks: Locks,
    link: Mutex<Link>,
    next: AtomicU64,
}

impl Shared {
    fn write(&self, key: &str, lease: u64, fence: u64) -> Result<bool, Failure> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.write(key, lease, fence)
    }
}

/// How long a holder means to hold, and how it keeps its lease.
struct Hold {
    span: Duration,
    renewal: Renewal,
}

impl Hold {
    /// Mostly for a moment. Rarely so long that most keys are held for long most of the time.
    fn random() -> Self {
        let brief = |millis| Duration::from_millis(random(millis));
        match random(64) {
            // To the very end of the lease.
            0 | 1 => Self { span: TTL, renewal: Renewal::Off },
            2 => Self { span: TTL * 3 / 2, renewal: Renewal::Auto },
            3..8 => Self { span: brief(1_000), renewal: Renewal::Auto },
            _ => Self { span: brief(50), renewal: Renewal::Auto },
        }
    }
}

impl Contender {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        tell(&block_on(self.contend())?)
    }

    async fn contend(&self) -> Result<Vec<Lease>, Failure> {
        let Some(locks) = self.connect().await? else { return Ok(Vec::new()) };
        let link = Mutex::new(Link::to(&self.resource)?);
        // Numbers of two processes never meet.
        let first = u64::from(std::process::id()) << 32;
        let shared = Arc::new(Shared { locks, link, next: AtomicU64::new(first) });
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let task = Task {
                shared: Arc::clone(&shared),
                prefix: self.prefix.clone(),
                suffix: if self.blind { format!("-{}", std::process::id()) } else { String::new() },
                stop: Stop::at(&self.stop),
                side: if self.minority { Side::Minority } else { Side::Majority },
            };
            tasks.spawn(task.contend());
        }
        let mut leases = Vec::new();
        while let Some(found) = tasks.join_next().await {
            leases.extend(found??);
        }
        // Servers may be away for good; leases end by themselves.
        let _ = shared.locks.close(WAIT).await;
        Ok(leases)
    }

    /// Tries until the store can be reached.
    async fn connect(&self) -> Result<Option<Locks>, Failure> {
        let stop = Stop::at(&self.stop);
        while !stop.has_come() {
            match tenure::connect(&self.url).await {
                Ok(locks) => return Ok(Some(locks)),
                Err(e) if e.kind() == tenure::ErrorKind::Unavailable => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(None)
    }
}

/// The end of a run: a file is there, or the process that would write it has gone.
struct Stop {
    file: PathBuf,
    parent: u32,
}

impl Stop {
    fn at(file: &Path) -> Self {
        Self { file: file.to_owned(), parent: parent_id() }
    }

    fn has_come(&self) -> bool {
        self.file.exists() || parent_id() != self.parent
    }
}

/// One task of a process: one lease after the other.
struct Task {
    shared: Arc<Shared>,
    prefix: String,
    /// Behind the name of each lock; empty if all lock the same.
    suffix: String,
    stop: Stop,
    side: Side,
}

impl Task {
    async fn contend(self) -> Result<Vec<Lease>, Failure> {
        let mut leases = Vec::new();
        while !self.stop.has_come() {
            match self.hold_once().await? {
                Some(lease) => leases.push(lease),
                None => tokio::time::sleep(PAUSE).await,
            }
        }
        Ok(leases)
    }

    async fn hold_once(&self) -> Result<Option<Lease>, Failure> {
        let key = format!("{}{}", self.prefix, random(KEYS));
        let Hold { span, renewal } = Hold::random();
        let name = format!("{key}{}", self.suffix);
        let mutex = self.shared.locks.mutex(name).with_ttl(TTL).with_renewal(renewal);
        let asked = boot_micros();
        let Ok(guard) = mutex.with_wait(WAIT).acquire().await else { return Ok(None) };
        let granted = boot_micros();
        if granted >= guard.deadline().as_micros() {
            // Paused until its lease was over: it has held nothing.
            return Ok(None);
        }
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        self.work(&key, id, &guard, span).await?;
        let ended = boot_micros().min(guard.deadline().as_micros());
        let fence = guard.fence().get();
        // A lease that cannot be given back now is given back in the background.
        let _ = guard.release().await;
        Ok(Some(Lease { id, key, fence, side: self.side, asked, granted, ended }))
    }

    /// Writes as long as it means to hold and may.
    async fn work(&self, key: &str, id: u64, guard: &Guard, span: Duration) -> Result<(), Failure> {
        let until = boot_micros() + u64::try_from(span.as_micros())?;
        while guard.check().is_ok() && !self.stop.has_come() {
            self.shared.write(key, id, guard.fence().get())?;
            if boot_micros() >= until {
                return Ok(());
            }
            tokio::select! {
                _ = guard.lost() => return Ok(()),
                () = tokio::time::sleep(WRITE_EVERY) => {}
            }
        }
        Ok(())
    }
}

/// A number below `below`.
fn random(below: u64) -> u64 {
    RandomState::new().build_hasher().finish() % below
}
