//! A trace of our own that is still being recorded: its records as soon as their order is certain.
//!
//! Invariant: records come in the order that the complete trace will have. One waits until the recorder has said that
//! nothing before it is still to come, or until the end.
//! Memory holds the compressed chunks that wait, and one decoded chunk of each CPU.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trace_format::{Chunk, Header, PackedChunk, ReadError, Schema};

use super::clock::Clock;
use super::finding::Finding;
use super::merge::{ChunkSource, Merge};
use super::record::Item;
use super::stream::RecordStream;
use super::trace::TraceError;
use crate::model::CpuId;

/// Chunks that wait need at most so much memory: the largest flight recorders, compressed, and more.
const WAITING_BYTES_MAX: usize = 1 << 30;

/// A trace that arrives.
#[derive(Debug)]
pub struct LiveStream {
    merge: Merge<Waiting>,
    /// The clock is set when the first record is certain.
    has_clock: bool,
}

#[derive(Debug)]
struct Waiting {
    schema: Schema,
    chunks: BTreeMap<CpuId, VecDeque<PackedChunk>>,
    /// CPUs that chunks arrived of since the last time that anything became certain.
    fresh: BTreeSet<CpuId>,
    first_tsc: u64,
    bytes: usize,
}

impl ChunkSource for Waiting {
    fn next_chunk(&mut self, cpu: CpuId) -> Option<Result<Chunk, ReadError>> {
        let chunk = self.chunks.get_mut(&cpu)?.pop_front()?;
        self.bytes -= chunk.memory_bytes();
        Some(chunk.decode(&self.schema))
    }
}

impl LiveStream {
    /// Only the header arrived yet.
    ///
    /// # Errors
    /// None, as yet.
    pub fn new(header: &Header) -> Result<Self, TraceError> {
        let clock = Clock {
            first_tsc: 0,
            tsc_hz: header.clock.tsc_hz,
        };
        let waiting = Waiting {
            schema: header.schema.clone(),
            chunks: BTreeMap::new(),
            fresh: BTreeSet::new(),
            first_tsc: u64::MAX,
            bytes: 0,
        };
        let merge = Merge::new(waiting, [], &header.schema, clock, &(0..=0))?;
        Ok(Self {
            merge,
            has_clock: false,
        })
    }

    /// Takes a chunk that arrived.
    ///
    /// # Errors
    /// When more chunks wait than any recording leaves waiting.
    pub fn push(&mut self, chunk: PackedChunk) -> Result<(), TraceError> {
        let waiting = &mut self.merge.chunks;
        let cpu = CpuId(chunk.info().cpu);
        waiting.bytes = waiting.bytes.saturating_add(chunk.memory_bytes());
        if waiting.bytes > WAITING_BYTES_MAX {
            return Err(TraceError::Unordered {
                bytes_max: WAITING_BYTES_MAX,
            });
        }
        if chunk.info().record_count > 0 {
            waiting.first_tsc = waiting.first_tsc.min(chunk.info().first_tsc);
        }
        waiting.fresh.insert(cpu);
        waiting.chunks.entry(cpu).or_default().push_back(chunk);
        Ok(())
    }

    /// No record that is still to come is before `tsc`; [`u64::MAX`] at the end.
    ///
    /// # Errors
    /// When a chunk cannot be read for another reason than damage.
    pub fn advance(&mut self, tsc: u64) -> Result<(), TraceError> {
        let mut clock = self.merge.clock();
        let waiting = &mut self.merge.chunks;
        let fresh = std::mem::take(&mut waiting.fresh);
        if !self.has_clock && waiting.first_tsc != u64::MAX {
            clock.first_tsc = waiting.first_tsc;
            self.has_clock = true;
        }
        // Another CPU may still have a record of that very tick, which is before this one's by its number.
        let last_tsc = if tsc == u64::MAX {
            tsc
        } else {
            tsc.saturating_sub(1)
        };
        self.merge.extend(fresh, clock, last_tsc)
    }

    /// Its clock, once a record is certain.
    #[must_use]
    pub fn clock(&self) -> Option<Clock> {
        self.has_clock.then(|| self.merge.clock())
    }
}

impl RecordStream for LiveStream {
    /// `None` also when more has to arrive first.
    fn next_item(&mut self) -> Result<Option<Item<'_>>, TraceError> {
        self.merge.next_item()
    }

    fn next_tsc(&mut self) -> Result<Option<u64>, TraceError> {
        self.merge.next_tsc()
    }

    fn chunks_skipped(&self) -> usize {
        0
    }

    fn damage(&self) -> Vec<Finding> {
        self.merge.damage().iter().map(Finding::of).collect()
    }
}
