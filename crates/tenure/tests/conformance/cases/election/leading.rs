//! The leader and its term, as candidates and observers see them.

use tenure::{
    Election, ErrorKind, Guard, Leader, Leadership, LostReason, Released, Renewal, Result,
};
use tokio::task::JoinHandle;

use crate::world::{PATIENCE, World, acquire, ms, too_late, until, waiting, within};

/// So long before the end that no pause of a busy machine loses the lease.
const OFTEN: Renewal = Renewal::Every(ms(50));

/// One election on the key for each client.
pub(crate) fn both(world: &World) -> [Election; 2] {
    [world.locks(), world.rival()].map(|locks| locks.election("key"))
}

pub(crate) async fn leads(election: &Election, value: &str) -> Leadership {
    within("the leadership", PATIENCE, election.campaign(value)).await.expect("elected")
}

/// Starts a campaign in the background.
fn campaigns(election: &Election, value: &'static str) -> JoinHandle<Result<Leadership>> {
    let election = election.clone();
    tokio::spawn(async move { election.campaign(value).await })
}

async fn elected(candidate: JoinHandle<Result<Leadership>>) -> Leadership {
    let outcome = within("the election", PATIENCE, candidate).await.expect("no panic");
    outcome.expect("elected")
}

pub(crate) async fn leader(election: &Election) -> Option<Leader> {
    election.leader().await.expect("a look")
}

pub(crate) async fn leader_is_seen_with_value_term_and_label(world: World) {
    let [ours, theirs] = both(&world);
    assert_eq!(leader(&theirs).await, None);
    let leadership = leads(&ours.clone().with_label("host-a"), "10.0.0.7:8080").await;
    let seen = leader(&theirs).await.expect("a leader");
    let shown = (seen.value(), seen.term(), seen.label().as_str());
    assert_eq!(shown, ("10.0.0.7:8080", leadership.term(), "host-a"));
    assert_eq!(leadership.term(), leadership.fence());
    assert!(theirs.try_campaign("me").await.expect("an answer").is_none());
    let hasty = theirs.clone().with_wait(ms(1_500));
    let late = too_late(async || hasty.campaign("me").await).await;
    assert_eq!(late.kind(), ErrorKind::Busy);
    assert!(late.message().contains("host-a"), "{late}");
    assert_eq!(leadership.resign().await.expect("an answer"), Released::Released);
    until("nobody leads", async || leader(&theirs).await.is_none()).await;
}

pub(crate) async fn next_candidate_leads_with_its_own_value(world: World) {
    let [ours, theirs] = both(&world);
    let mut leadership = leads(&ours, "first").await;
    for value in ["second", "third"] {
        let candidate = campaigns(&theirs, value);
        if world.locks().capabilities().fifo {
            world.until_waiting("key", 1).await;
        }
        let term = leadership.term();
        leadership.resign().await.expect("resigned");
        leadership = elected(candidate).await;
        assert!(leadership.term() > term, "terms grow");
        let seen = leader(&ours).await.expect("a leader");
        assert_eq!((seen.value(), seen.term()), (value, leadership.term()));
    }
}

/// Of any kind: the lease of the key is one.
pub(crate) async fn mutex_and_election_exclude_each_other(world: World) {
    let [ours, theirs] = both(&world);
    let mutex = world.rival().mutex("key");
    let guard = acquire(&mutex).await;
    assert!(ours.try_campaign("a").await.expect("an answer").is_none());
    let seen = leader(&theirs).await.expect("a holder");
    assert_eq!((seen.value(), seen.term()), ("", guard.fence()));
    let candidate = campaigns(&ours, "a");
    if world.locks().capabilities().fifo {
        world.until_waiting("key", 1).await;
    }
    guard.release().await.expect("released");
    let leadership = elected(candidate).await;
    assert_eq!(leader(&theirs).await.expect("a leader").value(), "a");
    assert!(mutex.try_acquire().await.expect("an answer").is_none());
    let waiter = waiting(mutex);
    leadership.resign().await.expect("resigned");
    let guard = crate::world::outcome(waiter).await.expect("granted");
    let seen = leader(&theirs).await.expect("a holder");
    assert_eq!((seen.value(), seen.term()), ("", guard.fence()), "the value ends with its lease");
}

