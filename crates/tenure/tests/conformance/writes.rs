//! Guarded writes, where the store has no server for the data: refused before anything is sent.

use tenure::{DataCommand, ErrorKind};

use crate::nodes::{Nodes, Trouble};
use crate::world::{World, acquire};

async fn refuses(world: World) {
    let guard = acquire(&world.locks().mutex("key")).await;
    let error = guard.write([DataCommand::from(["SET", "a", "b"])]).await.expect_err("no server");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    for part in ["Redis or Valkey", "tenure::fencing", "\"key\"", &*world.locks().store_name()] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    guard.check().expect("the lock is not concerned");
}

#[test]
fn memory() {
    crate::world::run(|| async { refuses(World::memory(1).await).await });
}

#[test]
fn sqlite() {
    crate::world::run(|| async { refuses(World::sqlite(1).await).await });
}

#[test]
fn quorum() {
    let servers = Nodes::Servers(&[tenure_testkit::Flavour::Redis; 3], Trouble::None);
    crate::world::run(|| async { refuses(World::quorum(servers, 1).await).await });
}
