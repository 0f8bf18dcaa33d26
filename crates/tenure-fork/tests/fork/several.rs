//! Several keys in the hands of a program that forks: some held, some half-way.

use std::task::Poll;
use std::time::Duration;

use pollster::block_on;
use tenure::{Locks, LostReason, MultiGuard, MultiLock, Released, Renewal, Result};
use tenure_testkit::wait_until;

use crate::inherited::{Pending, forked, lost, poll};

pub(crate) struct Several {
    lock: MultiLock,
    held: MultiGuard,
    /// It holds its first key and waits for the second, which is held.
    waiting: Pending<Result<MultiGuard>>,
}

fn all(locks: &Locks, keys: [&str; 2]) -> MultiLock {
    // Nothing is renewed while the test counts calls.
    locks.all(keys).with_ttl(Duration::from_secs(60)).with_renewal(Renewal::Off)
}

impl Several {
    pub(crate) fn full(locks: &Locks) -> Self {
        let lock = all(locks, ["several 1", "several 2"]);
        let held = block_on(lock.acquire()).expect("free");
        assert!(!held.lost_token().is_cancelled());
        let next = all(locks, ["several 0", "several 2"]);
        let mut waiting: Pending<_> = Box::pin(async move { next.acquire().await });
        let fifo = locks.capabilities().fifo;
        wait_until("it is half-way", || {
            if let Poll::Ready(answer) = poll(&mut waiting) {
                panic!("granted beside the first: {answer:?}");
            }
            let look = |key| block_on(locks.mutex(key).inspect()).expect("the store answers");
            let waits = !fifo || look("several 2").waiters.len() == 1;
            waits && look("several 0").holders.len() == 1
        });
        Self { lock, held, waiting }
    }

    /// Uses everything, in the child.
    pub(crate) fn poke(mut self) {
        match poll(&mut self.waiting) {
            Poll::Ready(answer) => forked("an acquire that is half-way", answer),
            Poll::Pending => panic!("an inherited acquire goes on waiting"),
        }
        let Self { lock, held, waiting } = self;
        lost("check", held.check());
        assert!(!held.held() && held.remaining().is_zero());
        assert!(held.lost_token().is_cancelled());
        block_on(async {
            assert_eq!(held.lost().await, LostReason::Forked);
            forked("extend_to", held.extend_to(Duration::from_secs(30)).await);
            forked("acquire", lock.acquire().await);
            forked("try_acquire", lock.try_acquire().await);
            forked("run_to_end", lock.run_to_end(|_| async {}).await);
            let finished = held.run_to_end(|lease| async move { lease.held() }).await;
            assert_eq!((finished.value, finished.lost), (false, Some(LostReason::Forked)));
            forked("release of run_to_end", finished.release);
        });
        drop((lock, waiting));
    }

    /// In the parent nothing has happened.
    pub(crate) async fn goes_on(self) {
        self.held.check().expect("the parent holds them still");
        assert!(!self.held.lost_token().is_cancelled());
        assert_eq!(self.held.release().await.expect("an answer"), Released::Released);
        let next = self.waiting.await.expect("the parent waits on");
        next.check().expect("held");
        assert_eq!(next.release().await.expect("an answer"), Released::Released);
    }
}
