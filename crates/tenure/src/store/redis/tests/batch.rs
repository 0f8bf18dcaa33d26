//! Group commit: who sends, what travels together, and that no call is left behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tenure_testkit::wait_until;
use tokio::sync::Semaphore;

use crate::protocol::{Op, Reply, Request};
use crate::runtime::{self, Runtime};
use crate::store::redis::batch::{Batches, Carrier, FEW, Outcome, Pace, SECOND_MIN, carrying};
use crate::types::Key;

/// How many steps a batch had, and the name of the thread that sent it.
type Carried = Vec<(usize, Option<String>)>;

/// Batches whose carrier notes how many steps it is given and by which thread, and answers after
/// it was let through.
struct Scene {
    batches: Batches,
    carried: Arc<Mutex<Carried>>,
    gate: Arc<Semaphore>,
}

fn threads() -> Arc<dyn Runtime> {
    runtime::machine().expect("threads")
}

fn scene(open: usize) -> Scene {
    scene_of(open, Pace::Pipelined)
}

fn scene_of(open: usize, pace: Pace) -> Scene {
    let (carried, gate) = (Arc::<Mutex<Carried>>::default(), Arc::new(Semaphore::new(open)));
    let (notes, passage) = (Arc::clone(&carried), Arc::clone(&gate));
    let carry: Carrier = Box::new(move |steps, room| {
        let (notes, passage) = (Arc::clone(&notes), Arc::clone(&passage));
        carrying(room, async move {
            let thread = std::thread::current().name().map(str::to_owned);
            notes.lock().unwrap().push((steps.len(), thread));
            passage.acquire().await.expect("it is never closed").forget();
            Outcome::Together(Ok(echo(&steps)))
        })
    });
    let batches = Batches::start(&threads(), pace, carry);
    let scene = Scene { batches, carried, gate };
    // Once the task on the engine's thread has come by, callers send by themselves.
    wait_until("callers send by themselves", || scene.batches.is_adopted());
    scene
}

fn echo(steps: &[Request]) -> Vec<Reply> {
    steps.iter().map(|step| Reply::Mismatch(step.key.as_str().into())).collect()
}

fn step(text: &str) -> Request {
    Request { key: Key::new(text).expect("a key"), op: Op::Inspect }
}

async fn send(batches: &Batches, text: &str) {
    let replies =
        batches.send(vec![step(text)]).await.expect("at work").of_one_call().expect("no failure");
    assert_eq!(replies, [Reply::Mismatch(text.into())], "the answer to this very call");
}

