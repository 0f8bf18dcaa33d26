//! In a child, whatever it inherited answers an error at once, and nothing is sent.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pollster::block_on;
use tenure::{Error, ErrorKind, Guard, Locks, LostReason, Released, Result, Ticket, blocking};
use tenure::{ReentrantGuard, ReentrantMutex, ReentrantScope};
use tenure_fork::{Ending, fork_to};
use tenure_testkit::{alone, wait_until};

use crate::several::Several;
use crate::stores::Place;

pub(crate) type Pending<T> = Pin<Box<dyn Future<Output = T>>>;

pub(crate) fn poll<T>(future: &mut Pending<T>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// All that a program may have in its hands when it forks.
pub(crate) struct Hands {
    locks: Locks,
    guards: Vec<Guard>,
    ticket: Ticket,
    /// Entered twice.
    reentrant: ReentrantMutex,
    scope: ReentrantScope,
    levels: [ReentrantGuard; 2],
    several: Several,
    /// For the key of the first guard.
    waiting: Pending<Result<Guard>>,
    losing: Pending<LostReason>,
    /// Under way, unless the store is so quick that it is done.
    releasing: Option<Pending<Result<Released>>>,
    list: tenure::List,
    watch: tenure::Watch,
}

const GUARDS: usize = 9;

fn mutex(locks: &Locks, key: &str) -> tenure::Mutex {
    // Nothing is renewed while the test counts calls.
    locks.mutex(key).with_ttl(Duration::from_secs(60)).with_renewal(tenure::Renewal::Off)
}

impl Hands {
    pub(crate) fn full(locks: Locks) -> Self {
        let acquired = |key: String| block_on(mutex(&locks, &key).acquire()).expect("free");
        let guards: Vec<_> = (0..GUARDS).map(|n| acquired(format!("key {n}"))).collect();
        let handed_over = acquired("ticket".to_owned()).hand_over(Duration::from_secs(30));
        let ticket = block_on(handed_over).expect("held");
        let scope = ReentrantScope::new();
        let reentrant = mutex(&locks, "reentrant").reentrant().with_scope(&scope);
        let levels = [(); 2].map(|()| block_on(reentrant.acquire()).expect("free"));
        let several = Several::full(&locks);
        let held = mutex(&locks, "key 0");
        let mut waiting: Pending<_> = Box::pin(async move { held.acquire().await });
        let fifo = locks.capabilities().fifo;
        wait_until("it waits", || {
            if let Poll::Ready(answer) = poll(&mut waiting) {
                panic!("granted beside the first: {answer:?}");
            }
            let seen = block_on(locks.mutex("key 0").inspect()).expect("the store answers");
            !fifo || seen.waiters.len() == 1
        });
        let lease = guards[0].lease();
        let mut losing: Pending<_> = Box::pin(async move { lease.lost().await });
        assert!(poll(&mut losing).is_pending());
        let mut releasing: Pending<_> = Box::pin(acquired("releasing".to_owned()).release());
        let (mut list, mut watch) = (locks.list_all("key"), locks.watch("key 1"));
        assert!(block_on(list.next()).is_some_and(|entry| entry.is_ok()));
        assert!(block_on(watch.next()).is_some_and(|state| state.is_ok()));
        let releasing = poll(&mut releasing).is_pending().then_some(releasing);
        Self {
            locks,
            guards,
            ticket,
            reentrant,
            scope,
            levels,
            several,
            waiting,
            losing,
            releasing,
            list,
            watch,
        }
    }

    /// Uses everything, in the child.
    pub(crate) fn poke(mut self) {
        self.futures();
        forked("list", block_on(async { self.list_to_its_end().await }));
        forked("watch", block_on(self.watch.next()).expect("a state or an error"));
        self.verbs();
        self.levels();
        self.leases().poke();
    }

    /// Gives everything back, in the parent: nothing stays held.
    pub(crate) fn give_back(self) {
        let adopted = block_on(self.locks.adopt(&self.ticket)).expect("nobody has used it");
        block_on(adopted.release()).expect("an answer");
    }

    fn futures(&mut self) {
        match poll(&mut self.waiting) {
            Poll::Ready(answer) => forked("a waiting acquire", answer),
            Poll::Pending => panic!("an inherited acquire goes on waiting"),
        }
        assert_eq!(poll(&mut self.losing), Poll::Ready(LostReason::Forked));
    }

    /// Keys that were read before the fork are still there.
    async fn list_to_its_end(&mut self) -> Result<()> {
        while let Some(entry) = self.list.next().await {
            entry?;
        }
        self.locks.list_all("key").next().await.expect("an error").map(drop)
    }

    fn verbs(&self) {
        let Self { locks, ticket, .. } = self;
        let free = locks.mutex("free").with_owner("me");
        block_on(async {
            forked("acquire", free.acquire().await);
            forked("acquire in time", free.clone().with_wait(Duration::ZERO).acquire().await);
            forked("try_acquire", free.try_acquire().await);
            forked("acquire a permit", locks.semaphore("pool", 3).acquire().await);
            forked("try_acquire_many", locks.semaphore("pool", 3).try_acquire_many(2).await);
            forked("read", locks.rwlock("page").read().await);
            forked("try_write", locks.rwlock("page").try_write().await);
            forked("steal", locks.mutex("key 1").steal().await);
            forked("force_release", locks.mutex("key 1").force_release().await);
            forked("inspect", free.inspect().await);
            forked("held_by_anyone", free.held_by_anyone().await);
            forked("held_by_me", free.held_by_me().await);
            forked("adopt", locks.mutex("ticket").adopt(ticket).await);
            forked("adopt", locks.adopt(ticket).await);
            forked("release_owner", locks.release_owner("key 1", "me").await);
            forked("list", locks.list("key", None, 10).await);
            forked("close", locks.close(Duration::from_secs(60)).await);
            forked("run", free.run(|_| async { tenure::ok(()) }).await);
            forked("try_run", free.try_run(|_| async { tenure::ok(()) }).await);
            forked("run_to_end", free.run_to_end(|_| async {}).await);
        });
        let blocking = blocking::Locks::from(locks.clone());
        let free = blocking.mutex("free");
        forked("blocking acquire", free.acquire());
        forked("blocking try_acquire", free.try_acquire());
        forked("blocking run", free.run(|_| tenure::ok(())));
        forked("blocking inspect", free.inspect());
        forked("blocking list", blocking.list("", None, 1));
        forked("blocking close", blocking.close(Duration::from_secs(60)));
        assert!(format!("{locks:?}").contains("inherited"), "{locks:?}");
    }

    fn levels(&mut self) {
        block_on(async {
            forked("enter", self.reentrant.acquire().await);
            forked("try to enter", self.reentrant.try_acquire().await);
            // A connection of the child's own needs a scope of its own.
            let own = tenure::connect("memory:").await.expect("its own").mutex("own").reentrant();
            let inherited = own.clone().with_scope(&self.scope).acquire().await;
            assert_eq!(inherited.expect_err("inherited").kind(), ErrorKind::Forked);
            let level = own.with_scope(&ReentrantScope::new()).acquire().await.expect("free");
            level.release().await.expect("an answer");
        });
        assert!(self.levels.iter().all(|level| !level.held()));
    }

    /// Answers what is left.
    fn leases(mut self) -> Several {
        for guard in &mut self.guards {
            let error = guard.check().expect_err("held by a child");
            assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
            assert!(error.to_string().contains("forked"), "{error}");
            assert!(!guard.held() && guard.remaining().is_zero());
            assert!(guard.lost_token().is_cancelled());
            block_on(async {
                assert_eq!(guard.lost().await, LostReason::Forked);
                guard.at_risk(Duration::ZERO).await;
                guard.renewed(guard.deadline()).await;
                forked("extend_to", guard.extend_to(Duration::from_secs(30)).await);
                forked("extend_by", guard.extend_by(Duration::from_secs(1)).await);
                forked("downgrade", guard.downgrade().await);
                forked("try_upgrade", guard.try_upgrade().await);
            });
        }
        let mut next = || self.guards.pop().expect("a guard is left");
        block_on(async {
            forked("release", next().release().await);
            forked("hand_over", next().hand_over(Duration::from_secs(30)).await);
            lost("run", next().run(|_| async { tenure::ok(()) }).await);
            let finished = next().run_to_end(|lease| async move { lease.check().is_ok() }).await;
            assert_eq!((finished.value, finished.lost), (false, Some(LostReason::Forked)));
            forked("release of run_to_end", finished.release);
        });
        forked("blocking release", blocking::Guard::from(next()).release());
        lost("blocking run", blocking::Guard::from(next()).run(|_| tenure::ok(())));
        assert_eq!(blocking::Guard::from(next()).lost(), LostReason::Forked);
        // And what is left is dropped.
        drop((self.waiting, self.losing, self.releasing, self.list, self.watch));
        let [inner, outer] = self.levels;
        forked("leave", block_on(inner.release()));
        drop((outer, self.reentrant, self.scope, self.guards, self.locks));
        self.several
    }
}

#[track_caller]
fn kind<T>(what: &str, answer: Result<T>) -> (ErrorKind, Error) {
    let Err(error) = answer else { panic!("{what} was carried out in a child") };
    (error.kind(), error)
}

#[track_caller]
pub(crate) fn forked<T>(what: &str, answer: Result<T>) {
    let (kind, error) = kind(what, answer);
    assert_eq!(kind, ErrorKind::Forked, "{what}: {error}");
    assert!(error.to_string().contains("connect again"), "{what}: {error}");
    assert!(!error.may_hold(), "{what}: {error}");
}

#[track_caller]
pub(crate) fn lost<T>(what: &str, answer: Result<T>) {
    let (kind, error) = kind(what, answer);
    assert_eq!(kind, ErrorKind::Lost, "{what}: {error}");
}

/// The heartbeats of the parent's two waiters, which go on: one a second each.
fn heartbeats(since: Instant) -> u64 {
    2 * u64::try_from(since.elapsed().as_millis() / 900).expect("a short time")
}

#[allow(clippy::disallowed_methods, reason = "it measures time")]
fn inherited_handles_answer_at_once(place: &Place) {
    let begun = Instant::now();
    let hands = Hands::full(place.connect());
    let mut hands = Some(hands);
    let before = place.calls();
    for ending in [Ending::AtOnce, Ending::Exit] {
        let child = fork_to(ending, || {
            hands.take().expect("its own").poke();
            "done"
        });
        assert_eq!(child.says(), "done", "{}", place.name());
    }
    let (sent, beats) = (place.calls() - before, heartbeats(begun));
    assert!(sent <= beats, "{}: the child has sent something: {sent} calls", place.name());
    let Hands { locks, guards, ticket, waiting, releasing, several, .. } =
        hands.take().expect("its own");
    for guard in &guards {
        guard.check().expect("the parent holds it still");
    }
    block_on(async {
        if let Some(releasing) = releasing {
            releasing.await.expect("the store answers the parent");
        }
        let first = guards.into_iter().next().expect("the first");
        assert_eq!(first.release().await.expect("an answer"), Released::Released);
        let next = waiting.await.expect("the parent waits on");
        next.check().expect("held");
        let adopted = locks.adopt(&ticket).await.expect("nobody has used it");
        assert_eq!(adopted.release().await.expect("an answer"), Released::Released);
        several.goes_on().await;
    });
}

#[test]
fn memory() {
    alone(|| {
        inherited_handles_answer_at_once(&Place::Memory);
    });
}

#[test]
fn sqlite() {
    alone(|| {
        inherited_handles_answer_at_once(&Place::sqlite());
    });
}

#[test]
fn redis() {
    alone(|| {
        inherited_handles_answer_at_once(&Place::redis());
    });
}

#[test]
fn a_quorum() {
    alone(|| {
        inherited_handles_answer_at_once(&Place::quorum());
    });
}

#[test]
fn a_fork_within_the_work_of_a_lock_is_told_at_its_end() {
    alone(|| {
        let locks = blocking::Locks::from(Place::Memory.connect());
        // The child comes back out of the work, as a program does that forgets to exit.
        let child = tenure_fork::fork(|| {
            let locks = blocking::connect("memory:").expect("its own");
            let mut grandchild = None;
            let done = locks.mutex("k").run(|lease| {
                grandchild = Some(tenure_fork::fork(|| {
                    assert!(lease.check().is_err());
                    "lost"
                }));
                tenure::ok(())
            });
            done.expect("the one that connected holds it");
            grandchild.expect("forked").says()
        });
        assert_eq!(child.says(), "lost");
        drop(locks);
    });
}
