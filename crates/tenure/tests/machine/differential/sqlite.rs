//! The file behaves like the machine: the same random steps bring the same replies and the same
//! grants, step by step, whatever is loaded, stored and forgotten in between.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tenure::StoreTime;
use tenure::protocol::StepContext;
use tenure::runtime::Runtime;
use tenure::store::{Sqlite, SqliteOptions, Store};
use tenure::testing::Clock;

use super::drafts::{Draft, Model, asks, steps};

/// The next event: time passes, or one of two connections is asked for a batch of steps, or is
/// opened anew.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Pass(Duration),
    Ask(usize, Vec<(u8, Draft)>),
    Reopen(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..2_usize, asks(&[0, 1], 3)).prop_map(|(which, asks)| Event::Ask(which, asks)),
        2 => (1..3000_u64).prop_map(|ms| Event::Pass(Duration::from_millis(ms))),
        1 => (0..2_usize).prop_map(Event::Reopen),
    ]
}

pub(super) async fn run(events: Vec<Event>) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let clock = Arc::new(Clock::new());
    let retention = Duration::from_secs(24 * 3600);
    let open = || {
        let runtime = Arc::clone(&clock) as Arc<dyn Runtime>;
        Sqlite::open_with(&path, runtime, SqliteOptions::default())
    };
    let mut stores = [open().await.expect("it opens"), open().await.expect("it opens")];
    let mut inbox = stores[0].inbox().await.expect("an answer").expect("an inbox");
    let mut model = Model::of_a_store_that_shows_old_fences();
    for event in events {
        match event {
            Event::Pass(span) => clock.advance(span),
            Event::Reopen(which) => stores[which] = open().await.expect("it opens again"),
            Event::Ask(which, asks) => {
                let steps = steps(&asks, &inbox.address);
                let at = StepContext {
                    now: StoreTime::from_micros(clock.now().as_micros()),
                    fence_seed: clock.wall_micros(),
                    wall: clock.wall_micros(),
                    retention,
                };
                model.agrees_with(&stores[which], &mut inbox, steps, at).await;
                // By the other connection: all that counts is in the file.
                let looks = asks.into_iter().map(|(key, _)| (key, Draft::Inspect));
                let looks = super::drafts::steps(&looks.collect::<Vec<_>>(), &inbox.address);
                model.agrees_with(&stores[1 - which], &mut inbox, looks, at).await;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        max_shrink_time: 30_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_file_answers_as_the_machine_does(events in prop::collection::vec(event(), 1..60)) {
        let tokio_runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        tokio_runtime.expect("a runtime").block_on(run(events));
    }
}
