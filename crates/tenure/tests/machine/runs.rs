//! Runs of a job that takes place once per tick: when one is granted, and what stays on record.

use std::time::Duration;

use proptest::prelude::*;
use tenure::protocol::{
    Count, KeyState, LastRun, Op, Outcome, Reply, Run, RunState, StepContext, TickClock, Ticks,
};
use tenure::{Claim, Label, StoreTime};

use super::acts::{RETENTION, acquire, aimed, apply, at, histories, ms, owner, start};
use super::checks::{Taken, Verdict, ensure};

/// The number of the tick.
fn tick(micros: u64, every: Duration) -> u64 {
    micros / u64::try_from(every.as_micros()).expect("a short tick")
}

fn last(key: &KeyState) -> Option<&Run> {
    key.runs().map(|runs| &runs.last)
}

impl Taken<'_> {
    /// The answer to a begin that is due, by what was before.
    pub(crate) fn runs_are_due(&self) -> Verdict {
        let Op::Begin { acquire, ticks } = self.op else { return Ok(()) };
        let idle = self.after_time_alone();
        let holds = |run: &Run| idle.holders().iter().any(|h| h.owner == run.owner);
        let (now, is_near) = match ticks.clock {
            TickClock::Store => (self.at.wall, true),
            TickClock::Proposed { now, within } => {
                (now, Duration::from_micros(now.abs_diff(self.at.wall)) <= within)
            }
        };
        if !is_near {
            ensure!(matches!(self.reply, Reply::Refused(_)), "its clock is too far away");
            return Ok(());
        }
        let run = last(&idle);
        let is_repeated =
            run.is_some_and(|run| run.owner == acquire.owner && run.end.is_none() && holds(run));
        let is_due = run.is_none_or(|run| {
            let is_running = run.end.is_none() && holds(run);
            let has_failed = match &run.end {
                None => !is_running,
                Some(end) => end.outcome != Outcome::Ok,
            };
            let is_over = match ticks.count {
                Count::Grid => tick(now, ticks.every) > tick(run.begun, ticks.every),
                Count::LastRun => {
                    Duration::from_micros(now.saturating_sub(run.begun)) >= ticks.every
                }
            };
            run.owner != acquire.owner
                && !is_running
                && (is_over || ticks.retry_failed && has_failed)
        });
        let is_told = matches!(self.reply, Reply::AlreadyRan(_));
        ensure!(is_told != (is_due || is_repeated), "a run is due: {is_due}");
        if matches!(self.reply, Reply::Granted { .. }) {
            ensure!(self.held_after(&acquire.owner).is_some(), "it runs without a lease");
            let begun = last(self.after).is_some_and(|run| run.owner == acquire.owner);
            ensure!(begun, "its run is not on record");
            let shown = self.after.inspect(self.now()).last_run;
            ensure!(shown.is_some_and(|run| run.state == RunState::Running), "it does not run");
        }
        Ok(())
    }

    /// Nobody else changes the record, and it outlives the tick.
    pub(crate) fn runs_are_kept(&self) -> Verdict {
        let (old, new) = (last(self.before), last(self.after));
        let expected = match (self.op, self.reply) {
            (Op::Begin { acquire, ticks }, Reply::Granted { .. })
                if old.is_none_or(|run| run.owner != acquire.owner) =>
            {
                let begun = new.map_or(0, |run| run.begun);
                ensure!(begun >= old.map_or(0, |run| run.begun), "it begins before the last");
                let (owner, label) = (acquire.owner.clone(), acquire.label.clone());
                Some(Run { owner, label, begun, every: ticks.every, end: None })
            }
            (Op::Finish { owner, .. }, Reply::Finished) => {
                let finished = new.filter(|run| run.owner == *owner && run.end.is_some());
                ensure!(finished.is_some(), "its outcome is not on record");
                new.cloned()
            }
            (Op::Withdraw { owner, .. }, _)
                if old.is_some_and(|run| run.owner == *owner && run.end.is_none()) =>
            {
                self.before.runs().and_then(|runs| runs.before.clone())
            }
            _ => old.cloned(),
        };
        ensure!(new == expected.as_ref(), "on record is {new:?} in place of {expected:?}");
        if let Some(run) = new {
            let left = (run.begun + micros(run.every)).saturating_sub(self.at.wall);
            let until = self.now() + Duration::from_micros(left) + RETENTION;
            ensure!(self.after.fence_until() >= until, "its record is forgotten too early");
        }
        Ok(())
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).expect("a short span")
}

