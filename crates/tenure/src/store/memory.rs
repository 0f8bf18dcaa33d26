//! Locks of the tasks of one process: the states of all keys behind one mutex. Nothing survives
//! the process.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::ready;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::process::OfProcess;
use crate::protocol::{Grant, Group, Inspection, KeyState, Op, Reply, Request, State, StepContext};
use crate::runtime::Runtime;
use crate::types::{Key, StoreTime, TTL_MAX};

use super::{
    Answer, Capabilities, DataServer, Examination, Finding, Forgets, Identity, Inbox, Links, Push,
    Reach, Severity, Store,
};

/// Time for which a fence is remembered after the last use of its key.
const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Number of steps between two sweeps for keys that may be forgotten.
const SWEEP_EVERY: u64 = 64;
/// Number of keys that one sweep looks at: more than the steps between two sweeps can add.
const SWEEP_KEYS: usize = 128;

/// Locks in this process's memory: for tests, and for programs of one process.
///
/// Clones share their locks. Fences start from the machine's wall clock and only grow.
#[derive(Debug, Clone)]
pub struct Memory {
    shared: OfProcess<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    runtime: Arc<dyn Runtime>,
    /// The wall clock at time zero of the runtime's clock, in microseconds since 1970. Fences
    /// start from it, so they grow from one process to the next. Reading the wall clock with
    /// every call would cost some 2 % of a lock.
    wall_origin: u64,
    retention: Duration,
    /// A blocking mutex: it is never held across an await.
    table: Mutex<Table>,
    /// The number of inboxes that were opened; it makes their addresses.
    inboxes: AtomicU64,
}

/// All keys and inboxes of the store.
#[derive(Debug, Default)]
struct Table {
    /// Ordered, so that `list` can page and a sweep can go on where the last one ended.
    keys: BTreeMap<Key, KeyState>,
    /// The inboxes by address.
    inboxes: HashMap<Arc<str>, mpsc::UnboundedSender<Push>>,
    /// The largest fence that was ever forgotten. Every new fence is larger.
    fence_floor: u64,
    /// The number of steps so far; every [`SWEEP_EVERY`]th one sweeps.
    steps: u64,
    /// The last key of the last sweep; `None`: the next one begins at the first key.
    swept: Option<Key>,
}

impl Memory {
    /// An empty store on the clock of `runtime`.
    #[must_use]
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self::with_retention(runtime, RETENTION)
    }

    /// An empty store that remembers fences of unused keys for `retention`.
    #[must_use]
    pub fn with_retention(runtime: Arc<dyn Runtime>, retention: Duration) -> Self {
        let wall_origin = runtime.wall_micros().saturating_sub(runtime.now().as_micros());
        let (table, inboxes) = (Mutex::default(), AtomicU64::new(0));
        let shared = Shared { runtime, wall_origin, retention, table, inboxes };
        Self { shared: OfProcess::new(Arc::new(shared)) }
    }

    /// The number of keys that are remembered, held or not; zero in a forked process.
    #[must_use]
    pub fn keys(&self) -> usize {
        if self.shared.here().is_err() {
            return 0;
        }
        self.table().keys.len()
    }

    /// Whether this is the process that made it.
    #[cfg(feature = "testing")]
    pub(crate) fn is_here(&self) -> bool {
        self.shared.is_here()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Poison is ignored: only a failed assertion between two whole steps panics under it.
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, steps: &[Request]) -> Vec<Reply> {
        let mut table = self.table();
        let now = self.now();
        let wall = self.shared.wall_origin + now.as_micros();
        let at = StepContext { now, fence_seed: wall, wall, retention: self.shared.retention };
        let mut replies = Vec::with_capacity(steps.len());
        for step in steps {
            if let Op::AcquireAll(group) = &step.op {
                replies.push(table.acquire_all(group, at));
            } else {
                let (reply, grants) = table.apply(step, at);
                for grant in grants {
                    table.tell(&step.key, grant);
                }
                replies.push(reply);
            }
            table.steps += 1;
            if table.steps.is_multiple_of(SWEEP_EVERY) {
                table.sweep(at.now);
            }
        }
        replies
    }

    fn now(&self) -> StoreTime {
        StoreTime::from_micros(self.shared.runtime.now().as_micros())
    }
}

