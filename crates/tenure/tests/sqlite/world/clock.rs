//! A clock that stands still until a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tenure::runtime::{self, Moment, Runtime, Task};

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
