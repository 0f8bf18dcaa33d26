//! Grants and releases per second, as the fences of two looks show them. A lock that is given back
//! and taken again between two looks is seen by its new fence. One that comes and goes between two
//! looks is not seen, so the figures are lower bounds.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tenure::runtime::Moment;

use super::row::Row;

/// Time over which the rates are taken.
const SPAN: Duration = Duration::from_secs(10);

/// Changes from one look to the next.
#[derive(Debug, Clone, Copy)]
struct Change {
    from: Moment,
    to: Moment,
    grants: usize,
    releases: usize,
}

/// The rates of the last looks.
#[derive(Debug, Default)]
pub(crate) struct Rates(VecDeque<Change>);

impl Rates {
    /// Takes in two complete looks that follow each other.
    pub(crate) fn add(&mut self, (before, from): (&[Row], Moment), (rows, to): (&[Row], Moment)) {
        let (old, new) = (fences(before), fences(rows));
        let (grants, releases) = (only_in(&new, &old), only_in(&old, &new));
        self.0.push_back(Change { from, to, grants, releases });
        while self.0.front().is_some_and(|change| to.since(change.to) >= SPAN) {
            self.0.pop_front();
        }
    }

    /// Grants and releases per second; `None` before the second look.
    pub(crate) fn per_second(&self) -> Option<[f64; 2]> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let seconds = last.to.since(first.from).as_secs_f64();
        let sum = |count: fn(&Change) -> usize| {
            let sum: usize = self.0.iter().map(count).sum();
            f64::from(u32::try_from(sum).unwrap_or(u32::MAX)) / seconds
        };
        (seconds > 0.0).then(|| [sum(|change| change.grants), sum(|change| change.releases)])
    }
}

type Fences<'a> = HashMap<&'a str, HashSet<u64>>;

/// The number of fences that are held in one look and not in the other.
fn only_in(look: &Fences<'_>, other: &Fences<'_>) -> usize {
    let none = HashSet::new();
    let count = |(key, fences): (&&str, &HashSet<u64>)| {
        fences.difference(other.get(key).unwrap_or(&none)).count()
    };
    look.iter().map(count).sum()
}

/// The fences that are held, by key.
fn fences(rows: &[Row]) -> Fences<'_> {
    let fences = |row: &Row| row.seen.holders.iter().map(|holder| holder.fence.get()).collect();
    rows.iter().map(|row| (row.key.as_str(), fences(row))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::row::sample::held;
    use super::*;

    #[test]
    fn fences_that_came_and_went_are_counted() {
        let at = |seconds: u64| Moment::from_micros(seconds * 1_000_000);
        let first = [held("a", "x", 1), held("b", "x", 2), held("c", "x", 3)];
        // `a` stays, `b` has another holder, `c` is free, `d` is new.
        let second = [held("a", "x", 1), held("b", "x", 5), held("d", "x", 6)];
        let mut rates = Rates::default();
        assert_eq!(rates.per_second(), None);
        rates.add((&first, at(10)), (&second, at(12)));
        assert_eq!(rates.per_second(), Some([1.0, 1.0]));
        rates.add((&second, at(12)), (&second, at(14)));
        assert_eq!(rates.per_second(), Some([0.5, 0.5]));
        // Old changes count no more.
        rates.add((&second, at(14)), (&second, at(22)));
        assert_eq!(rates.per_second(), Some([0.0, 0.0]));
    }
}
