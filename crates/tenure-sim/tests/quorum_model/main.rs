//! The quorum's protocol, as a model: every history of three nodes and three clients in a small
//! scope, with messages that are late or lost, leases that end at any moment that clocks allow,
//! nodes that forget, renewals and top-ups. In each state at most one client holds, and
//! each fence that is handed out is larger than all before it.
//!
//! A node that crashes and keeps its memory is one whose messages are late or lost meanwhile: such
//! histories are among these without a move of their own.
//!
//! Rules that look as good and are not are refuted by the same model, each by a shortest history,
//! which is printed. The model knows nothing of the shipped code, which the simulation runs.
//!
//! A node forgets by an empty restart, or in the midst of its work: what is under way to it
//! arrives, and its earlier answers count. It is counted again once its new memory has been known
//! for longer than `max_ttl`. The model shows for such a node:
//!
//! - *Exclusion* holds whatever the clients' wall clocks do, if the node refuses every lease until
//!   then: top-ups as well as acquires. A client that read the node's answer from before
//!   that may still count it; were a top-up taken, the node would vote twice.
//! - *Fences grow* as long as all that the node grants from then on exceeds all that it forgot.
//!   Clocks see to that: fences begin with them, and a node brings a proposal near its own clock
//!   before it counts. So servers' clocks must differ by less than `max_ttl` minus twice what is
//!   called near. Were proposals not bounded, the node must not be counted until a round that won
//!   without it has written its fence there, too. That a holder tops it up is not enough: a late
//!   top-up may carry a fence older than what it forgot.
//! - That a top-up is not counted by the renewal that adds it is caution: no history in these
//!   scopes needs it.
//!
//! `TENURE_MODEL=large` explores scopes of millions of states, for minutes.
#![allow(clippy::print_stdout, reason = "a test talks to people")]

mod explorer;
mod moves;
mod rules;
mod state;

use std::env;

use explorer::explore;
use moves::Moves;
use rules::{Ballot, Clocks, Owners, Rejoin, Rules, SOUND, Scope, TopUp};

/// With any proposals, only exclusion is promised.
const ANY_PROPOSALS: Rules = Rules { clocks: Clocks::Any, fences: false, ..SOUND };
/// With any proposals, fences need more than patience.
const FENCE_GIVEN: Rules = Rules { clocks: Clocks::Any, rejoin: Rejoin::KnownAndFence, ..SOUND };

const BALLOT: Scope = Scope { clients: 3, rounds: 3, proposals: 2, renewals: 0, crashes: 0 };
const RENEWING: Scope = Scope { clients: 3, rounds: 3, proposals: 1, renewals: 1, crashes: 0 };
const CRASHING: Scope = Scope { crashes: 1, ..BALLOT };
/// Two clients, so that there is room for two renewals and a crash between them.
const LONG_LIVED: Scope = Scope { clients: 2, rounds: 2, proposals: 2, renewals: 2, crashes: 1 };

/// No history breaks a promise. Fewer states than `least` mean that the model has lost something.
fn holds(rules: Rules, scope: Scope, least: usize) {
    let explored = explore(&Moves { rules, scope });
    println!("{} states: {scope:?}", explored.states);
    if let Some(history) = explored.history {
        panic!("{rules:?} breaks a promise:\n{}", history.join("\n"));
    }
    assert!(explored.states >= least, "only {} states: the scope has shrunk", explored.states);
}

/// A history breaks this promise.
fn refuted(rules: Rules, scope: Scope, promise: &str) {
    let explored = explore(&Moves { rules, scope });
    let history = explored.history.unwrap_or_else(|| panic!("{rules:?} is not refuted"));
    println!("{rules:?} is refuted:\n  {}\n", history.join("\n  "));
    let last = history.last().expect("a history ends with what it broke");
    assert!(last.contains(promise), "another promise was broken: {last}");
}

const EXCLUSION: &str = "hold at the same time";
const FENCES: &str = "after fence";

#[test]
fn the_ballot_holds() {
    holds(SOUND, BALLOT, 240_000);
}

#[test]
fn renewals_and_top_ups_hold() {
    holds(SOUND, RENEWING, 100_000);
}

#[test]
fn a_node_that_forgets_holds() {
    holds(SOUND, CRASHING, 900_000);
}

#[test]
fn renewals_around_a_loss_of_memory_hold() {
    holds(SOUND, LONG_LIVED, 300_000);
}

#[test]
fn exclusion_needs_no_clocks() {
    holds(ANY_PROPOSALS, LONG_LIVED, 250_000);
}

#[test]
fn fences_that_are_given_need_no_clocks() {
    holds(FENCE_GIVEN, Scope { proposals: 1, ..CRASHING }, 100_000);
}

#[test]
fn a_plain_maximum_is_refuted() {
    refuted(Rules { ballot: Ballot::PlainMaximum, ..SOUND }, BALLOT, FENCES);
}

#[test]
fn a_maximum_that_is_not_written_is_refuted() {
    refuted(Rules { ballot: Ballot::NoWriteBack, ..SOUND }, BALLOT, FENCES);
}

#[test]
fn a_node_that_forgot_and_counts_at_once_is_refuted() {
    refuted(Rules { rejoin: Rejoin::AtOnce, ..SOUND }, CRASHING, EXCLUSION);
}

#[test]
fn one_owner_over_several_rounds_is_refuted() {
    refuted(Rules { owners: Owners::PerClient, ..SOUND }, BALLOT, EXCLUSION);
}

#[test]
fn a_top_up_of_a_young_node_is_refuted() {
    refuted(Rules { top_up: TopUp::OfTheYoung, ..SOUND }, LONG_LIVED, EXCLUSION);
}

#[test]
fn patience_without_clocks_is_refuted() {
    refuted(Rules { clocks: Clocks::Any, ..SOUND }, CRASHING, FENCES);
}

#[test]
fn a_fence_given_by_a_top_up_is_refuted() {
    let rules = Rules { rejoin: Rejoin::KnownAndTopUp, ..FENCE_GIVEN };
    let scope = Scope { clients: 2, rounds: 3, renewals: 1, ..CRASHING };
    refuted(rules, scope, FENCES);
}

#[test]
fn larger_scopes_hold() {
    if env::var("TENURE_MODEL").as_deref() != Ok("large") {
        return;
    }
    let [two, three] = [2, 3].map(|clients| Scope { clients, ..CRASHING });
    holds(SOUND, Scope { proposals: 3, ..BALLOT }, 640_000);
    holds(SOUND, Scope { rounds: 4, ..BALLOT }, 8_000_000);
    holds(SOUND, Scope { renewals: 1, ..two }, 7_000_000);
    holds(SOUND, Scope { renewals: 1, ..three }, 7_000_000);
    holds(SOUND, Scope { crashes: 2, ..LONG_LIVED }, 1_500_000);
    holds(ANY_PROPOSALS, Scope { renewals: 1, ..three }, 6_000_000);
    holds(FENCE_GIVEN, three, 700_000);
    holds(FENCE_GIVEN, Scope { crashes: 2, ..two }, 1_700_000);
    holds(FENCE_GIVEN, Scope { renewals: 1, ..two }, 5_800_000);
    holds(Rules { top_up: TopUp::AtOnce, ..SOUND }, Scope { crashes: 2, ..LONG_LIVED }, 4_000_000);
}
