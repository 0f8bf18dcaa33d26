//! The acquires of a step over several keys. It carries out nothing.

use std::sync::Arc;

use crate::types::Key;

use super::Acquire;

/// Acquires of different keys for one step, in the order of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    members: Arc<[(Key, Acquire)]>,
}

impl Group {
    /// A group of these acquires. `None` if there is none, if two have the same key, or if one of
    /// them wants a place in a queue.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = (Key, Acquire)>) -> Option<Self> {
        let mut members: Vec<_> = members.into_iter().collect();
        members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let are_distinct = members.windows(2).all(|pair| pair[0].0 != pair[1].0);
        let wait = members.iter().any(|(_, acquire)| acquire.queue.is_some());
        let is_good = !members.is_empty() && are_distinct && !wait;
        is_good.then(|| Self { members: members.into() })
    }

    /// The acquires, in the order of their keys.
    #[must_use]
    pub fn members(&self) -> &[(Key, Acquire)] {
        &self.members
    }

    /// The first key.
    #[must_use]
    pub fn first(&self) -> &Key {
        &self.members[0].0
    }

    /// The keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.members.iter().map(|(key, _)| key)
    }
}
