//! Tickets in use without a guard: renewed, asked about and released by whoever has the text.

use tenure::{ErrorKind, Released, Ticket};

use crate::world::{World, acquire, grows, ms, outcome, until, waiting};

super::over_every_store! {
    ticket_is_renewed_as_often_as_wanted_and_stays_the_same,
    renewal_of_a_ticket_never_shortens,
    extensions_of_a_ticket_add_up_to_what_was_asked_for,
    released_ticket_holds_nothing,
    release_grants_to_the_waiter_and_leaves_it_alone,
    adopted_ticket_holds_nothing,
    ticket_that_is_over_is_not_brought_back,
    forced_out_ticket_holds_nothing,
    ticket_of_one_permit_is_told_from_the_others,
    time_out_of_limits_is_refused,
}

super::over_store! {
    quorum: crate::world::World::quorum(crate::nodes::Nodes::Memories, 2);
    ticket_is_renewed_as_often_as_wanted_and_stays_the_same,
    renewal_of_a_ticket_never_shortens,
    extensions_of_a_ticket_add_up_to_what_was_asked_for,
    released_ticket_holds_nothing,
    adopted_ticket_holds_nothing,
    ticket_that_is_over_is_not_brought_back,
    forced_out_ticket_holds_nothing,
    time_out_of_limits_is_refused
}

async fn ticket(world: &World, keep: u64) -> Ticket {
    // Its own lease is no longer than that of the ticket, if that is to end.
    let ttl = ms(keep).clamp(ms(3_000), ms(10_000));
    let guard = acquire(&world.locks().mutex("key").with_ttl(ttl)).await;
    guard.hand_over(ms(keep)).await.expect("a ticket")
}

/// Nobody holds anything by this ticket, and every verb says so.
async fn is_over(world: &World, ticket: &Ticket, released: Released) {
    let renewed = world.rival().renew_ticket(ticket, ms(60_000)).await.expect_err("over");
    assert_eq!(renewed.kind(), ErrorKind::Lost, "{renewed}");
    let extended = world.rival().extend_ticket(ticket, ms(60_000)).await.expect_err("over");
    assert_eq!(extended.kind(), ErrorKind::Lost, "{extended}");
    assert_eq!(world.rival().check_ticket(ticket).await.expect("a look"), None);
    assert_eq!(world.rival().release_ticket(ticket).await.expect("an answer"), released);
}

async fn ticket_is_renewed_as_often_as_wanted_and_stays_the_same(world: World) {
    let ticket = ticket(&world, 10_000).await;
    for keep in [30_000, 60_000, 120_000] {
        // As another process has it.
        let ticket: Ticket = ticket.to_string().parse().expect("a ticket");
        world.rival().renew_ticket(&ticket, ms(keep)).await.expect("renewed");
        let holder = world.rival().check_ticket(&ticket).await.expect("a look").expect("held");
        assert!(holder.remaining > ms(keep - 10_000), "{holder:?}");
        assert_eq!(holder.fence, ticket.fence());
        assert!(world.rival().mutex("key").try_acquire().await.expect("a look").is_none());
    }
    assert_eq!(ticket.holder_in(&world.inspect("key").await).expect("held").fence, ticket.fence());
    let adopted = world.locks().adopt(&ticket).await.expect("still as good as new");
    assert_eq!(adopted.fence(), ticket.fence());
}

async fn renewal_of_a_ticket_never_shortens(world: World) {
    let ticket = ticket(&world, 60_000).await;
    world.rival().renew_ticket(&ticket, ms(100)).await.expect("renewed");
    let holder = world.rival().check_ticket(&ticket).await.expect("a look").expect("held");
    assert!(holder.remaining > ms(30_000), "{holder:?}");
}

