//! Acknowledged grants: how many replicas must have a grant before its sender hears of it, which
//! steps that is about, and what is left to undo where too few have it. It sends nothing.

use std::time::Duration;

use crate::protocol::{Op, Reply, Request};
use crate::runtime::shown;
use crate::store::{Push, StoreError};
use crate::types::{Key, Owner};

use super::client::{Cause, Failure};
use super::decode::{self, Answered};

/// By default, replicas are waited for during this part of the time limit of a call.
const PART_OF_CALL: u32 = 4;

/// The acknowledgement that a URL asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ack {
    wanted: Wanted,
    /// For how long replicas are waited for, in whole milliseconds.
    pub(super) within: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Replicas(u32),
    /// So many that they are most of the servers together with the master: of it and its replicas,
    /// counted when a connection is made.
    Majority,
}

impl Ack {
    /// Reads the two parameters of a URL; `None`: grants are not acknowledged.
    pub(super) fn read(
        text: Option<&str>,
        within: Option<Duration>,
        call_limit: Duration,
    ) -> Result<Option<Self>, StoreError> {
        let wanted = match text {
            None | Some("none") => {
                let message = "ack_timeout is for acknowledged grants: name their number by ack";
                return match within {
                    None => Ok(None),
                    Some(_) => Err(StoreError::config(message.into())),
                };
            }
            Some("majority") => Wanted::Majority,
            Some(text) => match text.parse() {
                Ok(count @ 1..) => Wanted::Replicas(count),
                _ => {
                    return Err(StoreError::config(format!(
                        "ack is none, majority, or a number of replicas from 1, not {text:?}"
                    )));
                }
            },
        };
        let within = within.unwrap_or(call_limit / PART_OF_CALL);
        if within >= call_limit {
            return Err(StoreError::config(format!(
                "an ack_timeout of {within} leaves a call no time within its call_timeout of \
                 {call_limit}: make it shorter",
                within = shown(within),
                call_limit = shown(call_limit)
            )));
        }
        // WAIT takes whole milliseconds, and 0 for ever.
        let within = Duration::from_millis(u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
        Ok(Some(Self { wanted, within: within.max(Duration::from_millis(1)) }))
    }

    /// How many replicas must acknowledge a grant of a server with so many.
    pub(super) fn wanted_of(self, replicas: u32) -> Result<u32, Failure> {
        match self.wanted {
            Wanted::Replicas(count) => Ok(count),
            Wanted::Majority if replicas == 0 => Err(Failure::unsent(Cause::NoReplicas)),
            // More than half of the servers, less the master.
            Wanted::Majority => Ok(replicas.div_ceil(2)),
        }
    }
}

/// Whether replicas must acknowledge a call: one of its steps begins a lease of its sender, or
/// gives it more of its key. Other steps leave the sender with a lease that they know of, or with
/// none.
pub(super) fn is_for(steps: &[Request]) -> bool {
    steps.iter().any(|step| match &step.op {
        Op::Acquire(_)
        | Op::AcquireAll(_)
        | Op::Handoff { .. }
        | Op::Steal(_)
        | Op::Begin { .. } => true,
        Op::Resize { from, to, .. } => to.units() > from.units(),
        _ => false,
    })
}

/// A grant that is taken back at once, by these steps.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TakenBack {
    /// The place of its step.
    pub(super) place: usize,
    pub(super) by: Vec<Request>,
}

/// Too few replicas know of the grants among these answers: none of them is told as one. Answers
/// those that are to be taken back.
///
/// A waiter keeps its grant at the server and asks again, as after a lost reply: it would lose its
/// turn otherwise. So does the next of a handoff. The engine itself undoes a change to more units.
pub(super) fn fail_grants(
    steps: &[Request],
    answered: &mut [Answered],
    why: &Failure,
) -> Vec<TakenBack> {
    let mut taken_back = Vec::new();
    for (place, (step, answer)) in steps.iter().zip(answered).enumerate() {
        let Answered::Reply(reply) = answer else { continue };
        if let Reply::HandedOff { acquired, .. } = reply {
            if matches!(**acquired, Reply::Granted { .. }) {
                **acquired = StoreError::from(why.clone()).into_reply();
            }
            continue;
        }
        if !matches!(
            reply,
            Reply::Granted { .. } | Reply::AllGranted { .. } | Reply::Resized { .. }
        ) {
            continue;
        }
        let by = undoing(step);
        if !by.is_empty() {
            taken_back.push(TakenBack { place, by });
        }
        *answer = Answered::Failed(Failure { may_have_run: true, ..why.clone() });
    }
    taken_back
}