impl Table {
    fn apply(&mut self, step: &Request, at: StepContext) -> (Reply, Vec<Grant>) {
        let at = StepContext { fence_seed: at.fence_seed.max(self.fence_floor + 1), ..at };
        if let Some(state) = self.keys.get_mut(&step.key) {
            return state.apply(&step.op, at);
        }
        let mut fresh = KeyState::default();
        let answer = fresh.apply(&step.op, at);
        if !fresh.is_forgettable(at.now) {
            self.keys.insert(step.key.clone(), fresh);
        }
        answer
    }

    #[cold]
    fn acquire_all(&mut self, group: &Group, at: StepContext) -> Reply {
        let at = StepContext { fence_seed: at.fence_seed.max(self.fence_floor + 1), ..at };
        let Ok(reply) = group.carry_out(|key, part| {
            let mut state = self.keys.remove(key).unwrap_or_default();
            let (granted, grants) = state.apply_part(part, at);
            if !state.is_forgettable(at.now) {
                self.keys.insert(key.clone(), state);
            }
            grants.into_iter().for_each(|grant| self.tell(key, grant));
            Ok::<_, Infallible>(granted)
        });
        reply
    }

    fn sweep(&mut self, now: StoreTime) {
        let from = self.swept.take().map_or(Bound::Unbounded, Bound::Excluded);
        let keys: Vec<_> = self
            .keys
            .range((from, Bound::Unbounded))
            .take(SWEEP_KEYS)
            .map(|(key, state)| (key.clone(), state.is_forgettable(now)))
            .collect();
        if keys.len() == SWEEP_KEYS {
            self.swept = keys.last().map(|(key, _)| key.clone());
        }
        for (key, _) in keys.into_iter().filter(|(_, forgettable)| *forgettable) {
            if let Some(state) = self.keys.remove(&key) {
                self.fence_floor = self.fence_floor.max(state.fence().get());
            }
        }
    }

    fn tell(&mut self, key: &Key, grant: Grant) {
        let Grant { owner, fence, stamp, inbox } = grant;
        let Some(sender) = self.inboxes.get(&inbox) else {
            return;
        };
        if sender.send(Push { key: key.clone(), owner, fence, stamp }).is_err() {
            self.inboxes.remove(&inbox);
        }
    }
}

impl Store for Memory {
    fn capabilities(&self) -> &Capabilities {
        &Capabilities {
            fifo: true,
            many_units: true,
            groups: true,
            plain_values: false,
            composite: false,
            reach: Reach::Process,
            ttl_max: TTL_MAX,
            slow_grants: false,
        }
    }

    fn name(&self) -> Arc<str> {
        "memory".into()
    }

    fn check_key(&self, _key: &Key) -> Result<(), String> {
        Ok(())
    }

    fn part_of(&self, _key: &Key) -> u32 {
        0
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        Box::pin(ready(self.shared.here().map_err(Into::into).map(|_| self.apply(&steps))))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Vec<(Key, Inspection)>> {
        if let Err(forked) = self.shared.here() {
            return Box::pin(ready(Err(forked.into())));
        }
        let now = self.now();
        let table = self.table();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = table
            .keys
            .range((from, Bound::Unbounded))
            .filter(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, state)| (key.clone(), state.inspect(now)))
            .filter(|(_, seen)| seen.state != State::Free || !seen.waiters.is_empty())
            .take(limit)
            .collect();
        Box::pin(ready(Ok(page)))
    }

    fn inbox(&self) -> Answer<'_, Option<Inbox>> {
        if let Err(forked) = self.shared.here() {
            return Box::pin(ready(Err(forked.into())));
        }
        let number = self.shared.inboxes.fetch_add(1, Ordering::Relaxed);
        let address: Arc<str> = format!("inbox-{number}").into();
        let (sender, pushes) = mpsc::unbounded_channel();
        self.table().inboxes.insert(Arc::clone(&address), sender);
        Box::pin(ready(Ok(Some(Inbox { address, pushes, missed: Arc::default() }))))
    }

    fn links(&self) -> Option<watch::Receiver<Links>> {
        None
    }

    fn identity(&self) -> Answer<'_, Identity> {
        let unique = format!("memory:{:p}", Arc::as_ptr(&self.shared)).into();
        let forgets = Forgets::Never;
        Box::pin(ready(Ok(Identity { unique, replica_of: None, forgets })))
    }

    fn data(&self) -> Option<&dyn DataServer> {
        None
    }

    fn examine(&self, _ttl: Duration) -> Examination<'_> {
        let what = "the store is the memory of this process";
        let finding = Finding::new(&self.name(), "reach", Severity::Note, what).so(
            "its locks exclude nobody else, and end with the process",
            "name a store that others reach, as redis://HOST",
        );
        Box::pin(ready(vec![finding]))
    }
}
