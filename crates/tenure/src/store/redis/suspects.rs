//! Keys for whose sake whole calls were turned away, such as those that this user has no right to.
//! For a while their steps travel by themselves: one such key, asked for again and again, must not
//! cost everybody else a second call each time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::protocol::Request;
use crate::runtime::Moment;
use crate::types::Key;

/// How long a key is remembered after it was last turned away.
const SPAN: Duration = Duration::from_secs(10);
/// How many are remembered at most.
const MANY: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Until when.
    keys: Mutex<HashMap<Key, Moment>>,
    /// Read by every call, and mostly false.
    are_there: AtomicBool,
}

impl Suspects {
    pub(super) fn are_there(&self) -> bool {
        self.are_there.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, key: &Key, now: Moment) {
        let mut keys = self.keys();
        if keys.len() >= MANY {
            keys.retain(|_, until| *until > now);
        }
        if keys.len() < MANY || keys.contains_key(key) {
            keys.insert(key.clone(), now + SPAN);
        }
        self.are_there.store(true, Ordering::Relaxed);
    }

    /// The places of the suspicious steps, key by key, and those of the rest; `None` if it does not
    /// have both.
    pub(super) fn apart(
        &self,
        steps: &[Request],
        now: Moment,
    ) -> Option<(Vec<Vec<usize>>, Vec<usize>)> {
        let mut keys = self.keys();
        keys.retain(|_, until| *until > now);
        self.are_there.store(!keys.is_empty(), Ordering::Relaxed);
        let (mut suspicious, mut rest) = (HashMap::<_, Vec<_>>::new(), Vec::new());
        for (place, step) in steps.iter().enumerate() {
            if keys.contains_key(&step.key) {
                suspicious.entry(&step.key).or_default().push(place);
            } else {
                rest.push(place);
            }
        }
        let is_mixed = !suspicious.is_empty() && (suspicious.len() > 1 || !rest.is_empty());
        is_mixed.then(|| (suspicious.into_values().collect(), rest))
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Key, Moment>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Op;

    fn key(number: usize) -> Key {
        Key::new(format!("key {number}")).expect("a key")
    }

    #[test]
    fn a_suspicious_key_goes_apart_for_a_while_and_their_number_is_limited() {
        let suspects = Suspects::default();
        let steps: Vec<_> =
            [1, 2, 1, 3].map(|number| Request { key: key(number), op: Op::Inspect }).into();
        let now = Moment::from_micros(7);
        assert!(!suspects.are_there());
        suspects.add(&key(1), now);
        assert!(suspects.are_there());
        assert_eq!(suspects.apart(&steps, now), Some((vec![vec![0, 2]], vec![1, 3])));
        assert_eq!(suspects.apart(&steps[2..3], now), None, "it is alone as it is");
        assert_eq!(suspects.apart(&steps, now + SPAN), None);
        assert!(!suspects.are_there(), "all are forgotten");
        (0..2 * MANY).for_each(|number| suspects.add(&key(number), now));
        assert_eq!(suspects.keys().len(), MANY);
    }
}
