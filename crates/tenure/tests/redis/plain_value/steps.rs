//! The steps on a plain lock, each by the two branches of the script: they are one machine.

use std::time::Duration;

use tenure::protocol::{Acquire, Op, Reply};
use tenure::store::{Redis, Store};
use tenure::{Claim, DataCommand, ErrorKind, Fence, Renewal};
use tenure_testkit::{Flavour, Server};

use super::{another, friend, left, value};
use crate::steps::{TTL, claim, granted, heartbeat, open, owner, pass, release, step};
use crate::world::{acquire, connect, within};

/// The company in which a step travels.
#[derive(Debug, Clone, Copy)]
enum Company {
    /// It may take the fast branch.
    None,
    /// With another step on its key it takes the full one.
    OnItsKey,
    /// In a crowd the fast branch has fewer names at hand.
    Crowd,
}

async fn carried(store: &Redis, company: Company, op: Op) -> Reply {
    let mut steps = vec![step("job", op)];
    match company {
        Company::None => {}
        Company::OnItsKey => steps.push(step("job", Op::Inspect)),
        Company::Crowd => {
            let mate = |number| step(&format!("mate {number}"), Op::Acquire(plain(9)));
            steps.extend((0..12).map(mate));
        }
    }
    store.call(steps).await.expect("an answer").remove(0)
}

fn plain(number: u64) -> Acquire {
    Acquire { claim: Claim::PLAIN, ..claim(number, 1) }
}

fn renew(number: u64, ttl: Duration) -> Op {
    Op::Renew { owner: owner(number), ttl }
}

#[tokio::test]
async fn both_branches_of_the_script_have_the_same_plain_locks() {
    for flavour in Flavour::ALL {
        for company in [Company::None, Company::OnItsKey, Company::Crowd] {
            let server = Server::of(flavour).start();
            let store = open(&server).await;
            let about = format!("{flavour}, {company:?}");
            let ask = async |op: Op| carried(&store, company, op).await;
            let theirs = another(&server);

            // A key of another program, one of ours, one that was extended and shortened.
            assert!(theirs.acquires("job", 60_000));
            let Reply::Busy { look_in, blocker } = ask(Op::Acquire(plain(1))).await else {
                panic!("{about}: both hold it")
            };
            assert!(look_in <= Duration::from_millis(100) && blocker.is_some(), "{about}");
            assert!(theirs.releases("job"));
            let first = granted(&ask(Op::Acquire(plain(1))).await);
            assert_eq!(value(&server, "job").as_deref(), Some("owner 1"), "{about}");
            assert_eq!(
                granted(&ask(Op::Acquire(plain(1))).await),
                first,
                "{about}: it is repeated"
            );
            server.command(&["PEXPIRE", "job", "600000"]);
            for other in [plain(2), claim(2, 1)] {
                let Reply::Busy { look_in, .. } = ask(Op::Acquire(other)).await else {
                    panic!("{about}")
                };
                assert!(look_in > Duration::from_secs(500), "{about}: {look_in:?}");
            }
            assert_eq!(ask(renew(1, TTL)).await, Reply::Renewed, "{about}");
            assert!(left(&server, "job") > 500_000, "{about}: a renewal shortened it");
            server.command(&["PEXPIRE", "job", "5000"]);
            assert_eq!(ask(renew(1, Duration::from_secs(10))).await, Reply::Renewed, "{about}");
            assert!((5_001..=10_000).contains(&left(&server, "job")), "{about}: it was told so");
            assert_eq!(ask(renew(2, TTL)).await, Reply::Gone, "{about}");
            assert_eq!(ask(release(2)).await, Reply::Others, "{about}");

            // Through a queue, from and to both forms, and ahead of it.
            let mut last = first;
            let mut next = |fence: Fence| {
                assert!(fence > last, "{about}: {fence} after {last}");
                last = fence;
            };
            let waits = Acquire { claim: Claim::PLAIN, ..heartbeat(2, 1, 1) };
            for (from, waits) in [(1, waits.clone()), (2, heartbeat(3, 1, 1))] {
                let queued = ask(Op::Acquire(waits)).await;
                assert!(matches!(queued, Reply::Queued { .. }), "{about}: {queued:?}");
                assert_eq!(ask(release(from)).await, Reply::Released, "{about}");
            }
            let queued = ask(Op::Acquire(waits)).await;
            assert!(matches!(queued, Reply::Queued { .. }), "{about}: {queued:?}");
            assert_eq!(ask(release(3)).await, Reply::Released, "{about}");
            server.command(&["PEXPIRE", "job", "600000"]);
            assert_eq!(ask(renew(2, TTL)).await, Reply::Renewed, "{about}");
            assert!(left(&server, "job") > 500_000, "{about}: not plain from the queue");
            for (from, to) in [(2, plain(4)), (4, claim(5, 1)), (5, plain(6))] {
                let Reply::HandedOff { acquired, .. } = ask(pass(from, to)).await else {
                    panic!("{about}")
                };
                next(granted(&acquired));
            }
            server.command(&["PEXPIRE", "job", "600000"]);
            assert_eq!(ask(renew(6, TTL)).await, Reply::Renewed, "{about}");
            assert!(left(&server, "job") > 500_000, "{about}: not plain after a handoff");

            // A key that others removed, and one that they have made theirs.
            server.command(&["DEL", "job"]);
            assert_eq!(ask(renew(6, TTL)).await, Reply::Gone, "{about}");
            assert_eq!(value(&server, "job"), None, "{about}: a renewal made it anew");
            next(granted(&ask(Op::Acquire(plain(7))).await));
            server.command(&["SET", "job", "theirs", "PX", "60000"]);
            assert_eq!(ask(renew(7, TTL)).await, Reply::Gone, "{about}");
            assert_eq!(ask(release(7)).await, Reply::Others, "{about}");
            assert!(theirs.releases("job"), "{about}: it was touched");
            next(granted(&ask(Op::Acquire(plain(8))).await));
            assert_eq!(ask(release(8)).await, Reply::Released, "{about}");
            // Nobody is known by the value of a lease that was released.
            server.command(&["SET", "job", "owner 8", "PX", "60000"]);
            assert_eq!(ask(renew(8, TTL)).await, Reply::Gone, "{about}");
            assert_eq!(ask(release(8)).await, Reply::Others, "{about}");
        }
    }
}

#[tokio::test]
async fn guarded_writes_are_carried_out_until_another_program_ends_the_lease() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        // Nothing tells it: nothing is renewed.
        let guard = acquire(&super::plain(&locks, "job").with_renewal(Renewal::Off)).await;
        for body in ["first", "second"] {
            let write = guard.write([DataCommand::from(["SET", "data", body])]);
            within("an answer", write).await.expect("written");
            assert_eq!(value(&server, "data").as_deref(), Some(body), "{flavour}");
            assert!(friend(&server, &guard).extends("job", 50_000));
        }
        assert!(friend(&server, &guard).releases("job"));
        let late = guard.write([DataCommand::from(["SET", "data", "late"])]);
        let error = within("an answer", late).await.expect_err("its lease has ended");
        assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
        assert_eq!(value(&server, "data").as_deref(), Some("second"), "{flavour}");
    }
}
