//! A step that travels alone, in the words of the small script that is its own.

use std::sync::atomic::Ordering;

use crate::protocol::{Op, Request};

use super::{By, Run, ScriptCall, Terms, Words, run_of};

impl ScriptCall {
    /// A step that travels alone, if it is of a kind that has a script of its own.
    pub(in super::super) fn lone(step: &Request, terms: &Terms) -> Option<Self> {
        let run = run_of(&step.op)?;
        let (by, ttl) = match run {
            Run::Acquires(ttl) => (By::Acquire, Some(ttl)),
            Run::Proposals(ttl, ..) => (By::Propose, Some(ttl)),
            Run::Passes(ttl) => (By::Pass, Some(ttl)),
            Run::Releases => (By::Release, None),
            Run::Renewals(_) => return None,
        };
        let (mut keys, mut args) = (Words::with_room(), Words::with_room());
        let is_numbered = matches!(by, By::Acquire | By::Propose);
        let is_guarded = terms.first_keys(is_numbered, &mut keys);
        let names = terms.template.names(&step.key);
        names.lock(&mut keys).record(&mut keys);
        let (owner, label) = match &step.op {
            Op::Acquire(acquire) => (&acquire.owner, acquire.label.as_str()),
            Op::Release { owner, .. } | Op::Handoff { owner, .. } => (owner, ""),
            other => unreachable!("{other:?} is not simple"),
        };
        args.claim(owner, label);
        args.text("0");
        ttl.iter().for_each(|ttl| _ = args.span(*ttl));
        let number = is_numbered.then_some(args.len());
        match (&step.op, run) {
            (Op::Handoff { to, .. }, _) => {
                names.queue(&mut keys);
                args.claim(&to.owner, to.label.as_str());
            }
            (Op::Release { .. }, _) => {
                names.other_four(&mut keys);
            }
            (_, Run::Proposals(_, fence, within)) => {
                terms.proposes.store(true, Ordering::Relaxed);
                args.text("0").proposal(fence, within);
            }
            _ => _ = args.text("0"),
        }
        Some(Self { by, keys, args, guard: is_guarded.then_some(1), number, order: vec![0] })
    }
}
