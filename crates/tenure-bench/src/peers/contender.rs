//! The contenders: what they are called, what each is for, and how its adapter is started.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::protocol::Workload::{self, Lone, Runtimes, Tasks, Waiters};
use super::toolchain::Toolchain;

/// The role of a contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// This tree, as its users call it.
    Tenure,
    /// This tree, kept from choosing its connection.
    Forced,
    /// A lock library.
    Library,
    /// A lock library on a current-thread runtime, which is not how most programs have it.
    OneThread,
    /// A socket without a library: what the wire and the server cost.
    Reference,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) toolchain: Toolchain,
    /// Those that it is made for; a blocking call has no crowd of tasks.
    pub(crate) workloads: &'static [Workload],
}

const fn contender(
    name: &'static str,
    role: Role,
    toolchain: Toolchain,
    workloads: &'static [Workload],
) -> Contender {
    Contender { name, role, toolchain, workloads }
}

pub(crate) const TENURE: &str = "tenure";
pub(crate) const TENURE_BLOCKING: &str = "tenure-blocking";
pub(crate) const TENURE_CURRENT: &str = "tenure-current";
pub(crate) const SCRIPTS_TOKIO: &str = "scripts-tokio";
pub(crate) const SCRIPTS_CURRENT: &str = "scripts-tokio-current";
pub(crate) const SCRIPTS_BLOCKING: &str = "scripts-blocking";

/// In the order of the tables.
pub(crate) const ALL: &[Contender] = &[
    contender(TENURE, Role::Tenure, Toolchain::Rust, &[Lone, Tasks, Runtimes, Waiters]),
    contender(TENURE_CURRENT, Role::Tenure, Toolchain::Rust, &[Lone]),
    contender(TENURE_BLOCKING, Role::Tenure, Toolchain::Rust, &[Lone]),
    contender("tenure-shared", Role::Forced, Toolchain::Rust, &[Tasks, Runtimes]),
    contender("tenure-direct", Role::Forced, Toolchain::Rust, &[Tasks, Runtimes]),
    contender("rslock", Role::Library, Toolchain::Rust, &[Lone, Tasks, Waiters]),
    contender("rslock-current", Role::OneThread, Toolchain::Rust, &[Lone]),
    contender("redsync", Role::Library, Toolchain::Go, &[Lone, Tasks, Waiters]),
    contender("rueidislock", Role::Library, Toolchain::Go, &[Lone, Tasks, Waiters]),
    contender("redisson", Role::Library, Toolchain::Java, &[Lone, Tasks, Waiters]),
    contender("redlock", Role::Library, Toolchain::Node, &[Lone, Tasks, Waiters]),
    contender("redis-semaphore", Role::Library, Toolchain::Node, &[Lone, Tasks, Waiters]),
    contender("redis-py", Role::Library, Toolchain::Python, &[Lone, Tasks, Waiters]),
    contender("python-redis-lock", Role::Library, Toolchain::Python, &[Lone, Tasks, Waiters]),
    contender("bare-blocking", Role::Reference, Toolchain::Rust, &[Lone]),
    contender("bare-tokio", Role::Reference, Toolchain::Rust, &[Lone]),
    contender("bare-tokio-current", Role::Reference, Toolchain::Rust, &[Lone]),
    contender(SCRIPTS_BLOCKING, Role::Reference, Toolchain::Rust, &[Lone]),
    contender(SCRIPTS_TOKIO, Role::Reference, Toolchain::Rust, &[Lone]),
    contender(SCRIPTS_CURRENT, Role::Reference, Toolchain::Rust, &[Lone]),
];

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The role of a contender with this name.
pub(crate) fn role(name: &str) -> Option<Role> {
    ALL.iter().find(|contender| contender.name == name).map(|contender| contender.role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contender_has_a_name_of_its_own_and_something_to_do() {
        for (place, contender) in ALL.iter().enumerate() {
            assert!(!contender.workloads.is_empty(), "{contender}");
            let first = ALL.iter().position(|other| other.name == contender.name);
            assert_eq!(first, Some(place), "{contender}");
        }
    }
}
