//! One call of the library as Python holds it. It is polled by the Python thread that waits for it:
//! [`wait`](Operation::wait) blocks that thread, [`start`](Operation::start) leaves the waiting to
//! an event loop. To drop it withdraws the call, as to drop a future does.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::answer::Answer;
use crate::completions::Completions;
use crate::error;

/// The library's future.
type Work = Pin<Box<dyn Future<Output = tenure::Result<Answer>> + Send>>;

/// Time between two looks at the signals of the process, while a thread waits.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

enum State {
    Pending(Work),
    Ready(tenure::Result<Answer>),
    /// The answer was taken, or the call withdrawn.
    Over,
}

/// One call.
#[pyclass(frozen, module = "tenure._tenure")]
pub(crate) struct Operation {
    state: Mutex<State>,
    /// The bell of the loop that waits for it.
    waker: OnceLock<Waker>,
}

impl Operation {
    /// The call that `work` is.
    pub(crate) fn new(work: impl Future<Output = tenure::Result<Answer>> + Send + 'static) -> Self {
        Self { state: Mutex::new(State::Pending(Box::pin(work))), waker: OnceLock::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_with(&self, waker: &Waker) -> bool {
        let mut state = self.state();
        if let State::Pending(work) = &mut *state
            && let Poll::Ready(answer) = work.as_mut().poll(&mut Context::from_waker(waker))
        {
            *state = State::Ready(answer);
        }
        !matches!(*state, State::Pending(_))
    }
}

#[pymethods]
impl Operation {
    /// Polls it for the first time. `None` if the answer is there; otherwise the number under which
    /// `completions` says when to poll it again.
    fn start(&self, completions: &Completions) -> Option<u64> {
        let (number, waker) = completions.bell();
        if self.poll_with(&waker) {
            return None;
        }
        // It is started once.
        let _ = self.waker.set(waker);
        Some(number)
    }

    /// Polls it; whether the answer is there.
    fn poll(&self) -> bool {
        self.poll_with(self.waker.get().unwrap_or(Waker::noop()))
    }

    /// The answer, once.
    fn answer(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match std::mem::replace(&mut *self.state(), State::Over) {
            State::Ready(Ok(answer)) => answer.into_python(py),
            State::Ready(Err(error)) => Err(error::raised(py, &error)),
            State::Pending(_) | State::Over => {
                Err(PyRuntimeError::new_err("the operation has no answer"))
            }
        }
    }

    /// Withdraws the call, or drops its answer.
    fn cancel(&self, py: Python<'_>) {
        let state = std::mem::replace(&mut *self.state(), State::Over);
        py.detach(|| drop(state));
    }

    /// Waits for the answer, without the interpreter. A signal whose handler raises withdraws the
    /// call.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        while !py.detach(|| self.wait_for(SIGNALS_EVERY, &waker)) {
            if let Err(raised) = py.check_signals() {
                self.cancel(py);
                return Err(raised);
            }
        }
        self.answer(py)
    }
}

impl Operation {
    /// Waits for so long, or a little less; whether the answer is there.
    fn wait_for(&self, span: Duration, waker: &Waker) -> bool {
        if self.poll_with(waker) {
            return true;
        }
        // Another wake-up is no harm, since it is polled again.
        thread::park_timeout(span);
        self.poll_with(waker)
    }
}

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
