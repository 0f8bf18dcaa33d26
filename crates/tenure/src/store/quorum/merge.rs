//! Merges what nodes have seen of one key into the view of their majority. It asks nobody.

use std::collections::BTreeMap;

use crate::protocol::{
    ForeignView, Guarded, HolderView, Inspection, LastRun, RunState, State, majority,
};
use crate::types::Owner;

/// The view of a majority of `nodes` nodes; those that are missing in `seen` have not answered.
pub(super) fn merged(seen: &[&Inspection], nodes: usize) -> Inspection {
    let majority = majority(nodes);
    let mut by_owner: BTreeMap<&Owner, Vec<&HolderView>> = BTreeMap::new();
    for holder in seen.iter().flat_map(|one| &one.holders) {
        by_owner.entry(&holder.owner).or_default().push(holder);
    }
    let held = by_owner.into_values().find(|views| views.len() >= majority);
    let holders: Vec<_> = held.map(|views| agreed(views, majority)).into_iter().collect();
    let foreign = || {
        let foreign = seen.iter().filter(|one| matches!(one.state, State::Foreign(_)));
        let first = foreign.clone().map(|one| one.state.clone()).next();
        first.filter(|_| foreign.count() >= majority)
    };
    let state = if holders.is_empty() { foreign().unwrap_or(State::Free) } else { State::Held };
    Inspection {
        state,
        limit: (!holders.is_empty()).then_some(1),
        fence: seen.iter().filter_map(|one| one.fence).max(),
        holders,
        waiters: Vec::new(),
        nodes: Vec::new(),
        guarded: guarded(seen.iter().map(|one| one.guarded), majority),
        last_run: certain_run(seen.iter().filter_map(|one| one.last_run.as_deref()), nodes)
            .cloned()
            .map(Box::new),
        foreign: foreign_value(seen),
        replica_of: None,
    }
}

/// The value of somebody else that a node has, with the lines that delete it on each of them.
fn foreign_value(seen: &[&Inspection]) -> Option<Box<ForeignView>> {
    let views = || seen.iter().filter_map(|one| one.foreign.as_deref());
    let lines: Vec<_> = views().map(|view| &*view.delete).collect();
    let first = views().next()?.clone();
    Some(Box::new(ForeignView { delete: lines.join("; ").into(), ..first }))
}

/// The last of the runs that nodes tell of, if it is certain that there was one: a node knows its
/// end, or a majority of `nodes` knows of it. Any other may be one that did not win a majority and
/// is being withdrawn. Of one run, a node may know the end, and another not. Its lease may have
/// ended at one node and last at the others: it is unfinished only if a majority says so.
pub(super) fn certain_run<'a>(
    told: impl Iterator<Item = &'a LastRun>,
    nodes: usize,
) -> Option<&'a LastRun> {
    let told: Vec<_> = told.collect();
    let of = |run: &LastRun| {
        let owner = run.owner.clone();
        told.iter().copied().filter(move |other| other.owner == owner)
    };
    let is_ended = |run: &LastRun| run.took.is_some();
    let is_certain = |run: &&LastRun| is_ended(run) || of(run).count() >= majority(nodes);
    let last = told.iter().copied().filter(is_certain).max_by_key(|run| run.begun)?;
    let without_lease = of(last).filter(|run| run.state == RunState::Unfinished).count();
    let is_over = without_lease >= majority(nodes);
    of(last).max_by_key(|run| (is_ended(run), (run.state == RunState::Unfinished) == is_over))
}

/// The restart guard of the quorum: until when fewer than `needed` nodes can grant anything new.
/// `nodes` has one item for each node that could grant otherwise.
pub(super) fn guarded(
    nodes: impl Iterator<Item = Option<Guarded>>,
    needed: usize,
) -> Option<Guarded> {
    let (guarded, awake): (Vec<_>, Vec<_>) = nodes.partition(Option::is_some);
    let mut guarded: Vec<_> = guarded.into_iter().flatten().collect();
    guarded.sort_by_key(|one| one.left);
    let missing = needed.checked_sub(awake.len() + 1)?;
    guarded.get(missing).or(guarded.last()).copied()
}

/// Merges the views of one holder.
fn agreed(mut views: Vec<&HolderView>, majority: usize) -> HolderView {
    // It holds for as long as a majority of its leases lasts.
    views.sort_by_key(|view| std::cmp::Reverse(view.remaining));
    let remaining = views[majority - 1].remaining;
    let since = views.iter().map(|view| view.since).max().unwrap_or_default();
    // A node that granted after the decision may show another fence.
    let count = |fence| views.iter().filter(|view| view.fence == fence).count();
    let fences = views.iter().map(|view| view.fence);
    let fence = fences.max_by_key(|fence| (count(*fence), *fence)).unwrap_or_default();
    // The last value that was set is at a majority, and so at one of these.
    let values = views.iter().filter_map(|view| view.value.as_ref());
    let value = values.max_by_key(|value| value.revision()).cloned();
    // A release that reached a majority has ended the lease, whatever the others say.
    let kept = views.iter().filter(|view| view.kept).count() >= majority;
    HolderView { remaining, since, fence, value, kept, ..views[0].clone() }
}
