//! The program whose instructions `cargo xtask counts` counts: it repeats one path of the library,
//! with nobody else at it. It measures nothing itself.

use std::time::Duration;

use tenure::protocol::{Acquire, FenceRule, KeyState, Op, StepContext};
use tenure::{Claim, Label, Locks, Mutex, Owner, StoreTime};
use tokio::runtime::Runtime;

/// Repetitions before the counting begins: memory has grown, the server knows the script.
const FIRST: u32 = 20;
/// Time for which an owner may hold the key of the machine.
const TTL: Duration = Duration::from_secs(30);

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [path, times] = &arguments[..] else { panic!("arguments: machine or a URL, and a number") };
    let times = times.parse().expect("a number");
    if path == "machine" {
        let mut machine = Machine::new();
        machine.cycles(FIRST);
        counted_machine(&mut machine, times);
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let locks = runtime.block_on(tenure::connect(path)).expect("a store");
    let mutex = locks.mutex("counted");
    cycles(&runtime, &mutex, FIRST);
    counted_store(&runtime, &mutex, times);
    close(&runtime, &locks);
}

/// Callgrind counts from here on, until it returns.
#[inline(never)]
fn counted_machine(machine: &mut Machine, times: u32) {
    machine.cycles(times);
}

/// As [`counted_machine`], for a store.
#[inline(never)]
fn counted_store(runtime: &Runtime, mutex: &Mutex, times: u32) {
    cycles(runtime, mutex, times);
}

/// Takes and releases a free lock.
fn cycles(runtime: &Runtime, mutex: &Mutex, times: u32) {
    runtime.block_on(async {
        for _ in 0..times {
            let guard = mutex.acquire().await.expect("a free lock");
            guard.release().await.expect("a lock that is held");
        }
    });
}

fn close(runtime: &Runtime, locks: &Locks) {
    runtime.block_on(locks.close(TTL)).expect("nothing is under way");
}

/// One key and the two steps that take and release it.
struct Machine {
    key: KeyState,
    steps: [Op; 2],
    now: u64,
}

impl Machine {
    fn new() -> Self {
        let owner = Owner::random(&[1; 28]);
        let acquire = Op::Acquire(Acquire {
            owner: owner.clone(),
            label: Label::new("counted"),
            claim: Claim::EXCLUSIVE,
            ttl: TTL,
            queue: None,
            fence: FenceRule::Mint,
            value: None,
        });
        let release = Op::Release { owner, min_hold: Duration::ZERO, tombstone: None };
        Self { key: KeyState::default(), steps: [acquire, release], now: 1 }
    }

    fn cycles(&mut self, times: u32) {
        for step in self.steps.iter().cycle().take(2 * times as usize) {
            self.now += 1;
            let at = StepContext {
                now: StoreTime::from_micros(self.now),
                fence_seed: self.now,
                wall: self.now,
                retention: TTL,
            };
            std::hint::black_box(self.key.apply(step, at));
        }
    }
}
