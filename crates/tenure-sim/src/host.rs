//! Where the users of one process live: its runtime, its link to the store, and its `Locks`, which
//! any of them may close and replace.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tenure::runtime::Runtime;
use tenure::store::Store;
use tenure::{Locks, LocksOptions};

use crate::judge::{Judge, Rule};
use crate::process::SimRuntime;
use crate::world::{Pid, World};

/// Closing takes so long at most when nothing hinders it.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(8);

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) world: Arc<World>,
    pub(crate) judge: Arc<Judge>,
    pub(crate) pid: Pid,
    pub(crate) runtime: Arc<SimRuntime>,
    store: Arc<dyn Store>,
    locks: Mutex<Locks>,
}

impl Host {
    pub(crate) fn new(
        world: Arc<World>,
        judge: Arc<Judge>,
        pid: Pid,
        runtime: Arc<SimRuntime>,
        store: Arc<dyn Store>,
    ) -> Arc<Self> {
        let locks = Mutex::new(open(&store, &runtime));
        Arc::new(Self { world, judge, pid, runtime, store, locks })
    }

    pub(crate) fn locks(&self) -> Locks {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) async fn sleep(&self, micros: u64) {
        let until = self.runtime.now() + Duration::from_micros(micros);
        self.runtime.sleep_until(until).await;
    }

    /// Closes the `Locks`; others use a new one meanwhile.
    pub(crate) async fn close(&self) {
        let closing = self.replace();
        let began = self.world.now();
        self.judge.closes(self.pid);
        let closed = closing.close(CLOSE_LIMIT).await;
        self.world.note(|| format!("p{} has closed: {closed:?}", self.pid));
        if let (Err(error), true) = (closed, self.world.was_clean(self.pid, began)) {
            self.judge.complain(Rule::Orphan, || format!("p{} cannot close: {error}", self.pid));
        }
    }

    fn replace(&self) -> Locks {
        let fresh = open(&self.store, &self.runtime);
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *locks, fresh)
    }
}

fn open(store: &Arc<dyn Store>, runtime: &Arc<SimRuntime>) -> Locks {
    let store = Arc::clone(store);
    let runtime = Arc::clone(runtime) as Arc<dyn Runtime>;
    let options = LocksOptions::default().with_store_timeout(Duration::from_secs(3));
    Locks::over(store, runtime, options)
}
