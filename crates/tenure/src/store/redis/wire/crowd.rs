//! Many acquires and releases, in the words of the script that knows nothing else.

use std::sync::atomic::Ordering;

use crate::logic::Step;

use super::{By, Request, Run, Terms, WITH_OTHERS_MAX, Words, append_runs};

impl Request {
    /// The simple steps of a call that has no others, if they are such a crowd.
    pub(super) fn crowd(simple: &[(Run, usize)], steps: &[Step], terms: &Terms) -> Option<Self> {
        let is_guarded = !terms.restart_guard.is_zero();
        let is_fit = |run| match run {
            Run::Acquires(ttl) => !is_guarded || ttl <= terms.restart_guard,
            Run::Releases => true,
            Run::Proposals(..) | Run::Passes(_) | Run::Renewals(_) => false,
        };
        let proposes = terms.proposes.load(Ordering::Relaxed);
        if simple.len() <= WITH_OTHERS_MAX
            || proposes
            || !simple.iter().all(|(run, _)| is_fit(*run))
        {
            return None;
        }
        let (mut keys, mut args) = <(Words, Words)>::default();
        let may_grant = matches!(simple.first(), Some((Run::Acquires(_), _)));
        if may_grant {
            terms.own_keys.iter().for_each(|key| _ = keys.text(key));
        }
        args.span(terms.restart_guard);
        let number = may_grant.then_some(args.len());
        args.text("0");
        let has_record = |run| run != Run::Releases;
        append_runs(simple, steps, terms, has_record, (&mut keys, &mut args));
        let order = simple.iter().map(|(_, index)| *index).collect();
        Some(Self { by: By::Crowd, keys, args, guard: is_guarded.then_some(0), number, order })
    }
}
