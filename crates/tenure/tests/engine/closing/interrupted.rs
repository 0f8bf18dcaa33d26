//! A clock at which one thread can be interrupted: whatever comes between two of its steps comes
//! between them every time, without a race to be won.

use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, ThreadId};

use tenure::runtime::{Moment, Runtime, Task};

type Deed = Box<dyn FnOnce() + Send>;

/// The machine's runtime, but for one reading of the clock.
pub(crate) struct Interrupted {
    machine: Arc<dyn Runtime>,
    next: Mutex<Option<(ThreadId, usize, Deed)>>,
}

impl Interrupted {
    pub(crate) fn new(machine: Arc<dyn Runtime>) -> Self {
        Self { machine, next: Mutex::new(None) }
    }

    /// When this thread has read the clock so many times, `deed` comes before the next reading.
    pub(crate) fn interrupt(&self, readings: usize, deed: impl FnOnce() + Send + 'static) {
        *self.next() = Some((thread::current().id(), readings, Box::new(deed)));
    }

    /// Lets this thread read undisturbed; answers whether it has been so all the time.
    pub(crate) fn forget(&self) -> bool {
        // A deed may read the clock when it is dropped, so the lock is released first.
        let next = self.next().take();
        next.is_some()
    }

    fn next(&self) -> MutexGuard<'_, Option<(ThreadId, usize, Deed)>> {
        self.next.lock().expect("no deed runs under it")
    }
}

impl std::fmt::Debug for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interrupted").finish_non_exhaustive()
    }
}

impl Runtime for Interrupted {
    fn now(&self) -> Moment {
        let mut next = self.next();
        let deed = match &mut *next {
            Some((thread, readings, _)) if *thread == thread::current().id() => {
                let is_now = *readings == 0;
                *readings = readings.saturating_sub(1);
                if is_now { next.take() } else { None }
            }
            _ => None,
        };
        drop(next);
        if let Some((_, _, deed)) = deed {
            deed();
        }
        self.machine.now()
    }

    fn wall_micros(&self) -> u64 {
        self.machine.wall_micros()
    }

    fn sleep_until(&self, at: Moment) -> Task {
        self.machine.sleep_until(at)
    }

    fn spawn(&self, task: Task) {
        self.machine.spawn(task);
    }

    fn random(&self, bytes: &mut [u8]) {
        self.machine.random(bytes);
    }
}