/// Each extension used to add the drift allowance of all the time that was left.
async fn extensions_of_a_ticket_add_up_to_what_was_asked_for(world: World) {
    let ticket = ticket(&world, 10_000).await;
    for _ in 0..10 {
        world.rival().extend_ticket(&ticket, ms(10_000)).await.expect("extended");
    }
    let holder = world.rival().check_ticket(&ticket).await.expect("a look").expect("held");
    let sum = ms(110_000);
    assert!(holder.remaining > sum - ms(10_000), "{holder:?}");
    assert!(holder.remaining < sum + ms(2_000), "{holder:?}");
}

async fn released_ticket_holds_nothing(world: World) {
    let ticket = ticket(&world, 60_000).await;
    let released = world.rival().release_ticket(&ticket).await.expect("an answer");
    assert_eq!(released, Released::Released);
    is_over(&world, &ticket, Released::Gone).await;
    let adopted = world.rival().adopt(&ticket).await.expect_err("released");
    assert_eq!(adopted.kind(), ErrorKind::Lost);
    let next = world.rival_takes("key").await;
    assert!(next.fence() > ticket.fence());
    is_over(&world, &ticket, Released::Others).await;
    next.extend_to(ms(60_000)).await.expect("the successor is left alone");
}

async fn release_grants_to_the_waiter_and_leaves_it_alone(world: World) {
    let ticket = ticket(&world, 60_000).await;
    let waiter = waiting(world.locks().mutex("key"));
    world.until_waiting("key", 1).await;
    let released = world.rival().release_ticket(&ticket).await.expect("an answer");
    assert_eq!(released, Released::Released);
    let next = outcome(waiter).await.expect("granted");
    grows(&mut ticket.fence(), &next);
    is_over(&world, &ticket, Released::Others).await;
    next.extend_to(ms(60_000)).await.expect("still held");
}

async fn adopted_ticket_holds_nothing(world: World) {
    let ticket = ticket(&world, 60_000).await;
    let guard = world.locks().adopt(&ticket).await.expect("adopted");
    is_over(&world, &ticket, Released::Others).await;
    guard.extend_to(ms(60_000)).await.expect("the adopter is left alone");
}

async fn ticket_that_is_over_is_not_brought_back(world: World) {
    let ticket = ticket(&world, 300).await;
    until("the end", async || world.inspect("key").await.holders.is_empty()).await;
    is_over(&world, &ticket, Released::Gone).await;
    assert!(world.inspect("key").await.holders.is_empty(), "the renewal holds nothing");
    drop(world.rival_takes("key").await);
}

async fn forced_out_ticket_holds_nothing(world: World) {
    let ticket = ticket(&world, 60_000).await;
    assert_eq!(world.rival().mutex("key").force_release().await.expect("forced"), 1);
    is_over(&world, &ticket, Released::Gone).await;
    drop(world.rival_takes("key").await);
}

async fn ticket_of_one_permit_is_told_from_the_others(world: World) {
    let permits = world.locks().semaphore("key", 3);
    let mut tickets = Vec::new();
    for _ in 0..3 {
        let guard = acquire(&permits).await;
        tickets.push(guard.hand_over(ms(60_000)).await.expect("a ticket"));
    }
    let released = world.rival().release_ticket(&tickets[1]).await.expect("an answer");
    assert_eq!(released, Released::Released);
    let seen = world.inspect("key").await;
    let held: Vec<_> = tickets.iter().map(|ticket| ticket.holder_in(&seen).is_some()).collect();
    assert_eq!(held, [true, false, true]);
    world.rival().renew_ticket(&tickets[2], ms(120_000)).await.expect("renewed");
    is_over(&world, &tickets[1], Released::Others).await;
}

async fn time_out_of_limits_is_refused(world: World) {
    let ticket = ticket(&world, 60_000).await;
    for keep in [ms(1), ms(31 * 24 * 3_600_000)] {
        let refused = world.rival().renew_ticket(&ticket, keep).await.expect_err("out of limits");
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    }
    let most = ms(30 * 24 * 3_600_000);
    let refused = world.rival().extend_ticket(&ticket, most).await.expect_err("above the limit");
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    assert!(world.rival().check_ticket(&ticket).await.expect("a look").is_some());
}
