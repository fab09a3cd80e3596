//! Two clocks of one run: where the sequences of scheduling changes agree, their times do.

use super::gather::{Gathered, Switch};
use crate::model::GuestNanos;

/// Changes that have to agree in a row, so that it is no accident.
const RUN: usize = 24;

/// From the clock inside to ours: through two pairs of times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clocks {
    /// Our time of the first change that both have.
    pub(super) first: GuestNanos,
    /// And of the last.
    pub(super) last: GuestNanos,
    inside_first: GuestNanos,
    inside_last: GuestNanos,
    /// How much later the first pair of times is than the quickest of all.
    late: i128,
}

impl Clocks {
    /// Our time of a time inside; 0 for what would be before our trace.
    pub(super) fn ours(&self, inside: GuestNanos) -> GuestNanos {
        let (ours, theirs) = (self.last.since(self.first), self.inside_length());
        let from = i128::from(inside.0) - i128::from(self.inside_first.0);
        let length = from * i128::from(ours.0) / i128::from(theirs.0.max(1));
        let at = i128::from(self.first.0) + length + self.late;
        GuestNanos(u64::try_from(at.max(0)).unwrap_or(u64::MAX))
    }

    /// The same clocks, after it turned out that stamps can come so much sooner than that of a scheduling change.
    pub(super) fn moved_by(self, nanos: i128) -> Self {
        Self {
            late: self.late + nanos,
            ..self
        }
    }

    fn inside_length(&self) -> GuestNanos {
        self.inside_last.since(self.inside_first)
    }

    /// How much faster the clock inside is, in millionths.
    pub(super) fn drift_ppm(&self) -> f64 {
        let (ours, theirs) = (self.last.since(self.first).0, self.inside_length().0);
        #[allow(clippy::cast_precision_loss, reason = "shown with three decimals")]
        let ratio = theirs as f64 / ours.max(1) as f64;
        (ratio - 1.0) * 1e6
    }
}

/// Finds the clocks' relation; `None` when no CPU has enough changes in common.
pub(super) fn align(outside: &Gathered, inside: &Gathered) -> Option<Clocks> {
    let common = |cpu| Some((outside.switches.get(cpu)?, inside.switches.get(cpu)?));
    let lists = inside.switches.keys().filter_map(common);
    let pairs = lists.filter_map(|(ours, theirs)| clocks_of(ours, theirs));
    // The CPU on which both saw the longest stretch tells best how the clocks differ.
    let longest =
        pairs.filter(|pair| pair.last > pair.first && pair.inside_last > pair.inside_first);
    longest.max_by_key(|pair| pair.last.since(pair.first))
}

/// The clocks of one CPU. What a program repeats fits in several places: the clocks that differ least are right.
fn clocks_of(ours: &[Switch], theirs: &[Switch]) -> Option<Clocks> {
    let starts = places(ours, theirs.get(..RUN)?);
    let ends = places(ours, theirs.get(theirs.len() - RUN..)?);
    let (inside_first, inside_last) = (theirs.first()?.at, theirs.last()?.at);
    let length = inside_last.since(inside_first).0;
    let last_of = |end: &usize| ours[end + RUN - 1].at;
    let fitting = starts.into_iter().filter_map(|start| {
        let first = ours[start].at;
        let wanted = GuestNanos(first.0.saturating_add(length));
        let after = ends.partition_point(|end| last_of(end) < wanted);
        let near = [after.checked_sub(1), Some(after)].into_iter().flatten();
        let lasts = near.filter_map(|index| ends.get(index)).map(last_of);
        let last = lasts.min_by_key(|last| last.0.abs_diff(wanted.0))?;
        Some(Clocks {
            first,
            last,
            inside_first,
            inside_last,
            late: 0,
        })
    });
    fitting.min_by_key(|clocks| clocks.last.since(clocks.first).0.abs_diff(length))
}

/// Positions in `ours` at which changes like `wanted` begin.
fn places(ours: &[Switch], wanted: &[Switch]) -> Vec<usize> {
    let starts = 0..ours.len();
    let fits = |start: &usize| agrees(ours.get(*start..start + RUN), wanted);
    starts.filter(fits).collect()
}

fn agrees(ours: Option<&[Switch]>, theirs: &[Switch]) -> bool {
    ours.is_some_and(|ours| {
        let mut both = ours.iter().zip(theirs);
        both.all(|(our, their)| (our.prev, our.next) == (their.prev, their.next))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CpuId, Tid};

    fn switches(times: impl Iterator<Item = u64>, first: u32) -> Gathered {
        let mut gathered = Gathered::default();
        let list = times.zip(first..).map(|(at, tid)| Switch {
            at: GuestNanos(at),
            prev: Tid(tid * tid % 10_007),
            next: Tid((tid + 1) * (tid + 1) % 10_007),
        });
        gathered.switches.insert(CpuId(0), list.collect());
        gathered
    }

    #[test]
    fn times_follow_from_sequences() {
        // Inside, recording starts at the fifth change, with a clock of its own that is slower by a part in a thousand.
        let outside = switches((0..100).map(|n| 1_000_000 + n * 1000), 0);
        let inside = switches((5..90).map(|n| n * 999), 5);
        let clocks = align(&outside, &inside).unwrap();
        assert_eq!(clocks.first, GuestNanos(1_005_000));
        assert_eq!(clocks.last, GuestNanos(1_089_000));
        assert_eq!(clocks.ours(GuestNanos(10 * 999)), GuestNanos(1_010_000));
        assert!((clocks.drift_ppm() + 1000.0).abs() < 1.0, "{clocks:?}");
        assert_eq!(align(&outside, &switches(0..100, 3000)), None);
    }
}
