//! Uses of locks beyond acquiring and releasing: every case over every store.

/// Makes one test of each case for each store. A store is one more line here.
macro_rules! over_every_store {
    ($($case:ident),+ $(,)?) => {
        crate::every_store::over_store! { memory: crate::world::World::memory(2); $($case),+ }
        crate::every_store::over_store! { sqlite: crate::world::World::sqlite(2); $($case),+ }
        crate::every_store::over_store! {
            redis: crate::world::World::redis(tenure_testkit::Flavour::Redis, 2); $($case),+
        }
        crate::every_store::over_store! {
            valkey: crate::world::World::redis(tenure_testkit::Flavour::Valkey, 2); $($case),+
        }
    };
}

macro_rules! over_store {
    ($store:ident: $world:expr; $($case:ident),+) => {
        mod $store {
            $(#[test]
            fn $case() {
                crate::world::run(|| async { super::$case($world.await).await });
            })+
        }
    };
}

pub(crate) use {over_every_store, over_store};

mod blocking;
mod control;
mod hand_over;
mod local_queue;
mod other_libraries;
mod scopes;
mod tickets;
