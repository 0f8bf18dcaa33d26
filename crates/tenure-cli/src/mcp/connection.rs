//! The store of a session, opened by the first call that needs it. A store that cannot be reached
//! fails that call, and the next call tries again: an agent without tools would work without locks.

use std::time::Duration;

use tenure::runtime::{Moment, Runtime};
use tenure::{Error, Locks};
use tokio::sync::Mutex;

use crate::store::Located;

pub(super) struct Connection {
    store: Located,
    /// The limit of opening it.
    limit: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    locks: Option<Locks>,
    /// The last attempt, if it failed: when it began, and why.
    failed: Option<(Moment, Error)>,
}

impl Connection {
    pub(super) fn new(store: Located, limit: Duration) -> Self {
        Self { store, limit, state: Mutex::default() }
    }

    /// The store's locks. Calls that wait for one attempt share its failure.
    pub(super) async fn locks(&self, runtime: &dyn Runtime) -> tenure::Result<Locks> {
        let asked = runtime.now();
        let mut state = self.state.lock().await;
        match &*state {
            State { locks: Some(locks), .. } => return Ok(locks.clone()),
            State { failed: Some((began, error)), .. } if *began >= asked => {
                return Err(error.clone());
            }
            _ => {}
        }
        let began = runtime.now();
        match self.store.open(self.limit, runtime).await {
            Ok(locks) => {
                *state = State { locks: Some(locks.clone()), failed: None };
                Ok(locks)
            }
            Err(error) => {
                state.failed = Some((began, error.clone()));
                Err(error)
            }
        }
    }

    /// Gives all leases back that are held.
    pub(super) async fn close(&self) -> tenure::Result<()> {
        // A store that is still being opened holds nothing of this session.
        let Ok(mut state) = self.state.try_lock() else { return Ok(()) };
        match state.locks.take() {
            Some(locks) => locks.close(self.limit).await,
            None => Ok(()),
        }
    }

    /// The store and how far its locks reach, for people.
    pub(super) fn describe(&self, locks: &Locks) -> String {
        self.store.describe(locks)
    }
}