/// The steps that leave nothing of a grant that was answered. So its request cannot arrive any
/// more, and no tombstone is needed.
fn undoing(step: &Request) -> Vec<Request> {
    let release = |key: &Key, owner: &Owner| {
        let (owner, min_hold) = (owner.clone(), Duration::ZERO);
        Request { key: key.clone(), op: Op::Release { owner, min_hold, tombstone: None } }
    };
    match &step.op {
        Op::Acquire(acquire) if acquire.queue.is_none() => vec![release(&step.key, &acquire.owner)],
        Op::Steal(acquire) => vec![release(&step.key, &acquire.owner)],
        Op::AcquireAll(group) => {
            group.members().iter().map(|(key, acquire)| release(key, &acquire.owner)).collect()
        }
        // Its tick is as free as before.
        Op::Begin { acquire, .. } => {
            let op = Op::Withdraw { owner: acquire.owner.clone(), tombstone: Duration::ZERO };
            vec![Request { key: step.key.clone(), op }]
        }
        _ => Vec::new(),
    }
}

/// The pushes of a message, as reasons to ask. A push alone makes no waiter a holder: replicas
/// have not acknowledged what it tells. No heartbeat has the number 0.
pub(super) fn decode_hints(payload: &[u8]) -> Option<Vec<Push>> {
    let pushes = decode::decode_pushes(payload)?;
    Some(pushes.into_iter().map(|push| Push { stamp: 0, ..push }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Duration = Duration::from_secs(2);

    fn read(text: &str) -> Ack {
        let read = Ack::read(Some(text), None, CALL).unwrap_or_else(|e| panic!("{text}: {e}"));
        read.unwrap_or_else(|| panic!("{text} is none"))
    }

    #[test]
    fn a_majority_is_of_the_master_and_its_replicas() {
        let majority = read("majority");
        let wanted = [1, 2, 3, 4, 5].map(|replicas| majority.wanted_of(replicas).ok());
        assert_eq!(wanted, [1, 1, 2, 2, 3].map(Some));
        let alone = majority.wanted_of(0).map_err(|failure| failure.cause);
        assert_eq!(alone, Err(Cause::NoReplicas));
        assert_eq!([0, 1, 7].map(|replicas| read("2").wanted_of(replicas).ok()), [Some(2); 3]);
    }

    #[test]
    fn the_time_for_replicas_is_within_that_of_a_call() {
        let within = |within| Ack::read(Some("1"), within, CALL);
        let of = |within| Ack::read(Some("1"), within, CALL).expect("good").expect("some").within;
        assert_eq!(of(None), Duration::from_millis(500));
        assert_eq!(of(Some(Duration::from_micros(12_900))), Duration::from_millis(12));
        let message = within(Some(CALL)).expect_err("no time is left").message;
        assert!(message.contains("ack_timeout of 2s") && message.contains("call_timeout of 2s"));
    }

    #[test]
    fn it_is_refused_if_it_says_nothing_that_can_be_had() {
        for text in ["0", "-1", "all", "1.5", "Majority", "99999999999"] {
            let message = Ack::read(Some(text), None, CALL).expect_err(text).message;
            assert!(
                message.contains("majority, or a number") && message.contains(text),
                "{message}"
            );
        }
        for text in [None, Some("none")] {
            assert_eq!(Ack::read(text, None, CALL).ok(), Some(None), "{text:?}");
            let message = Ack::read(text, Some(CALL / 2), CALL).expect_err("for what?").message;
            assert!(message.contains("ack_timeout is for acknowledged grants"), "{message}");
        }
    }

    #[test]
    fn a_push_is_a_reason_to_ask_and_no_grant() {
        let pushes = decode_hints(b"ff\n12\n3\njob-1\nstock: 7").expect("a push");
        assert_eq!((pushes[0].stamp, pushes[0].key.as_str()), (0, "stock: 7"));
        assert_eq!(decode_hints(b"ff"), None);
    }
}
