//! Verbs of a ticket whose replies are lost: they may be repeated.

use std::time::Duration;

use tenure::testing::World;
use tenure::{ErrorKind, Released, Ticket};

const LONG: Duration = Duration::from_secs(600);

async fn ticket(world: &World) -> Ticket {
    let guard = world.locks().mutex("key").acquire().await.expect("granted");
    guard.hand_over(Duration::from_secs(60)).await.expect("a ticket")
}

#[tokio::test]
async fn lost_reply_to_a_renewal_neither_extends_nor_loses() {
    let world = World::new();
    let ticket = ticket(&world).await;
    world.lose_answers(1);
    let lost = world.locks().renew_ticket(&ticket, LONG).await.expect_err("no answer");
    assert_eq!((lost.kind(), lost.may_hold()), (ErrorKind::Unavailable, true), "{lost}");
    world.locks().renew_ticket(&ticket, LONG).await.expect("it may be repeated");
    world.fail_next(1);
    let failed = world.locks().renew_ticket(&ticket, LONG).await.expect_err("not sent");
    assert_eq!((failed.kind(), failed.may_hold()), (ErrorKind::Unavailable, false), "{failed}");
    let holder = world.locks().check_ticket(&ticket).await.expect("a look").expect("held");
    assert!(holder.remaining > LONG / 2, "{holder:?}");
}

#[tokio::test]
async fn lost_reply_to_a_release_is_an_error_and_the_next_says_that_it_is_done() {
    let world = World::new();
    let ticket = ticket(&world).await;
    world.lose_answers(1);
    let lost = world.locks().release_ticket(&ticket).await.expect_err("no answer");
    assert_eq!((lost.kind(), lost.may_hold()), (ErrorKind::Unavailable, true), "{lost}");
    let again = world.locks().release_ticket(&ticket).await.expect("an answer");
    assert_eq!(again, Released::Gone);
    assert!(world.locks().mutex("key").try_acquire().await.expect("an answer").is_some());
}
