//! The thread that tells loggers and recorders of numbers what happened on threads of ours.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use super::{Call, shielded, start_thread};

/// So many events wait while a logger blocks; those that come after them are counted.
const ROOM: usize = 8_192;

#[derive(Debug)]
pub(super) struct Reporter {
    events: SyncSender<Call>,
    dropped: Arc<AtomicU64>,
}

impl Reporter {
    pub(super) fn start() -> io::Result<Self> {
        let (events, coming) = sync_channel::<Call>(ROOM);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        start_thread("tenure-report", move || {
            for event in coming {
                shielded(event);
                let count = counted.swap(0, Ordering::Relaxed);
                if count > 0 {
                    shielded(|| tell_of_dropped(count));
                }
            }
        })?;
        Ok(Self { events, dropped })
    }

    pub(super) fn tell(&self, event: Call) {
        if self.events.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Events that no logger was told of: a sign that it blocks.
fn tell_of_dropped(count: u64) {
    tracing::warn!(
        name: "tenure.events_dropped",
        target: "tenure",
        count,
        "events were not told: a logger or recorder was held up"
    );
    #[cfg(feature = "metrics")]
    metrics::counter!("tenure_events_dropped_total").increment(count);
}
