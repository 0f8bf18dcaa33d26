//! Looks at keys for a store that was opened for nothing else. They change nothing, need rights to
//! read alone, and may be put to a replica.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::protocol::{Op, Reply, Request};
use crate::store::{StoreError, StoreErrorClass};

use super::batch::Outcome;
use super::carrier::{Carrier, nonsense};
use super::client::{Failure, OTHER_KEY_ADVICE};
use super::decode::{self, Answered};
use super::encode::ScriptCall;
use super::keys::Scope;

/// Added to the message where a right is missing.
const RIGHTS: &str = "; to look at keys, the user needs +eval_ro (on Redis 6.2 +eval) and +time, \
                      +type and +pttl, and rights to read them (SAFETY.md, *Rights to look*)";

/// Carries looks to one server.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Whether the server has no scripts that only read, or the user no right to them.
    lacks_eval_ro: AtomicBool,
}

/// Whether all of these steps change nothing.
pub(super) fn are_looks(steps: &[Request]) -> bool {
    steps.iter().all(|step| matches!(step.op, Op::Inspect))
}

impl Look {
    pub(super) async fn carry(&self, carrier: &Carrier, steps: &[Request]) -> Outcome {
        if !are_looks(steps) {
            return Outcome::Together(Err(StoreError::only_looks()));
        }
        let mut outcome = match self.read_only(carrier, steps).await {
            Some(outcome) => outcome,
            None => carrier.carry(steps).await,
        };
        let (guarded, replica_of) = carrier.link.hindrances();
        let tell = |reply: &mut Reply| {
            if let Reply::Inspected(seen) = reply {
                (seen.guarded, seen.replica_of) = (guarded, replica_of.clone());
            }
        };
        match &mut outcome {
            Outcome::Together(Ok(replies)) => replies.iter_mut().for_each(tell),
            Outcome::Together(Err(failure)) => advise(failure),
            Outcome::Apart(results) => results.iter_mut().for_each(|result| match result {
                Ok(reply) => tell(reply),
                Err(failure) => advise(failure),
            }),
        }
        outcome
    }

    /// By a script that the server lets do nothing but read; `None`: that is not to be had.
    async fn read_only(&self, carrier: &Carrier, steps: &[Request]) -> Option<Outcome> {
        // A node of a cluster has its own ways, by slot.
        let is_cluster = carrier.terms.template.scope() == Scope::Slot;
        if is_cluster || self.lacks_eval_ro.load(Ordering::Relaxed) {
            return None;
        }
        let call = ScriptCall::new(steps, &carrier.terms, true);
        let command = call.command(["EVAL_RO", &carrier.script.source], &[], None);
        let answer = match carrier.link.command(&command).await {
            Err(failure) if failure.is_forbidden() || failure.is_unknown_command() => {
                self.lacks_eval_ro.store(true, Ordering::Relaxed);
                return None;
            }
            answer => answer,
        };
        let read = |value| decode::decode(value, &call, steps).ok_or_else(|| nonsense().error);
        let answered = answer.map_err(Failure::into).and_then(read);
        Some(Outcome::Together(answered.and_then(|(answered, _)| {
            answered.into_iter().map(reply).collect::<Option<_>>().ok_or_else(|| nonsense().error)
        })))
    }
}

fn reply(answered: Answered) -> Option<Reply> {
    match answered {
        Answered::Reply(reply) => Some(reply),
        Answered::AskInFull | Answered::Failed(_) => None,
    }
}

/// Adds the rights that a look needs, unless the user has them, and only not to the key.
fn advise(failure: &mut StoreError) {
    let is_of_key = failure.message.contains(OTHER_KEY_ADVICE);
    if failure.class == StoreErrorClass::Refused && !is_of_key {
        failure.message += RIGHTS;
    }
}
