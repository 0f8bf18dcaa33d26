//! A runtime whose clock stands still: no lease ends, no place in line dies, no retry comes.

use std::sync::atomic::{AtomicU64, Ordering};

use tenure::runtime::{Moment, Runtime, Task};

#[derive(Debug, Default)]
pub(crate) struct Still {
    drawn: AtomicU64,
}

const NOW: Moment = Moment::from_micros(1_000_000_000);

impl Runtime for Still {
    fn now(&self) -> Moment {
        NOW
    }

    fn wall_micros(&self) -> u64 {
        NOW.as_micros()
    }

    fn sleep_until(&self, at: Moment) -> Task {
        Box::pin(async move {
            if at > NOW {
                std::future::pending::<()>().await;
            }
        })
    }

    fn spawn(&self, task: Task) {
        tokio::spawn(task);
    }

    fn random(&self, bytes: &mut [u8]) {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        bytes.iter_mut().zip(number.iter().cycle()).for_each(|(byte, n)| *byte = *n);
    }
}