const EVERY: Duration = ms(100);

fn ticks(count: Count, retry_failed: bool) -> Ticks {
    Ticks { every: EVERY, count, retry_failed, clock: TickClock::Store }
}

fn begin(number: usize, ticks: Ticks) -> Op {
    Op::Begin { acquire: acquire(&owner(number), Claim::EXCLUSIVE, ms(40), None), ticks }
}

fn finish(number: usize, outcome: Outcome) -> Op {
    Op::Finish { owner: owner(number), outcome, tombstone: None }
}

fn is_granted(reply: &Reply) -> bool {
    matches!(reply, Reply::Granted { .. })
}

fn already_ran(reply: Reply) -> LastRun {
    match reply {
        Reply::AlreadyRan(run) => *run,
        other => panic!("nothing has run: {other:?}"),
    }
}

#[test]
fn of_two_that_ask_in_one_tick_one_runs_and_the_other_is_told_how_it_went() {
    let (mut key, every) = (KeyState::default(), ticks(Count::Grid, false));
    assert!(is_granted(&apply(&mut key, &begin(0, every), start())));
    let seen = already_ran(apply(&mut key, &begin(1, every), start()));
    assert_eq!((seen.state, seen.took), (RunState::Running, None));
    let reply = apply(&mut key, &finish(0, Outcome::Ok), start() + ms(30));
    assert_eq!(reply, Reply::Finished);
    let seen = already_ran(apply(&mut key, &begin(1, every), start() + ms(99)));
    assert_eq!((seen.state, seen.took), (RunState::Ok, Some(ms(30))));
    assert!(is_granted(&apply(&mut key, &begin(1, every), start() + ms(100))), "the next tick");
}

#[test]
fn from_the_last_run_a_tick_is_as_long_as_it_says_wherever_it_begins() {
    let (mut key, every) = (KeyState::default(), ticks(Count::LastRun, false));
    let begun = start() + ms(90);
    assert!(is_granted(&apply(&mut key, &begin(0, every), begun)));
    apply(&mut key, &finish(0, Outcome::Ok), begun);
    already_ran(apply(&mut key, &begin(1, every), begun + ms(99)));
    assert!(is_granted(&apply(&mut key, &begin(1, every), begun + ms(100))));
}

#[test]
fn failed_run_leaves_its_tick_to_those_who_retry() {
    for dies in [false, true] {
        let mut key = KeyState::default();
        assert!(is_granted(&apply(&mut key, &begin(0, ticks(Count::Grid, false)), start())));
        if !dies {
            apply(&mut key, &finish(0, Outcome::failed("no disk")), start());
        }
        let later = start() + ms(50);
        let seen = already_ran(apply(&mut key, &begin(1, ticks(Count::Grid, false)), later));
        let failed = RunState::Failed(Label::new("no disk"));
        assert_eq!(seen.state, if dies { RunState::Unfinished } else { failed });
        assert!(is_granted(&apply(&mut key, &begin(2, ticks(Count::Grid, true)), later)));
        apply(&mut key, &finish(2, Outcome::Ok), later);
        already_ran(apply(&mut key, &begin(3, ticks(Count::Grid, true)), later));
    }
}

