//! Memory is the machine behind a mutex: the same random steps bring the same replies and the same
//! grants, whatever else is kept there, batched and forgotten.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tenure::StoreTime;
use tenure::protocol::StepContext;
use tenure::runtime::Runtime;
use tenure::store::{Memory, Store};
use tenure::testing::Clock;

use super::drafts::{Draft, Model, asks, steps};

#[derive(Debug, Clone)]
pub(super) enum Event {
    Pass(Duration),
    Ask(Vec<(u8, Draft)>),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => asks(&[0, 1], 3).prop_map(Event::Ask),
        2 => (1..3000_u64).prop_map(|ms| Event::Pass(Duration::from_millis(ms))),
    ]
}

pub(super) async fn run(events: Vec<Event>) {
    let clock = Clock::new();
    let store = Memory::new(Arc::new(clock.clone()));
    let mut inbox = store.inbox().await.expect("an answer").expect("an inbox");
    let mut model = Model::of_a_store_that_shows_old_fences();
    for event in events {
        let asks = match event {
            Event::Pass(span) => {
                clock.advance(span);
                continue;
            }
            Event::Ask(asks) => asks,
        };
        let steps = steps(&asks, &inbox.address);
        let at = StepContext {
            now: StoreTime::from_micros(clock.now().as_micros()),
            fence_seed: clock.wall_micros(),
            wall: clock.wall_micros(),
            retention: Duration::from_secs(24 * 3600),
        };
        model.agrees_with(&store, &mut inbox, steps, at).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        max_shrink_time: 30_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn memory_answers_as_the_machine_does(events in prop::collection::vec(event(), 1..60)) {
        let tokio_runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        tokio_runtime.expect("a runtime").block_on(run(events));
    }
}
