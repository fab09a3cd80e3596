//! Which events of two traces are the same.

use super::align::Clocks;
use super::gather::{Lane, Times};
use crate::model::GuestNanos;
use crate::report::Distribution;

/// An event is stamped inside by code that runs after the place where we see it; more than so long after, it is another.
/// Interrupts that come in between are part of it.
const LATE_NS_MAX: u64 = 200_000;
/// What the relation of the clocks may be wrong by.
const EARLY_NS_MAX: u64 = 5_000;
/// Stamps of the quickest kind of event come sooner than that of a scheduling change would, and by no more than that.
const SOONER_NS_MAX: i128 = 50_000;

/// What two traces have of one kind of event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Paired {
    pub(super) both: u64,
    pub(super) only_outside: u64,
    pub(super) only_inside: u64,
    /// How much later the stamps inside are.
    pub(super) delays: Distribution,
}

/// How much sooner stamps of one kind of event come than `clocks` has it, which knows only the times of scheduling
/// changes: in lanes of which both sides have as many events, these are the same. It is the median that counts, because
/// at the edges of the window lanes have as many by accident.
pub(super) fn sooner(outside: &Times, inside: &Times, clocks: &Clocks) -> i128 {
    let mut differences = Vec::new();
    for (lane, ours) in outside {
        let theirs = within(inside.get(lane), clocks, 0);
        if theirs.len() == ours.len() {
            let pairs = ours.iter().zip(&theirs);
            differences.extend(pairs.map(|(our, their)| i128::from(their.0) - i128::from(our.0)));
        }
    }
    differences.retain(|difference| difference.abs() <= SOONER_NS_MAX);
    differences.sort_unstable();
    let median = differences.get(differences.len() / 2).copied();
    -median.unwrap_or(0).min(0)
}

/// Our times of stamps inside, of those within the window or at most so long behind it.
fn within(theirs: Option<&Vec<GuestNanos>>, clocks: &Clocks, behind: u64) -> Vec<GuestNanos> {
    let theirs = theirs.into_iter().flatten().map(|at| clocks.ours(*at));
    let last = GuestNanos(clocks.last.0.saturating_add(behind));
    theirs
        .filter(|at| (clocks.first..=last).contains(at))
        .collect()
}

/// Pairs the events of one kind: those of a thread on a CPU, in order.
pub(super) fn pair(outside: Option<&Times>, inside: Option<&Times>, clocks: &Clocks) -> Paired {
    let (none, mut found) = (Times::new(), Paired::default());
    let (outside, inside) = (outside.unwrap_or(&none), inside.unwrap_or(&none));
    let mut lanes: Vec<&Lane> = outside.keys().chain(inside.keys()).collect();
    lanes.sort();
    lanes.dedup();
    for lane in lanes {
        let ours = outside.get(lane).map_or(&[][..], Vec::as_slice);
        // The stamp of the last event may be behind the window; what has none of ours there is of no interest.
        found.add(
            ours,
            &within(inside.get(lane), clocks, LATE_NS_MAX),
            clocks.last,
        );
    }
    found
}

impl Paired {
    /// Pairs two ascending lists of times.
    fn add(&mut self, mut ours: &[GuestNanos], mut theirs: &[GuestNanos], last: GuestNanos) {
        while let ([our, later @ ..], [their, rest @ ..]) = (ours, theirs) {
            // The stamp is made before the thread goes on: where the event after this one is before it too, it is that one's.
            let is_later_one = later.first().is_some_and(|second| second <= their);
            if their.0 + EARLY_NS_MAX < our.0 {
                self.only_inside += 1;
                theirs = rest;
            } else if our.0 + LATE_NS_MAX < their.0 || is_later_one {
                self.only_outside += 1;
                ours = later;
            } else {
                self.both += 1;
                self.delays.add(their.since(*our));
                (ours, theirs) = (later, rest);
            }
        }
        self.only_outside += ours.len() as u64;
        self.only_inside += theirs.iter().filter(|at| **at <= last).count() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(ours: &[u64], theirs: &[u64]) -> (u64, u64, u64) {
        let times = |list: &[u64]| list.iter().copied().map(GuestNanos).collect::<Vec<_>>();
        let mut found = Paired::default();
        found.add(&times(ours), &times(theirs), GuestNanos(u64::MAX));
        (found.both, found.only_outside, found.only_inside)
    }

    #[test]
    fn an_event_is_paired_with_the_stamp_behind_it() {
        assert_eq!(paired(&[1000, 9000], &[1500, 9500]), (2, 0, 0));
        assert_eq!(paired(&[1000, 9000, 12_000], &[1500, 12_500]), (2, 1, 0));
        assert_eq!(paired(&[1000, 9000], &[1500, 5000, 9500]), (2, 0, 1));
        assert_eq!(paired(&[1000], &[500_000]), (0, 1, 1));
        assert_eq!(paired(&[], &[5]), (0, 0, 1));
    }
}
