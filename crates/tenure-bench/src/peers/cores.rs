//! The cores on which a server and its callers run. A message between two cores of a virtual
//! machine takes twice as long as one within a core, and longer still if the other core sleeps;
//! where the system places two threads is chance. On one core there is no such chance.

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use serde::{Deserialize, Serialize};

use crate::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cores {
    One,
    All,
}

/// This thread, kept on some cores with all processes that it starts, until it is dropped.
#[derive(Debug)]
pub(super) struct Pinned {
    before: CpuSet,
}

impl Pinned {
    pub(super) fn to(cores: Cores) -> Result<Self, Failure> {
        let before = sched_getaffinity(None)?;
        if cores == Cores::One {
            let mut one = CpuSet::new();
            one.set(sched_getcpu());
            sched_setaffinity(None, &one)?;
        }
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It was this thread's own before.
        let _ = sched_setaffinity(None, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_on_one_core_while_it_is_pinned() {
        let count = || sched_getaffinity(None).unwrap().count();
        let before = count();
        let pinned = Pinned::to(Cores::One).unwrap();
        assert_eq!(count(), 1);
        drop(pinned);
        assert_eq!(count(), before);
        let _free = Pinned::to(Cores::All).unwrap();
        assert_eq!(count(), before);
    }
}
