//! The standing of a single server: whether it has ever been known to take writes. A server that
//! was a replica from the first is named by mistake; one that has become a replica is in the middle
//! of a failover.

use std::sync::{Arc, Mutex, PoisonError};

use super::failure::{Cause, Failure};
use super::login::Greeting;

/// Clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
enum Known {
    /// No login has told.
    #[default]
    Nothing,
    /// Each login so far was at a replica; of this server, if it says so.
    Replica(Option<String>),
    /// At some time it was no replica.
    Primary,
}

impl Standing {
    /// Keeps what a login has told.
    pub(crate) fn learn(&self, greeting: &Greeting) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if greeting.role == "master" {
            *known = Known::Primary;
        } else if greeting.is_replica() && !matches!(*known, Known::Primary) {
            *known = Known::Replica(greeting.replica_of.clone());
        }
    }

    /// The failure of a write that a replica has turned away: another one where this server was
    /// never anything else.
    pub(crate) fn explain(&self, refused: Failure) -> Failure {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // It takes no write at all, so no part of a script has written.
            Known::Replica(of) => Failure::unsent(Cause::ReadOnly { of: of.clone() }),
            Known::Nothing | Known::Primary => refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_was_never_a_primary_is_named_by_mistake() {
        let greeting = |role: &str| {
            let mut greeting = Greeting::default();
            role.clone_into(&mut greeting.role);
            greeting.replica_of = Some("10.0.0.1:6379".to_owned());
            greeting
        };
        let refused = Failure::answered("EVALSHA", "READONLY You can't write.");
        let explained = |roles: &[&str]| {
            let standing = Standing::default();
            roles.iter().for_each(|role| standing.learn(&greeting(role)));
            standing.explain(refused.clone())
        };
        for roles in [&[][..], &[""], &["master"], &["replica", "master", "replica"]] {
            assert_eq!(explained(roles), refused, "{roles:?}");
        }
        let failure = explained(&["replica", "replica"]);
        assert!(!failure.may_have_run);
        assert!(failure.to_string().contains("replica of 10.0.0.1:6379"), "{failure}");
    }
}
