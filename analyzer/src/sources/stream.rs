//! What every source can do: yield its records in order of time, in constant memory.

use std::ops::RangeInclusive;

use trace_format::EventId;

use super::finding::Finding;
use super::record::Item;
use super::trace::TraceError;
use crate::model::CpuId;

/// Which part of a trace to read. What lies outside may be skipped unread.
#[derive(Clone, Debug)]
pub struct Range {
    /// Ticks of the TSC.
    pub tscs: RangeInclusive<u64>,
    /// Only these CPUs; empty for all.
    pub cpus: Vec<CpuId>,
    /// Only where one of these events may be; empty for all.
    pub events: Vec<EventId>,
    /// Only where one of these threads or processes may be; empty for all.
    pub threads: Vec<u64>,
}

impl Default for Range {
    fn default() -> Self {
        Self {
            tscs: 0..=u64::MAX,
            cpus: Vec::new(),
            events: Vec::new(),
            threads: Vec::new(),
        }
    }
}

impl Range {
    /// Whether records of a CPU are of interest.
    #[must_use]
    pub fn has_cpu(&self, cpu: CpuId) -> bool {
        self.cpus.is_empty() || self.cpus.contains(&cpu)
    }
}

/// Records of a trace in order of (TSC, CPU, order of the recording).
pub trait RecordStream {
    /// The next one; `None` at the end.
    ///
    /// # Errors
    /// When the trace cannot be read on. A part that is damaged is no error: it is an [`Item::Loss`].
    fn next_item(&mut self) -> Result<Option<Item<'_>>, TraceError>;

    /// Ticks of the next one, without taking it; `None` at the end. Of a loss with nothing behind it, 0.
    ///
    /// # Errors
    /// Those of [`next_item`](Self::next_item).
    fn next_tsc(&mut self) -> Result<Option<u64>, TraceError>;

    /// Chunks of the range that are not read, because the index says that nothing of interest is in them.
    fn chunks_skipped(&self) -> usize;

    /// What was met so far that the trace did not say of itself: damage, clocks that go backward.
    fn damage(&self) -> Vec<Finding>;
}

/// Time of one of several sequences that has no more.
pub(super) const NEVER: u64 = u64::MAX;

/// Of several sequences, by the times of what comes next in each: the position of the earliest, of two the first, and the
/// time and position of the next one after it. As long as the earliest stays before that, it stays the earliest.
pub(super) fn earliest(times: impl Iterator<Item = u64>) -> (usize, (u64, usize)) {
    let (mut best, mut second) = ((NEVER, usize::MAX), (NEVER, usize::MAX));
    for (index, time) in times.enumerate() {
        let next = (time, index);
        if next < best {
            (best, second) = (next, best);
        } else {
            second = second.min(next);
        }
    }
    (if best.1 == usize::MAX { 0 } else { best.1 }, second)
}
