//! Which event is the N-th, and how many of each kind come before it.

use std::sync::Arc;

use analyzer::sources::Record;
use serde::{Deserialize, Serialize};
use trace_format::EventId;

/// Events of a block: from the start of one they are counted.
pub(crate) const BLOCK: u64 = 4096;

/// Blocks of a segment.
const SEGMENT: usize = 16;

/// Where a block begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Ticks of its first event.
    pub(crate) tsc: u64,
    /// How many events of that very tick come before it.
    pub(crate) before: u64,
}

/// Where the events of a trace are. A copy shares all but the end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct EventIndex {
    total: u64,
    last: Place,
    segments: Vec<Arc<Segment>>,
    open: Segment,
    /// By kind, how many events there are before the block that is under way.
    counts: Vec<u64>,
    /// By kind, how many that has.
    block: Vec<u16>,
}

/// Some blocks in a row.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Segment {
    places: Vec<Place>,
    /// By kind, how many events there are before it.
    before: Vec<u64>,
    /// Of each block that is full, its kinds with how many of them it has.
    kinds: Vec<Vec<(u16, u16)>>,
}

impl EventIndex {
    /// Takes note of the next event: one that is neither repeated nor context.
    #[inline]
    pub(crate) fn record(&mut self, record: &Record<'_>) {
        self.add(record.event, record.tsc);
    }

    #[inline]
    fn add(&mut self, event: EventId, tsc: u64) {
        if self.total > 0 && tsc == self.last.tsc {
            self.last.before += 1;
        } else {
            self.last = Place { tsc, before: 0 };
        }
        if self.total.is_multiple_of(BLOCK) {
            self.begin_block();
        }
        self.total += 1;
        let slot = usize::from(event.0);
        if slot >= self.block.len() {
            self.block.resize(slot + 1, 0);
        }
        self.block[slot] += 1;
    }

    #[cold]
    fn begin_block(&mut self) {
        if self.total > 0 {
            self.end_block();
        }
        if self.open.places.len() == SEGMENT {
            let full = std::mem::take(&mut self.open);
            self.segments.push(Arc::new(full));
        }
        if self.open.places.is_empty() {
            self.open.before.clone_from(&self.counts);
        }
        self.open.places.push(self.last);
    }

    fn end_block(&mut self) {
        self.counts.resize(self.block.len(), 0);
        let mut kinds = Vec::new();
        for ((id, own), sum) in (0..=u16::MAX).zip(&mut self.block).zip(&mut self.counts) {
            if *own > 0 {
                kinds.push((id, *own));
                *sum += u64::from(*own);
                *own = 0;
            }
        }
        self.open.kinds.push(kinds);
    }

    /// How many events there are.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// How many of each kind there are, by number of the kind.
    pub(crate) fn counts(&self) -> Vec<u64> {
        let mut counts = self.counts.clone();
        counts.resize(counts.len().max(self.block.len()), 0);
        for (count, own) in counts.iter_mut().zip(&self.block) {
            *count += u64::from(*own);
        }
        counts
    }

    /// How many blocks there are, the last of which need not be full.
    pub(crate) fn blocks(&self) -> u64 {
        self.total.div_ceil(BLOCK)
    }

    fn segment(&self, block: u64) -> Option<(&Segment, usize)> {
        let block = usize::try_from(block).ok()?;
        let segment = match self.segments.get(block / SEGMENT) {
            Some(segment) => segment.as_ref(),
            None if block / SEGMENT == self.segments.len() => &self.open,
            None => return None,
        };
        Some((segment, block % SEGMENT))
    }

    /// Where a block begins; `None` when there is no such block.
    pub(crate) fn place(&self, block: u64) -> Option<Place> {
        let (segment, at) = self.segment(block)?;
        segment.places.get(at).copied()
    }

    /// The kinds of events in a block; `None` when it is not full yet.
    pub(crate) fn kinds(&self, block: u64) -> Option<&[(u16, u16)]> {
        let (segment, at) = self.segment(block)?;
        segment.kinds.get(at).map(Vec::as_slice)
    }

    /// How many events of each kind there are before a block.
    pub(crate) fn before(&self, block: u64) -> Vec<u64> {
        let Some((segment, at)) = self.segment(block) else {
            return self.counts();
        };
        let mut counts = segment.before.clone();
        for (id, count) in segment.kinds.iter().take(at).flatten() {
            add(&mut counts, *id, u64::from(*count));
        }
        counts
    }

    /// How many blocks begin before those ticks.
    pub(crate) fn blocks_before(&self, tsc: u64) -> u64 {
        let (mut low, mut high) = (0, self.blocks());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.place(middle).is_some_and(|place| place.tsc < tsc) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Counts so many more of a kind.
pub(crate) fn add(counts: &mut Vec<u64>, id: u16, count: u64) {
    let slot = usize::from(id);
    if slot >= counts.len() {
        counts.resize(slot + 1, 0);
    }
    counts[slot] += count;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_know_their_places_and_what_comes_before() {
        let mut index = EventIndex::default();
        let events = 40 * BLOCK + 17;
        for n in 0..events {
            index.add(EventId(if n % 3 == 0 { 7 } else { 2 }), n / 5);
        }
        let copy: EventIndex =
            serde_json::from_slice(&serde_json::to_vec(&index).unwrap()).unwrap();
        for index in [index, copy] {
            assert_eq!((index.total(), index.blocks()), (events, 41));
            assert_eq!(index.counts()[7], events.div_ceil(3));
            for block in 0..41 {
                let first = block * BLOCK;
                let place = Place {
                    tsc: first / 5,
                    before: first % 5,
                };
                assert_eq!(index.place(block), Some(place));
                let before = index.before(block);
                let of_kind = |kind: usize| before.get(kind).copied().unwrap_or(0);
                assert_eq!(of_kind(7), first.div_ceil(3));
                assert_eq!(of_kind(2), first - first.div_ceil(3));
            }
            assert_eq!((index.place(41), index.kinds(40)), (None, None));
            assert_eq!(index.kinds(39).map(<[_]>::len), Some(2));
            assert_eq!(index.blocks_before(0), 0);
            assert_eq!(index.blocks_before(1), 1);
            assert_eq!(index.blocks_before(u64::MAX), 41);
        }
    }
}