#[tokio::test]
async fn few_calls_are_sent_by_their_callers_and_those_who_come_meanwhile_go_together() {
    let scene = scene(0);
    let ours = std::thread::current().name().map(str::to_owned);
    let mut cx = Context::from_waker(Waker::noop());
    let mut first: Vec<_> = (0..FEW).map(|_| Box::pin(send(&scene.batches, "first"))).collect();
    for call in &mut first {
        assert!(call.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(*scene.carried.lock().unwrap(), vec![(1, ours); FEW]);
    let others = ["a", "b", "c"].map(|text| Box::pin(send(&scene.batches, text)));
    let mut others = Vec::from(others);
    for other in &mut others {
        assert!(other.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(scene.carried.lock().unwrap().len(), FEW, "enough are under way");
    // A call that has gone before anything was sent is not sent.
    drop(others.remove(1));
    scene.gate.add_permits(FEW);
    for call in first {
        call.await;
    }
    scene.gate.add_permits(1);
    for other in others {
        other.await;
    }
    let carried = scene.carried.lock().unwrap();
    assert_eq!((carried.len(), carried[FEW].0), (FEW + 1, 2), "{carried:?}");
    assert_eq!(carried[FEW].1.as_deref(), Some("tenure"), "where the answer arrived");
}

/// Its runtime is busy with something else, or it has left.
#[tokio::test]
async fn a_caller_who_never_comes_by_again_holds_up_nobody() {
    let mut cx = Context::from_waker(Waker::noop());
    for leaves in [false, true] {
        let scene = scene(0);
        let first = |_| Box::pin(send(&scene.batches, "first"));
        let mut first: Vec<_> = (0..FEW).map(first).collect();
        for call in &mut first {
            assert!(call.as_mut().poll(&mut cx).is_pending());
        }
        if leaves {
            first.clear();
        }
        let mut others = ["a", "b"].map(|text| Box::pin(send(&scene.batches, text)));
        for other in &mut others {
            assert!(other.as_mut().poll(&mut cx).is_pending());
        }
        let carried = || scene.carried.lock().unwrap().iter().map(|b| b.0).collect::<Vec<_>>();
        assert_eq!(carried(), [1; FEW], "the first calls are under way");
        scene.gate.add_permits(FEW + 1);
        for other in others {
            other.await;
        }
        assert_eq!(carried(), [&[1; FEW][..], &[2]].concat(), "nothing was sent twice");
        for call in first {
            call.await;
        }
    }
}

/// The carrier breaks down within the poll of the caller who sends.
#[tokio::test]
async fn a_call_that_breaks_down_breaks_nobody_elses() {
    let carry: Carrier = Box::new(|steps, room| {
        carrying(room, async move {
            assert_ne!(steps[0].key.as_str(), "bad", "as ordered");
            Outcome::Together(Ok(echo(&steps)))
        })
    });
    let batches = Batches::start(&threads(), Pace::Pipelined, carry);
    wait_until("callers send by themselves", || batches.is_adopted());
    for _ in 0..3 {
        let mut bad = Box::pin(batches.send(vec![step("bad")]));
        let mut cx = Context::from_waker(Waker::noop());
        let poll = AssertUnwindSafe(|| bad.as_mut().poll(&mut cx));
        assert!(catch_unwind(poll).is_err());
        drop(bad);
        send(&batches, "good").await;
    }
}

#[tokio::test]
async fn a_second_batch_goes_out_before_the_first_is_answered_once_it_is_large_enough() {
    const MANY: usize = 3 * SECOND_MIN;
    let scene = scene(0);
    let carried = || scene.carried.lock().unwrap().iter().map(|batch| batch.0).collect::<Vec<_>>();
    let mut cx = Context::from_waker(Waker::noop());
    let mut calls = Vec::new();
    let mut come = |count: usize| {
        for _ in 0..count {
            let mut call = Box::pin(send(&scene.batches, "same"));
            assert!(call.as_mut().poll(&mut cx).is_pending());
            calls.push(call);
        }
    };
    let batches = |of: &[usize]| [&[1; FEW], of].concat();
    come(FEW + SECOND_MIN);
    assert_eq!(carried(), batches(&[]));
    scene.gate.add_permits(FEW);
    wait_until("the next goes out", || carried() == batches(&[SECOND_MIN]));
    wait_until("only that is under way", || scene.batches.under_way() == 1);
    come(SECOND_MIN - 1);
    assert_eq!(carried(), batches(&[SECOND_MIN]), "the rest is too few for a second");
    come(1);
    assert_eq!(carried(), batches(&[SECOND_MIN, SECOND_MIN]));
    come(MANY);
    assert_eq!(carried(), batches(&[SECOND_MIN, SECOND_MIN]), "there is no third");
    scene.gate.add_permits(1);
    wait_until("the next goes out", || carried() == batches(&[SECOND_MIN, SECOND_MIN, MANY]));
    scene.gate.add_permits(2);
    for call in calls {
        call.await;
    }
}

#[test]
fn no_call_of_many_threads_is_left_behind() {
    const THREADS: usize = 8;
    const CALLS: usize = 2_000;
    let scene = scene(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let scene = &scene;
            scope.spawn(move || {
                let tokio_runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for call in 0..CALLS {
                    let text = format!("{thread}-{call}");
                    let mut sent = pin!(send(&scene.batches, &text));
                    let poll = sent.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    // Answered at once, or while somebody else is at it, as it happens.
                    scene.gate.add_permits(1);
                    if poll == Poll::Pending {
                        tokio_runtime.block_on(sent);
                    }
                }
            });
        }
    });
    let carried = scene.carried.lock().unwrap();
    assert_eq!(carried.iter().map(|(steps, _)| steps).sum::<usize>(), THREADS * CALLS);
}

/// Halves of the callers, each under way while the other wakes up, would cost a node of a cluster
/// twice the calls.
#[tokio::test]
async fn a_node_s_next_batch_waits_for_the_callers_of_the_last_one_and_not_for_ever() {
    const MANY: usize = 4 * FEW;
    let scene = scene_of(0, Pace::Gathered);
    let largest = || scene.carried.lock().unwrap().iter().map(|batch| batch.0).max();
    let mut cx = Context::from_waker(Waker::noop());
    let mut come = |count: usize| -> Vec<_> {
        let call = |_| {
            let mut call = Box::pin(send(&scene.batches, "same"));
            assert!(call.as_mut().poll(&mut cx).is_pending());
            call
        };
        (0..count).map(call).collect()
    };
    // Some go out at once; the rest, once these are answered, and then whoever comes.
    let first = come(MANY);
    scene.gate.add_permits(FEW);
    wait_until("the rest goes out", || largest() == Some(MANY - FEW));
    let half = come(MANY / 2);
    scene.gate.add_permits(1);
    for call in first {
        call.await;
    }
    // Nobody else comes: those who are there go out in the end.
    scene.gate.add_permits(1);
    for call in half {
        call.await;
    }
    let carried = scene.carried.lock().unwrap();
    assert_eq!(carried.last().map(|batch| batch.0), Some(MANY / 2));
}
