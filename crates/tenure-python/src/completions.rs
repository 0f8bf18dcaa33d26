//! The completions for one event loop: a queue of numbers, and a descriptor that becomes readable
//! when there are some. Any thread may ring, and none has to attach to the interpreter for it.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use pyo3::prelude::*;
use rustix::event::{EventfdFlags, eventfd};

/// The queue of one loop.
#[pyclass(frozen, module = "tenure._tenure")]
pub(crate) struct Completions {
    queue: Arc<Queue>,
    last: AtomicU64,
}

struct Queue {
    numbers: Mutex<Vec<u64>>,
    readable: OwnedFd,
}

impl Queue {
    fn numbers(&self) -> MutexGuard<'_, Vec<u64>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, number: u64) {
        let mut numbers = self.numbers();
        let was_empty = numbers.is_empty();
        numbers.push(number);
        drop(numbers);
        if was_empty {
            // It cannot be full: it is emptied before the queue is.
            let _ = rustix::io::write(&self.readable, &1_u64.to_ne_bytes());
        }
    }
}

impl Completions {
    /// A number, and the waker that puts it into the queue.
    pub(crate) fn bell(&self) -> (u64, Waker) {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        (number, Waker::from(Arc::new(Bell { queue: Arc::clone(&self.queue), number })))
    }
}

#[pymethods]
impl Completions {
    #[new]
    fn new() -> PyResult<Self> {
        let readable = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(std::io::Error::from)?;
        let queue = Queue { numbers: Mutex::default(), readable };
        Ok(Self { queue: Arc::new(queue), last: AtomicU64::new(0) })
    }

    /// The descriptor that is readable while there are completions.
    fn fileno(&self) -> i32 {
        self.queue.readable.as_raw_fd()
    }

    /// The numbers of the operations to be polled again.
    fn take(&self) -> Vec<u64> {
        let mut count = [0; 8];
        // Nothing to read: somebody was faster.
        let _ = rustix::io::read(&self.queue.readable, &mut count);
        std::mem::take(&mut *self.queue.numbers())
    }
}

struct Bell {
    queue: Arc<Queue>,
    number: u64,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.queue.push(self.number);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.queue.push(self.number);
    }
}
