//! Many acquires and releases, in the words of the script that knows nothing else.

use std::sync::atomic::Ordering;

use crate::protocol::Request;

use super::{By, Run, ScriptCall, Terms, WITH_OTHERS_MAX, Words, append_runs};

impl ScriptCall {
    /// The simple steps of a call that has no others, if they are such a crowd.
    pub(super) fn crowd(simple: &[(Run, usize)], steps: &[Request], terms: &Terms) -> Option<Self> {
        let is_fit = |run| matches!(run, Run::Acquires(_) | Run::Releases);
        let proposes = terms.proposes.load(Ordering::Relaxed);
        if simple.len() <= WITH_OTHERS_MAX
            || proposes
            || !simple.iter().all(|(run, _)| is_fit(*run))
        {
            return None;
        }
        let (mut keys, mut args) = <(Words, Words)>::default();
        let may_grant = matches!(simple.first(), Some((Run::Acquires(_), _)));
        let is_guarded = terms.first_keys(may_grant, &mut keys);
        args.text("0");
        let number = may_grant.then_some(args.len());
        args.text("0");
        let has_record = |run| run != Run::Releases;
        append_runs(simple, steps, terms, has_record, (&mut keys, &mut args));
        let order = simple.iter().map(|(_, index)| *index).collect();
        Some(Self { by: By::Crowd, keys, args, guard: is_guarded.then_some(0), number, order })
    }
}
