//! One acquires, another releases: by ticket, by fixed value.

use tenure::{ErrorKind, Released, Renewal, Ticket};

use crate::world::{PATIENCE, World, acquire, ms, until, within};

super::over_every_store! {
    ticket_becomes_a_guard_once,
    unadopted_ticket_ends_by_its_time,
    adopted_lease_is_renewed_on_new_terms,
    ticket_is_refused_for_another_key,
    lost_guard_gives_no_ticket,
    handed_over_guard_holds_nothing,
    racing_adoptions_make_one_guard,
    fixed_value_is_released_by_who_knows_it,
    value_of_another_is_left_alone,
}

async fn ticket_becomes_a_guard_once(world: World) {
    let guard = acquire(&world.locks().mutex("key")).await;
    let fence = guard.fence();
    let text = guard.hand_over(ms(60_000)).await.expect("a ticket").to_string();
    assert!(world.rival().mutex("key").try_acquire().await.expect("a look").is_none());
    let ticket: Ticket = text.parse().expect("a ticket");
    assert_eq!((ticket.key().as_str(), ticket.fence()), ("key", fence));
    let guard = world.rival().adopt(&ticket).await.expect("adopted");
    assert_eq!(guard.fence(), fence);
    guard.check().expect("held");
    let again = world.locks().adopt(&ticket).await.expect_err("used up");
    assert_eq!(again.kind(), ErrorKind::Lost);
    guard.check().expect("the second try does no harm");
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    let again = world.locks().adopt(&ticket).await.expect_err("used up");
    assert_eq!(again.kind(), ErrorKind::Lost);
    drop(world.rival_takes("key").await);
}

async fn unadopted_ticket_ends_by_its_time(world: World) {
    let mutex = world.locks().mutex("key").with_ttl(ms(5_000));
    let ticket = acquire(&mutex).await.hand_over(ms(5_500)).await.expect("a ticket");
    // Its guard's renewals would have kept it for ever.
    until("the end", async || world.inspect("key").await.holders.is_empty()).await;
    assert_eq!(world.rival().adopt(&ticket).await.expect_err("over").kind(), ErrorKind::Lost);
    drop(world.rival_takes("key").await);
}

async fn adopted_lease_is_renewed_on_new_terms(world: World) {
    let mutex = world.locks().mutex("key").with_ttl(ms(5_000)).with_renewal(Renewal::Off);
    let ticket = acquire(&mutex).await.hand_over(ms(5_000)).await.expect("a ticket");
    let often =
        world.rival().mutex("key").with_ttl(ms(5_000)).with_renewal(Renewal::Every(ms(100)));
    let guard = often.adopt(&ticket).await.expect("adopted");
    let first = guard.deadline();
    within("a renewal", PATIENCE, guard.renewed(first + ms(5_000))).await;
    guard.check().expect("held far beyond the time of the ticket");
    let holder = &world.inspect("key").await.holders[0];
    assert_eq!(&holder.owner, guard.owner());
}

async fn ticket_is_refused_for_another_key(world: World) {
    let ticket = acquire(&world.locks().mutex("key")).await.hand_over(ms(60_000)).await;
    let ticket = ticket.expect("a ticket");
    let refused = world.locks().mutex("other").adopt(&ticket).await.expect_err("another key");
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    drop(world.rival().adopt(&ticket).await.expect("still good"));
}

async fn lost_guard_gives_no_ticket(world: World) {
    let guard = acquire(&world.locks().mutex("key")).await;
    world.force(&guard).await;
    assert_eq!(guard.hand_over(ms(1_000)).await.expect_err("lost").kind(), ErrorKind::Lost);
    let guard = acquire(&world.locks().mutex("key")).await;
    assert_eq!(guard.hand_over(ms(1)).await.expect_err("too short").kind(), ErrorKind::Invalid);
    until("the release", async || world.inspect("key").await.holders.is_empty()).await;
}

async fn handed_over_guard_holds_nothing(world: World) {
    let guard = acquire(&world.locks().mutex("key")).await;
    let lease = guard.lease();
    let ticket = guard.hand_over(ms(60_000)).await.expect("a ticket");
    assert!(!lease.held(), "two hold one lease");
    let adopted = world.locks().adopt(&ticket).await.expect("adopted");
    assert!(adopted.held() && !lease.held());
}

async fn racing_adoptions_make_one_guard(world: World) {
    let ticket = acquire(&world.locks().mutex("key")).await.hand_over(ms(60_000)).await;
    let ticket = ticket.expect("a ticket");
    let racers: Vec<_> = (0..16)
        .map(|number| {
            let locks = if number % 2 == 0 { world.locks() } else { world.rival() };
            let (locks, ticket) = (locks.clone(), ticket.clone());
            tokio::spawn(async move { locks.adopt(&ticket).await })
        })
        .collect();
    let mut won = Vec::new();
    for racer in racers {
        match racer.await.expect("no panic") {
            Ok(guard) => won.push(guard),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Lost),
        }
    }
    assert_eq!(won.len(), 1);
    won[0].check().expect("held");
}

async fn fixed_value_is_released_by_who_knows_it(world: World) {
    let guard = acquire(&world.locks().mutex("key").with_owner("job-10")).await;
    let _ticket = guard.hand_over(ms(60_000)).await.expect("kept");
    let released = world.rival().release_owner("key", "job-10").await.expect("an answer");
    assert_eq!(released, Released::Released);
    let again = world.rival().release_owner("key", "job-10").await.expect("an answer");
    assert_eq!(again, Released::Gone);
    drop(world.rival_takes("key").await);
}

async fn value_of_another_is_left_alone(world: World) {
    let guard = acquire(&world.locks().mutex("key").with_owner("job-10")).await;
    // Not even by a prefix.
    let others = world.rival().release_owner("key", "job-1").await.expect("an answer");
    assert_eq!(others, Released::Others);
    let refused = world.rival().release_owner("key", "").await.expect_err("no value");
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let refused = world.rival().release_owner("", "x").await.expect_err("no key");
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    guard.extend_to(ms(60_000)).await.expect("still held");
}
