//! Hosts whose clocks differ start a job at the same minute, each by its own clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tenure::runtime::{Call, Moment, Runtime, Task};
use tenure::store::{Memory, Quorum, QuorumOptions, Store};
use tenure::testing::Clock;
use tenure::{Locks, LocksOptions, Once, Ran};

const MINUTE: Duration = Duration::from_secs(60);
/// How often each host starts the job.
const STARTS: u32 = 20;

/// A host whose wall clock is ahead of virtual time.
#[derive(Debug, Clone)]
struct Host {
    clock: Clock,
    ahead: Duration,
    /// How often its clock for leases was read.
    readings: Arc<AtomicUsize>,
}

impl Runtime for Host {
    fn now(&self) -> Moment {
        self.readings.fetch_add(1, Ordering::Relaxed);
        self.clock.now()
    }

    fn wall_micros(&self) -> u64 {
        self.clock.wall_micros() + u64::try_from(self.ahead.as_micros()).expect("some seconds")
    }

    fn sleep_until(&self, at: Moment) -> Task {
        self.clock.sleep_until(at)
    }

    fn spawn(&self, task: Task) {
        self.clock.spawn(task);
    }

    fn aside(&self, call: Call) {
        self.clock.aside(call);
    }

    fn report(&self, event: Call) {
        self.clock.report(event);
    }

    fn random(&self, bytes: &mut [u8]) {
        self.clock.random(bytes);
    }
}

/// Virtual time, and hosts on it.
struct Scene {
    clock: Clock,
}

impl Scene {
    /// Begins so long after the full minute of virtual time.
    fn new(after: u64) -> Self {
        let clock = Clock::new();
        let past = clock.wall_micros() % 60_000_000;
        clock.advance(Duration::from_micros(60_000_000 - past));
        clock.advance(Duration::from_secs(after));
        Self { clock }
    }

    fn host(&self, ahead: u64) -> Host {
        let (clock, ahead) = (self.clock.clone(), Duration::from_secs(ahead));
        Host { clock, ahead, readings: Arc::default() }
    }

    /// Every host starts its job at each full minute of its own clock. Answers how many runs and
    /// how many starts there were.
    async fn runs(&self, jobs: &[(Host, Once)]) -> (u32, u32) {
        let (mut runs, mut starts) = (0, 0);
        for _ in 0..STARTS * 60 {
            for (host, job) in jobs {
                if host.wall_micros().is_multiple_of(60_000_000) {
                    let ran = job.run(|_lease| async { tenure::ok(()) }).await.expect("an answer");
                    runs += u32::from(ran == Ran::Done(()));
                    starts += 1;
                }
            }
            self.clock.advance(Duration::from_secs(1));
        }
        (runs, starts)
    }
}

fn locks(store: Arc<dyn Store>, host: &Host) -> Locks {
    Locks::over(store, Arc::new(host.clone()), LocksOptions::default())
}

/// The store's clock lies anywhere between, before and behind those of the hosts.
#[tokio::test]
async fn two_hosts_with_clocks_30_s_apart_run_a_minutely_job_20_times_and_not_40() {
    for store_ahead in [0, 10, 20, 30, 45, 59] {
        for counts_from_last in [false, true] {
            // The first minute of the store's clock begins.
            let scene = Scene::new(60 - store_ahead);
            let store = Memory::new(Arc::new(scene.host(store_ahead)));
            let job = |ahead| {
                let host = scene.host(ahead);
                let once = locks(Arc::new(store.clone()), &host).once("job").every(MINUTE);
                (host, if counts_from_last { once.since_last_run() } else { once })
            };
            let ran = scene.runs(&[job(5), job(35)]).await;
            assert_eq!(ran, (STARTS, 2 * STARTS), "the store is {store_ahead} s ahead");
        }
    }
}

/// The nodes' clocks differ, too. Each host proposes its own time.
#[tokio::test]
async fn hosts_and_nodes_of_a_quorum_agree_on_the_tick() {
    // The host that is ahead comes to its next minute first.
    let scene = Scene::new(15);
    let nodes = [10, 15, 20].map(|ahead| Memory::new(Arc::new(scene.host(ahead))));
    let mut jobs = vec![];
    for ahead in [0, 30] {
        let host = scene.host(ahead);
        let stores = nodes.iter().map(|node| Arc::new(node.clone()) as Arc<dyn Store>).collect();
        let quorum = Quorum::open(stores, Arc::new(host.clone()), QuorumOptions::default()).await;
        let locks = locks(Arc::new(quorum.expect("a quorum")), &host);
        jobs.push((host, locks.once("job").every(MINUTE)));
    }
    assert_eq!(scene.runs(&jobs).await, (STARTS, 2 * STARTS));
}

#[tokio::test]
async fn host_that_is_too_far_from_the_nodes_of_a_quorum_is_refused() {
    let scene = Scene::new(0);
    let nodes = [0, 1, 2].map(|ahead| Memory::new(Arc::new(scene.host(ahead))));
    let host = scene.host(40);
    let stores = nodes.iter().map(|node| Arc::new(node.clone()) as Arc<dyn Store>).collect();
    let quorum = Quorum::open(stores, Arc::new(host.clone()), QuorumOptions::default()).await;
    let once = locks(Arc::new(quorum.expect("a quorum")), &host).once("job").every(MINUTE);
    let error = once.begin().await.expect_err("refused");
    assert!(error.to_string().contains("clocks of the two hosts are too far apart"), "{error}");
    assert_eq!(once.last().await.expect("a look"), None);
    let longer = once.every(2 * MINUTE).run(|_lease| async { tenure::ok(()) }).await;
    assert_eq!(longer.expect("within a minute"), Ran::Done(()));
}

/// Between two readings a process may be stopped, and the first would say of the first key what is
/// no longer so.
#[tokio::test]
async fn a_check_of_several_keys_reads_the_clock_once() {
    let scene = Scene::new(0);
    let host = scene.host(0);
    let store = Memory::new(Arc::new(host.clone()));
    let guard = locks(Arc::new(store), &host).all(["a", "b", "c"]).acquire().await.expect("free");
    let before = host.readings.load(Ordering::Relaxed);
    guard.check().expect("all are held");
    assert_eq!(host.readings.load(Ordering::Relaxed), before + 1);
}
