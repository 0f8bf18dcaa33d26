//! A logger may hold a lock at the fork: the child tells it nothing of what it inherited.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use pollster::block_on;
use tenure_fork::fork;
use tenure_testkit::alone;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, subscriber};

use crate::stores::Place;

/// Counts what it hears in the processes that it was not made in.
#[derive(Default)]
struct Heard {
    process: AtomicU32,
    last: Mutex<u64>,
}

impl Heard {
    fn hear(&self) {
        assert_eq!(self.process.load(Ordering::Acquire), std::process::id(), "a child tells");
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "tenure"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        self.hear();
        let mut last = self.last.lock().expect("no panic");
        *last += 1;
        Id::from_u64(*last)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {
        self.hear();
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {
        self.hear();
    }

    fn event(&self, _: &Event<'_>) {
        self.hear();
    }

    fn enter(&self, _: &Id) {
        self.hear();
    }

    fn exit(&self, _: &Id) {
        self.hear();
    }

    fn try_close(&self, _: Id) -> bool {
        self.hear();
        true
    }
}

#[test]
fn a_child_tells_a_logger_nothing_of_what_it_inherited() {
    alone(|| {
        let heard = Heard::default();
        heard.process.store(std::process::id(), Ordering::Release);
        let _here = subscriber::set_default(heard);
        let locks = Place::Memory.connect();
        let (guard, other) = block_on(async {
            let held = locks.mutex("held").acquire().await.expect("free");
            (held, locks.mutex("other").acquire().await.expect("free"))
        });
        let held = locks.mutex("held");
        let mut waiting = Box::pin(async move { held.acquire().await });
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        let mut hands = Some((locks, guard, other, waiting));
        let child = fork(|| {
            let (locks, guard, other, mut waiting) = hands.take().expect("its own");
            assert!(waiting.as_mut().poll(&mut cx).is_ready());
            let again = locks.mutex("free");
            assert!(block_on(again.acquire()).is_err() && block_on(again.try_acquire()).is_err());
            let done = block_on(guard.run_to_end(|_| async { 7 }));
            assert_eq!(done.value(), 7);
            drop((other, waiting, locks));
            "silent"
        });
        assert_eq!(child.says(), "silent");
        // In the midst of a poll: the work forks.
        let (locks, ..) = hands.take().expect("its own");
        let child = fork(|| {
            drop(locks);
            "silent"
        });
        assert_eq!(child.says(), "silent");
    });
}
