//! Which events of two traces are the same.

use super::align::Clocks;
use super::gather::{Lane, Times};
use crate::model::GuestNanos;
use crate::report::Distribution;

/// An event is stamped inside by code that runs after the place where we see it; more than so long after, it is another.
/// Interrupts that come in between are part of it.
const LATE_NS_MAX: u64 = 200_000;
/// What the relation of the clocks may be wrong by.
const EARLY_NS_MAX: u64 = 2_000;

/// What two traces have of one kind of event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Paired {
    pub(super) both: u64,
    pub(super) only_outside: u64,
    pub(super) only_inside: u64,
    /// How much later the stamps inside are.
    pub(super) delays: Distribution,
}

/// Pairs the events of one kind: those of a thread on a CPU, in order.
pub(super) fn pair(outside: Option<&Times>, inside: Option<&Times>, clocks: &Clocks) -> Paired {
    let (none, mut found) = (Times::new(), Paired::default());
    let (outside, inside) = (outside.unwrap_or(&none), inside.unwrap_or(&none));
    let mut lanes: Vec<&Lane> = outside.keys().chain(inside.keys()).collect();
    lanes.sort();
    lanes.dedup();
    for lane in lanes {
        let of = |times: &Times| times.get(lane).cloned().unwrap_or_default();
        let theirs = of(inside).into_iter().map(|at| clocks.ours(at));
        let theirs = theirs.filter(|at| (clocks.first..=clocks.last).contains(at));
        found.add(&of(outside), &theirs.collect::<Vec<_>>());
    }
    found
}

impl Paired {
    /// Pairs two ascending lists of times.
    fn add(&mut self, mut ours: &[GuestNanos], mut theirs: &[GuestNanos]) {
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
        self.only_inside += theirs.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(ours: &[u64], theirs: &[u64]) -> (u64, u64, u64) {
        let times = |list: &[u64]| list.iter().copied().map(GuestNanos).collect::<Vec<_>>();
        let mut found = Paired::default();
        found.add(&times(ours), &times(theirs));
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