#[test]
fn late_end_of_a_run_changes_no_later_one() {
    let (mut key, every) = (KeyState::default(), ticks(Count::Grid, true));
    assert!(is_granted(&apply(&mut key, &begin(0, every), start())));
    let later = start() + ms(50);
    assert_eq!(apply(&mut key, &finish(0, Outcome::Ok), later), Reply::Gone, "its lease ended");
    assert!(is_granted(&apply(&mut key, &begin(1, every), later)), "so it has failed");
    assert_eq!(apply(&mut key, &finish(0, Outcome::Ok), later), Reply::Others);
    assert_eq!(last(&key).map(|run| (run.owner.clone(), run.end.clone())), Some((owner(1), None)));
}

#[test]
fn withdrawn_run_was_never_begun() {
    let (mut key, every) = (KeyState::default(), ticks(Count::Grid, false));
    assert!(is_granted(&apply(&mut key, &begin(0, every), start())));
    apply(&mut key, &finish(0, Outcome::Ok), start());
    let before = last(&key).cloned();
    let next = start() + ms(100);
    let withdraw = Op::Withdraw { owner: owner(1), tombstone: ms(60_000) };
    assert!(is_granted(&apply(&mut key, &begin(1, every), next)));
    apply(&mut key, &withdraw, next);
    assert_eq!(last(&key).cloned(), before);
    assert!(is_granted(&apply(&mut key, &begin(2, every), next)), "the tick was used up");
}

#[test]
fn clock_that_is_set_back_starts_no_tick_again() {
    let (mut key, every) = (KeyState::default(), ticks(Count::Grid, false));
    let at = |wall: u64| StepContext { wall, ..at(start()) };
    assert!(is_granted(&key.apply(&begin(0, every), at(1_000_000)).0));
    key.apply(&finish(0, Outcome::Ok), at(1_000_000));
    already_ran(key.apply(&begin(1, every), at(900_000)).0);
    already_ran(key.apply(&begin(1, every), at(1_099_999)).0);
    assert!(is_granted(&key.apply(&begin(1, every), at(1_100_000)).0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    /// Over a whole history, of begins with ticks of one length on the grid: the runs that were
    /// not withdrawn are in one tick each, but for those after one that failed.
    #[test]
    fn no_tick_has_two_runs(acts in histories(60)) {
        let (mut key, mut now) = (KeyState::default(), start());
        let mut ran: Vec<Run> = vec![];
        for act in &acts {
            now = now + act.gap;
            let mut op = aimed(&act.op, &key);
            if let Op::Begin { ticks, .. } = &mut op {
                *ticks = Ticks { every: EVERY, count: Count::Grid, ..*ticks };
            }
            let wall = if act.clock_set_back { 1 } else { now.as_micros() };
            key.apply(&op, StepContext { wall, ..at(now) });
            let Some(run) = last(&key) else {
                ran.pop();
                continue;
            };
            // One that was withdrawn is not the last any more.
            let known = ran.iter().position(|old| old.owner == run.owner && old.begun == run.begun);
            match known {
                Some(index) => {
                    ran.truncate(index);
                    ran.push(run.clone());
                }
                None => ran.push(run.clone()),
            }
        }
        for pair in ran.windows(2) {
            let failed = pair[0].end.as_ref().is_none_or(|end| end.outcome != Outcome::Ok);
            let [one, other] = [&pair[0], &pair[1]].map(|run| tick(run.begun, EVERY));
            prop_assert!(one < other || (failed && one == other), "{pair:?}");
        }
    }

    /// A key with a run is remembered until its tick is over, and longer.
    #[test]
    fn run_is_remembered(gap in 0..2_000_u64) {
        let mut key = KeyState::default();
        apply(&mut key, &begin(0, ticks(Count::Grid, false)), start());
        apply(&mut key, &finish(0, Outcome::Ok), start());
        let later: StoreTime = start() + ms(gap);
        prop_assert_eq!(key.is_forgettable(later), ms(gap) >= EVERY + RETENTION);
    }
}
