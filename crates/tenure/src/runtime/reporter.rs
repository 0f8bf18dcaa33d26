//! The thread that calls loggers and recorders of metrics for events on Tenure's own threads. Those
//! threads never wait for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use super::{Call, shielded, start_thread};

/// Number of events that wait while a logger blocks. Later ones are dropped and counted.
const ROOM: usize = 8_192;

#[derive(Debug)]
pub(super) struct Reporter {
    events: SyncSender<Call>,
    /// The number of events that found no room, and were not reported yet.
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

/// Reports the number of dropped events: a sign that a logger blocks.
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
