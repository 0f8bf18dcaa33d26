//! The value beside a leadership: which texts, and who changes it.

use tenure::protocol::{Op, Reply};
use tenure::{ErrorKind, Renewal, Value};

use crate::world::{PATIENCE, World, ms, within};

use super::leading::{both, leader, leads};

/// So long before the end that no pause of a busy machine loses the lease.
const OFTEN: Renewal = Renewal::Every(ms(50));

pub(crate) async fn any_short_text_is_a_value(world: World) {
    let [ours, theirs] = both(&world);
    let longest = "é".repeat(Value::MAX_BYTES / 2);
    for text in ["", "a", "1:b", "line\nfeed\r\n", "\"quoted\"\t📈", "\0", &longest] {
        let mut leadership = leads(&ours, text).await;
        assert_eq!(leader(&theirs).await.expect("a leader").value(), text);
        leadership.set_value("another").await.expect("set");
        leadership.set_value(text).await.expect("set");
        assert_eq!(leader(&theirs).await.expect("a leader").value(), text);
        leadership.resign().await.expect("resigned");
    }
}

pub(crate) async fn longer_value_is_refused_before_anything_is_touched(world: World) {
    let [ours, theirs] = both(&world);
    let long = "x".repeat(Value::MAX_BYTES + 1);
    let is_refused = |error: Option<tenure::Error>| {
        let error = error.expect("refused");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().contains("4097 bytes, the limit is 4096"), "{error}");
        assert!(!error.may_hold() && error.to_string().contains("\"key\""), "{error}");
    };
    is_refused(ours.campaign(&long).await.err());
    is_refused(ours.try_campaign(&long).await.err());
    assert!(world.is_untouched().await);
    let mut leadership = leads(&ours, "a").await;
    is_refused(leadership.set_value(&long).await.err());
    leadership.check().expect("it leads on");
    assert_eq!(leader(&theirs).await.expect("a leader").value(), "a");
}

pub(crate) async fn value_outlives_renewals_and_waiters(world: World) {
    let [ours, theirs] = both(&world);
    let mut leadership = leads(&ours.clone().with_renewal(OFTEN), "a").await;
    let waiter = crate::world::waiting(world.rival().mutex("key"));
    if world.locks().capabilities().fifo {
        world.until_waiting("key", 1).await;
    }
    for value in ["b", "c"] {
        leadership.set_value(value).await.expect("set");
        let renewed = leadership.renewed(leadership.deadline() + ms(120));
        within("renewals", PATIENCE, renewed).await;
        assert_eq!(leader(&theirs).await.expect("a leader").value(), value);
    }
    waiter.abort();
    leadership.extend_to(ms(60_000)).await.expect("extended");
    assert_eq!(leader(&theirs).await.expect("a leader").value(), "c");
}

/// As it could arrive from a link that was slow.
pub(crate) async fn late_value_does_nothing(world: World) {
    let [ours, theirs] = both(&world);
    let mut leadership = leads(&ours, "a").await;
    leadership.set_value("b").await.expect("set");
    leadership.set_value("c").await.expect("set");
    let late = |revision| Op::SetValue {
        owner: leadership.owner().clone(),
        fence: leadership.term(),
        value: Value::revised("late", revision).expect("short"),
    };
    let refused = world.ask("key", late(1)).await;
    assert!(matches!(refused, Reply::Mismatch(_)), "{refused:?}");
    assert_eq!(world.ask("key", late(2)).await, Reply::ValueSet, "a repeated one is known");
    assert_eq!(leader(&theirs).await.expect("a leader").value(), "c");
    let too_late = late(9);
    leadership.resign().await.expect("resigned");
    let next = leads(&theirs, "d").await;
    let refused = world.ask("key", too_late).await;
    assert!(matches!(refused, Reply::Gone | Reply::Withdrawn), "{refused:?}");
    assert_eq!(leader(&ours).await.expect("a leader").value(), "d");
    next.check().expect("it leads");
}