pub(crate) async fn observers_see_every_leader_and_none(world: World) {
    let [ours, theirs] = both(&world);
    let mut leaders = theirs.observe().with_interval(ms(10));
    let mut next = async || {
        let next = within("a change", PATIENCE, leaders.next()).await;
        next.expect("it never ends").expect("a look")
    };
    assert_eq!(next().await, None);
    let mut leadership = leads(&ours.clone().with_renewal(OFTEN), "a").await;
    let seen = next().await.expect("a leader");
    assert_eq!((seen.value(), seen.term()), ("a", leadership.term()));
    leadership.set_value("b").await.expect("set");
    let seen = next().await.expect("a leader");
    assert_eq!((seen.value(), seen.term()), ("b", leadership.term()));
    // Renewals are no news.
    let renewed = leadership.renewed(leadership.deadline() + ms(300));
    within("renewals", PATIENCE, renewed).await;
    leadership.resign().await.expect("resigned");
    assert_eq!(next().await, None);
    let again = leads(&ours, "b").await;
    let seen = next().await.expect("a leader");
    assert!(seen.term() == again.term() && seen.value() == "b", "the same value in a new term");
    let mut bad = world.locks().election("").observe();
    let refused = bad.next().await.expect("an answer").expect_err("no key");
    assert_eq!(refused.kind(), ErrorKind::Invalid);
}

pub(crate) async fn lost_leadership_sets_no_value(world: World) {
    let [ours, theirs] = both(&world);
    let mut leadership = leads(&ours.clone().with_renewal(OFTEN), "a").await;
    assert_eq!(theirs.force_release().await.expect("forced"), 1);
    let next = leads(&theirs, "b").await;
    let error = leadership.set_value("late").await.expect_err("it is lost");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert_eq!(within("the loss", PATIENCE, leadership.lost()).await, LostReason::Gone);
    assert_eq!(leadership.resign().await.expect("an answer"), Released::Others);
    let seen = leader(&ours).await.expect("a leader");
    assert_eq!((seen.value(), seen.term()), ("b", next.term()));
    next.check().expect("the successor is left alone");
}

pub(crate) async fn dropped_candidate_never_leads(world: World) {
    let [ours, theirs] = both(&world);
    let leadership = leads(&ours, "a").await;
    let candidate = campaigns(&theirs, "b");
    if world.locks().capabilities().fifo {
        world.until_waiting("key", 1).await;
    }
    candidate.abort();
    leadership.resign().await.expect("resigned");
    until("nobody leads", async || leader(&ours).await.is_none()).await;
    drop(leads(&ours, "c").await);
    until("it resigns in the background", async || leader(&theirs).await.is_none()).await;
}

pub(crate) async fn leader_runs_work_and_resigns(world: World) {
    let [ours, theirs] = both(&world);
    let leadership = leads(&ours, "a").await;
    let term = leadership.term();
    let work = |lease: tenure::Lease| async move {
        lease.check()?;
        tenure::ok(lease.fence())
    };
    assert_eq!(leadership.run(work).await.expect("ran"), term);
    until("nobody leads", async || leader(&theirs).await.is_none()).await;
    let guard = Guard::from(leads(&ours, "b").await);
    let ticket = guard.hand_over(ms(60_000)).await.expect("a ticket");
    let adopted = theirs.adopt(&ticket).await.expect("adopted");
    let seen = leader(&ours).await.expect("a leader");
    assert_eq!((seen.value(), seen.term()), ("b", adopted.fence()), "it keeps its value");
}

pub(crate) async fn everything_has_its_blocking_name(world: World) {
    let locks = tenure::blocking::Locks::from(world.locks().clone());
    let election = locks.election("key").with_owner("me").with_renewal(OFTEN);
    election.validate().expect("valid");
    assert_eq!(election.leader().expect("a look"), None);
    let mut leadership = election.campaign("a").expect("elected");
    assert!(election.try_campaign("b").expect("an answer").is_none());
    assert!(election.held_by_me().expect("a look"));
    leadership.set_value("c").expect("set");
    let seen = election.leader().expect("a look").expect("a leader");
    assert_eq!((seen.value(), seen.term()), ("c", leadership.term()));
    let mut leaders = election.observe().with_interval(ms(10));
    assert_eq!(leaders.next().expect("it never ends").expect("a look"), Some(seen));
    assert_eq!(leadership.resign().expect("an answer"), Released::Released);
    assert_eq!(leaders.next().expect("it never ends").expect("a look"), None);
    let leadership = election.try_campaign("d").expect("an answer").expect("elected");
    assert!(leadership.run(|lease| tenure::ok(lease.held())).expect("ran"), "it leads");
    let leadership = election.campaign("e").expect("elected");
    assert_eq!(election.force_release().expect("forced"), 1);
    assert_eq!(leadership.lost(), LostReason::Gone);
}
