//! The library's events for Python's `logging`. They go into a queue, which a thread of Python's
//! empties: no thread of the library calls a logger of the program.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

/// Number of events that wait for the logger at most; later ones are dropped.
const WAITING_MAX: usize = 8_192;

type Line = (u8, String);

/// The queue between the library and the logger.
#[derive(Default)]
struct Queue {
    lines: Mutex<VecDeque<Line>>,
    some: Condvar,
}

impl Queue {
    fn lines(&self) -> MutexGuard<'_, VecDeque<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue of the process, and the level of its events. After a fork the child has one of its
/// own, as soon as it asks for events.
static CURRENT: RwLock<Option<(Arc<Queue>, Level)>> = RwLock::new(None);

/// Whether the events of this process come to [`Events`].
static IS_OURS: OnceLock<bool> = OnceLock::new();

/// The queue, if this level is wanted. Nothing waits for the lock: in a forked child it may be held
/// for ever.
fn queue_for(level: Level) -> Option<Arc<Queue>> {
    let current = CURRENT.try_read().ok()?;
    let (queue, most) = current.as_ref()?;
    (level <= *most).then(|| Arc::clone(queue))
}

/// The events of the library.
struct Events;

impl Subscriber for Events {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_event() && metadata.target() == "tenure" {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        queue_for(*metadata.level()).is_some()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let level = *event.metadata().level();
        let Some(queue) = queue_for(level) else { return };
        let mut text = Text(event.metadata().name().to_owned());
        event.record(&mut text);
        let mut lines = queue.lines();
        if lines.len() < WAITING_MAX {
            lines.push_back((number(level), text.0));
            queue.some.notify_one();
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The level's number in `logging`.
fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

/// An event as one line.
struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, ": {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

/// The lines for the logger.
#[pyclass(frozen, module = "tenure._tenure")]
pub(crate) struct Lines(Arc<Queue>);

#[pymethods]
impl Lines {
    /// The next lines, after a wait of a second at most.
    fn take(&self, py: Python<'_>) -> Vec<Line> {
        py.detach(|| {
            let (lines, limit) = (self.0.lines(), Duration::from_secs(1));
            let waited = self.0.some.wait_timeout_while(lines, limit, |lines| lines.is_empty());
            let (mut lines, _) = waited.unwrap_or_else(PoisonError::into_inner);
            lines.drain(..).collect()
        })
    }
}

/// Sends the library's events to a queue; `None` if the process has another subscriber already.
#[pyfunction]
pub(crate) fn log_to(level: u8) -> Option<Lines> {
    let level = match level {
        0..=5 => Level::TRACE,
        6..=10 => Level::DEBUG,
        11..=20 => Level::INFO,
        21..=30 => Level::WARN,
        _ => Level::ERROR,
    };
    let is_ours = || tracing::subscriber::set_global_default(Events).is_ok();
    if !IS_OURS.get_or_init(is_ours) {
        return None;
    }
    let queue = Arc::new(Queue::default());
    *CURRENT.try_write().ok()? = Some((Arc::clone(&queue), level));
    Some(Lines(queue))
}
