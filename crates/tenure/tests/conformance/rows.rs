//! The table: kind × store × topology. Every row runs the whole contract of its kind.

use tenure_testkit::Flavour;

use crate::cases;
use crate::nodes::{Nodes, Trouble};
use crate::world::World;

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) kind: &'static str,
    /// The scheme of the store's URL.
    pub(crate) store: &'static str,
    /// How many handles (each with connections and threads of its own) share the store.
    pub(crate) topology: &'static str,
}

/// Makes the table and, for each row, a module with one test for each case of its kind: there
/// can be no row that does not run.
macro_rules! rows {
    ($(
        $row:ident: $kind:literal, $store:literal, $topology:literal, $world:expr, $cases:ident;
    )+) => {
        pub(crate) const ROWS: &[Row] =
            &[$(Row { kind: $kind, store: $store, topology: $topology }),+];

        $(mod $row {
            use super::*;
            cases::$cases!($world);
        })+
    };
}

const BOTH: &[Flavour] = &[Flavour::Valkey, Flavour::Redis, Flavour::Valkey];

rows! {
    mutex_memory_one: "mutex", "memory", "one handle", World::memory(1), mutex_contract;
    mutex_memory_two: "mutex", "memory", "two handles", World::memory(2), mutex_contract;
    mutex_sqlite_one: "mutex", "sqlite", "one handle", World::sqlite(1), mutex_contract;
    mutex_sqlite_two: "mutex", "sqlite", "two handles", World::sqlite(2), mutex_contract;
    mutex_redis_one: "mutex", "redis", "one handle", World::redis(Flavour::Redis, 1),
        mutex_contract;
    mutex_redis_two: "mutex", "redis", "two handles", World::redis(Flavour::Redis, 2),
        mutex_contract;
    mutex_valkey_one: "mutex", "redis", "one handle", World::redis(Flavour::Valkey, 1),
        mutex_contract;
    mutex_valkey_two: "mutex", "redis", "two handles", World::redis(Flavour::Valkey, 2),
        mutex_contract;
    mutex_redis_few_rights: "mutex", "redis", "two handles",
        World::redis_with_few_rights(Flavour::Redis, 2), mutex_contract;
    mutex_valkey_few_rights: "mutex", "redis", "two handles",
        World::redis_with_few_rights(Flavour::Valkey, 2), mutex_contract;
    mutex_redis_ack: "mutex", "redis+sentinel", "two handles",
        World::with_ack(Flavour::Redis, 2), mutex_contract;
    mutex_valkey_ack: "mutex", "redis+sentinel", "two handles",
        World::with_ack(Flavour::Valkey, 2), mutex_contract;
    mutex_quorum_of_memories_one: "mutex", "quorum", "one handle",
        World::quorum(Nodes::Memories, 1), unqueued_mutex_contract;
    mutex_quorum_of_memories_two: "mutex", "quorum", "two handles",
        World::quorum(Nodes::Memories, 2), unqueued_mutex_contract;
    mutex_quorum_of_files: "mutex", "quorum", "two handles",
        World::quorum(Nodes::Files, 2), unqueued_mutex_contract;
    mutex_quorum_of_three: "mutex", "quorum", "two handles",
        World::quorum(Nodes::Servers(&[Flavour::Redis; 3], Trouble::None), 2),
        unqueued_mutex_contract;
    mutex_quorum_of_five: "mutex", "quorum", "two handles",
        World::quorum(Nodes::Servers(&[Flavour::Redis; 5], Trouble::None), 2),
        unqueued_mutex_contract;
    mutex_quorum_of_both: "mutex", "quorum", "two handles",
        World::quorum(Nodes::Servers(BOTH, Trouble::None), 2), unqueued_mutex_contract;
    mutex_quorum_one_dead: "mutex", "quorum", "two handles",
        World::quorum(Nodes::Servers(&[Flavour::Redis; 3], Trouble::Dead), 2),
        unqueued_mutex_contract;
    mutex_quorum_one_stopped: "mutex", "quorum", "two handles",
        World::quorum(Nodes::Servers(&[Flavour::Redis; 3], Trouble::Stopped), 2),
        unqueued_mutex_contract;
    mutex_quorum_one_slow: "mutex", "quorum", "two handles",
        World::quorum(Nodes::Servers(&[Flavour::Redis; 3], Trouble::Slow), 2),
        unqueued_mutex_contract;
    reentrant_memory_one: "reentrant", "memory", "one handle", World::memory(1),
        reentrant_contract;
    reentrant_memory_two: "reentrant", "memory", "two handles", World::memory(2),
        reentrant_contract;
    reentrant_sqlite_one: "reentrant", "sqlite", "one handle", World::sqlite(1),
        reentrant_contract;
    reentrant_sqlite_two: "reentrant", "sqlite", "two handles", World::sqlite(2),
        reentrant_contract;
    reentrant_redis_one: "reentrant", "redis", "one handle", World::redis(Flavour::Redis, 1),
        reentrant_contract;
    reentrant_redis_two: "reentrant", "redis", "two handles", World::redis(Flavour::Redis, 2),
        reentrant_contract;
    reentrant_valkey: "reentrant", "redis", "two handles", World::redis(Flavour::Valkey, 2),
        reentrant_contract;
    reentrant_redis_ack: "reentrant", "redis+sentinel", "two handles",
        World::with_ack(Flavour::Redis, 2), reentrant_contract;
    reentrant_quorum_one: "reentrant", "quorum", "one handle",
        World::quorum(Nodes::Memories, 1), reentrant_contract;
    reentrant_quorum_two: "reentrant", "quorum", "two handles",
        World::quorum(Nodes::Memories, 2), reentrant_contract;
    multi_lock_memory_one: "multi_lock", "memory", "one handle", World::memory(1),
        multi_lock_contract;
    multi_lock_memory_two: "multi_lock", "memory", "two handles", World::memory(2),
        multi_lock_contract;
    multi_lock_sqlite_one: "multi_lock", "sqlite", "one handle", World::sqlite(1),
        multi_lock_contract;
    multi_lock_sqlite_two: "multi_lock", "sqlite", "two handles", World::sqlite(2),
        multi_lock_contract;
    multi_lock_redis_one: "multi_lock", "redis", "one handle", World::redis(Flavour::Redis, 1),
        multi_lock_contract;
    multi_lock_redis_two: "multi_lock", "redis", "two handles", World::redis(Flavour::Redis, 2),
        multi_lock_contract;
    multi_lock_redis_few_rights: "multi_lock", "redis", "two handles",
        World::redis_with_few_rights(Flavour::Redis, 2), multi_lock_contract;
    multi_lock_valkey: "multi_lock", "redis", "two handles", World::redis(Flavour::Valkey, 2),
        multi_lock_contract;
    multi_lock_redis_ack: "multi_lock", "redis+sentinel", "two handles",
        World::with_ack(Flavour::Redis, 2), multi_lock_contract;
    multi_lock_quorum_one: "multi_lock", "quorum", "one handle",
        World::quorum(Nodes::Memories, 1), multi_lock_contract;
    multi_lock_quorum_two: "multi_lock", "quorum", "two handles",
        World::quorum(Nodes::Memories, 2), multi_lock_contract;
    rwlock_memory_one: "rwlock", "memory", "one handle", World::memory(1), rwlock_contract;
    rwlock_memory_two: "rwlock", "memory", "two handles", World::memory(2), rwlock_contract;
    rwlock_sqlite_one: "rwlock", "sqlite", "one handle", World::sqlite(1), rwlock_contract;
    rwlock_sqlite_two: "rwlock", "sqlite", "two handles", World::sqlite(2), rwlock_contract;
    rwlock_redis_one: "rwlock", "redis", "one handle", World::redis(Flavour::Redis, 1),
        rwlock_contract;
    rwlock_redis_few_rights: "rwlock", "redis", "two handles",
        World::redis_with_few_rights(Flavour::Redis, 2), rwlock_contract;
    rwlock_valkey_two: "rwlock", "redis", "two handles", World::redis(Flavour::Valkey, 2),
        rwlock_contract;
    rwlock_redis_ack: "rwlock", "redis+sentinel", "two handles",
        World::with_ack(Flavour::Redis, 2), rwlock_contract;
    rwlock_quorum_of_memories: "rwlock", "quorum", "one handle",
        World::quorum(Nodes::Memories, 1), refused_rwlock_contract;
    rwlock_quorum_of_three: "rwlock", "quorum", "two handles",
        World::quorum(Nodes::Servers(&[Flavour::Redis; 3], Trouble::None), 2),
        refused_rwlock_contract;
    election_memory_one: "election", "memory", "one handle", World::memory(1), election_contract;
    election_memory_two: "election", "memory", "two handles", World::memory(2), election_contract;
    election_sqlite_one: "election", "sqlite", "one handle", World::sqlite(1), election_contract;
    election_sqlite_two: "election", "sqlite", "two handles", World::sqlite(2), election_contract;
    election_redis_one: "election", "redis", "one handle", World::redis(Flavour::Redis, 1),
        election_contract;
    election_redis_few_rights: "election", "redis", "two handles",
        World::redis_with_few_rights(Flavour::Redis, 2), election_contract;
    election_valkey_two: "election", "redis", "two handles", World::redis(Flavour::Valkey, 2),
        election_contract;
    election_redis_ack: "election", "redis+sentinel", "two handles",
        World::with_ack(Flavour::Redis, 2), election_contract;
    election_quorum_of_memories: "election", "quorum", "one handle",
        World::quorum(Nodes::Memories, 1), unqueued_election_contract;
    election_quorum_of_files: "election", "quorum", "two handles",
        World::quorum(Nodes::Files, 2), unqueued_election_contract;
    election_quorum_of_three: "election", "quorum", "two handles",
        World::quorum(Nodes::Servers(&[Flavour::Redis; 3], Trouble::None), 2),
        unqueued_election_contract;
    election_quorum_one_stopped: "election", "quorum", "two handles",
        World::quorum(Nodes::Servers(&[Flavour::Redis; 3], Trouble::Stopped), 2),
        unqueued_election_contract;
    once_memory_one: "once", "memory", "one handle", World::memory(1), once_contract;
    once_memory_two: "once", "memory", "two handles", World::memory(2), once_contract;
    once_sqlite_one: "once", "sqlite", "one handle", World::sqlite(1), once_contract;
    once_sqlite_two: "once", "sqlite", "two handles", World::sqlite(2), once_contract;
    once_redis_one: "once", "redis", "one handle", World::redis(Flavour::Redis, 1), once_contract;
    once_redis_few_rights: "once", "redis", "two handles",
        World::redis_with_few_rights(Flavour::Redis, 2), once_contract;
    once_valkey_two: "once", "redis", "two handles", World::redis(Flavour::Valkey, 2),
        once_contract;
    once_redis_ack: "once", "redis+sentinel", "two handles",
        World::with_ack(Flavour::Redis, 2), once_contract;
    once_quorum_of_memories: "once", "quorum", "one handle", World::quorum(Nodes::Memories, 1),
        once_contract;
    once_quorum_of_files: "once", "quorum", "two handles", World::quorum(Nodes::Files, 2),
        once_contract;
    once_quorum_of_both: "once", "quorum", "two handles",
        World::quorum(Nodes::Servers(BOTH, Trouble::None), 2), once_contract;
    once_quorum_one_dead: "once", "quorum", "two handles",
        World::quorum(Nodes::Servers(&[Flavour::Redis; 3], Trouble::Dead), 2), once_contract;
    one_of_one_memory: "semaphore", "memory", "two handles", World::memory(2), one_of_one_contract;
    one_of_one_sqlite: "semaphore", "sqlite", "two handles", World::sqlite(2), one_of_one_contract;
    one_of_one_redis: "semaphore", "redis", "two handles", World::redis(Flavour::Redis, 2),
        one_of_one_contract;
    one_of_one_valkey: "semaphore", "redis", "two handles", World::redis(Flavour::Valkey, 2),
        one_of_one_contract;
    one_of_five_memory_one: "semaphore", "memory", "one handle", World::memory(1),
        one_of_five_contract;
    one_of_five_memory_two: "semaphore", "memory", "two handles", World::memory(2),
        one_of_five_contract;
    one_of_five_sqlite_one: "semaphore", "sqlite", "one handle", World::sqlite(1),
        one_of_five_contract;
    one_of_five_sqlite_two: "semaphore", "sqlite", "two handles", World::sqlite(2),
        one_of_five_contract;
    one_of_five_redis_one: "semaphore", "redis", "one handle", World::redis(Flavour::Redis, 1),
        one_of_five_contract;
    one_of_five_redis_few_rights: "semaphore", "redis", "two handles",
        World::redis_with_few_rights(Flavour::Redis, 2), one_of_five_contract;
    one_of_five_valkey_two: "semaphore", "redis", "two handles",
        World::redis(Flavour::Valkey, 2), one_of_five_contract;
    one_of_five_redis_ack: "semaphore", "redis+sentinel", "two handles",
        World::with_ack(Flavour::Redis, 2), one_of_five_contract;
    semaphore_quorum_of_memories: "semaphore", "quorum", "one handle",
        World::quorum(Nodes::Memories, 1), refused_semaphore_contract;
    semaphore_quorum_of_three: "semaphore", "quorum", "two handles",
        World::quorum(Nodes::Servers(&[Flavour::Redis; 3], Trouble::None), 2),
        refused_semaphore_contract;
    // Beside each other, so that they share their servers.
    sentinel_mutex_one: "mutex", "redis+sentinel", "one handle",
        World::behind_sentinels(Flavour::Redis, 1), mutex_contract;
    sentinel_mutex_two: "mutex", "redis+sentinel", "two handles",
        World::behind_sentinels(Flavour::Valkey, 2), mutex_contract;
    sentinel_reentrant_one: "reentrant", "redis+sentinel", "one handle",
        World::behind_sentinels(Flavour::Redis, 1), reentrant_contract;
    sentinel_reentrant_two: "reentrant", "redis+sentinel", "two handles",
        World::behind_sentinels(Flavour::Valkey, 2), reentrant_contract;
    sentinel_multi_lock_one: "multi_lock", "redis+sentinel", "one handle",
        World::behind_sentinels(Flavour::Redis, 1), multi_lock_contract;
    sentinel_multi_lock_two: "multi_lock", "redis+sentinel", "two handles",
        World::behind_sentinels(Flavour::Valkey, 2), multi_lock_contract;
    sentinel_rwlock_one: "rwlock", "redis+sentinel", "one handle",
        World::behind_sentinels(Flavour::Redis, 1), rwlock_contract;
    sentinel_rwlock_two: "rwlock", "redis+sentinel", "two handles",
        World::behind_sentinels(Flavour::Valkey, 2), rwlock_contract;
    sentinel_election_one: "election", "redis+sentinel", "one handle",
        World::behind_sentinels(Flavour::Redis, 1), election_contract;
    sentinel_election_two: "election", "redis+sentinel", "two handles",
        World::behind_sentinels(Flavour::Valkey, 2), election_contract;
    sentinel_once_one: "once", "redis+sentinel", "one handle",
        World::behind_sentinels(Flavour::Redis, 1), once_contract;
    sentinel_once_two: "once", "redis+sentinel", "two handles",
        World::behind_sentinels(Flavour::Valkey, 2), once_contract;
    sentinel_semaphore_one: "semaphore", "redis+sentinel", "one handle",
        World::behind_sentinels(Flavour::Redis, 1), one_of_five_contract;
    sentinel_semaphore_two: "semaphore", "redis+sentinel", "two handles",
        World::behind_sentinels(Flavour::Valkey, 2), one_of_five_contract;
    sentinel_one_of_one: "semaphore", "redis+sentinel", "two handles",
        World::behind_sentinels(Flavour::Redis, 2), one_of_one_contract;
    cluster_mutex_one: "mutex", "redis+cluster", "one handle",
        World::in_cluster(Flavour::Redis, 1), mutex_contract;
    cluster_mutex_two: "mutex", "redis+cluster", "two handles",
        World::in_cluster(Flavour::Valkey, 2), mutex_contract;
    cluster_reentrant_one: "reentrant", "redis+cluster", "one handle",
        World::in_cluster(Flavour::Redis, 1), reentrant_contract;
    cluster_reentrant_two: "reentrant", "redis+cluster", "two handles",
        World::in_cluster(Flavour::Valkey, 2), reentrant_contract;
    cluster_multi_lock_one: "multi_lock", "redis+cluster", "one handle",
        World::in_cluster(Flavour::Redis, 1), multi_lock_contract;
    cluster_multi_lock_two: "multi_lock", "redis+cluster", "two handles",
        World::in_cluster(Flavour::Valkey, 2), multi_lock_contract;
    cluster_rwlock_one: "rwlock", "redis+cluster", "one handle",
        World::in_cluster(Flavour::Redis, 1), rwlock_contract;
    cluster_rwlock_two: "rwlock", "redis+cluster", "two handles",
        World::in_cluster(Flavour::Valkey, 2), rwlock_contract;
    cluster_election_one: "election", "redis+cluster", "one handle",
        World::in_cluster(Flavour::Redis, 1), election_contract;
    cluster_election_two: "election", "redis+cluster", "two handles",
        World::in_cluster(Flavour::Valkey, 2), election_contract;
    cluster_once_one: "once", "redis+cluster", "one handle",
        World::in_cluster(Flavour::Redis, 1), once_contract;
    cluster_once_two: "once", "redis+cluster", "two handles",
        World::in_cluster(Flavour::Valkey, 2), once_contract;
    cluster_semaphore_one: "semaphore", "redis+cluster", "one handle",
        World::in_cluster(Flavour::Redis, 1), one_of_five_contract;
    cluster_semaphore_two: "semaphore", "redis+cluster", "two handles",
        World::in_cluster(Flavour::Valkey, 2), one_of_five_contract;
    cluster_mutex_few_rights: "mutex", "redis+cluster", "two handles",
        World::in_cluster_with_few_rights(Flavour::Valkey, 2), mutex_contract;
    cluster_rwlock_few_rights: "rwlock", "redis+cluster", "two handles",
        World::in_cluster_with_few_rights(Flavour::Redis, 2), rwlock_contract;
    cluster_once_few_rights: "once", "redis+cluster", "two handles",
        World::in_cluster_with_few_rights(Flavour::Redis, 2), once_contract;
    cluster_one_of_five_few_rights: "semaphore", "redis+cluster", "two handles",
        World::in_cluster_with_few_rights(Flavour::Valkey, 2), one_of_five_contract;
    cluster_one_of_one: "semaphore", "redis+cluster", "two handles",
        World::in_cluster(Flavour::Redis, 2), one_of_one_contract;
}
