//! Our own trace files: chunks are found by the index and read when their time comes.

use std::collections::BTreeMap;

use trace_format::{Chunk, ChunkInfo, ReadError, TraceFile};

use super::clock::Clock;
use super::finding::Finding;
use super::merge::{ChunkSource, Merge};
use super::record::Item;
use super::stream::{Range, RecordStream};
use super::trace::TraceError;
use crate::model::CpuId;

/// Stream over a trace file.
pub(super) type OwnStream<'f> = Merge<FileChunks<'f>>;

/// The chunks of a file that have to be read.
#[derive(Debug)]
pub(super) struct FileChunks<'f> {
    file: &'f TraceFile,
    /// By CPU its chunks, the next one last.
    planned: BTreeMap<CpuId, Vec<Planned>>,
    skipped: usize,
}

/// A chunk that is to be read, by its position in the file.
#[derive(Clone, Copy, Debug)]
struct Planned {
    position: usize,
    /// The CPU's chunk before it, when that is passed over.
    passed_before: Option<usize>,
}

impl<'f> OwnStream<'f> {
    /// Reads `file` within `range`.
    pub(super) fn open(
        file: &'f TraceFile,
        clock: Clock,
        range: &Range,
    ) -> Result<Self, TraceError> {
        let chunks = FileChunks::plan(file, range);
        let cpus: Vec<CpuId> = chunks.planned.keys().copied().collect();
        Merge::new(chunks, cpus, &file.header().schema, clock, &range.tscs)
    }
}

impl<'f> FileChunks<'f> {
    fn plan(file: &'f TraceFile, range: &Range) -> Self {
        let mut planned: BTreeMap<CpuId, Vec<Planned>> = BTreeMap::new();
        // By CPU the last chunk, where that is passed over or before the range.
        let mut passed: BTreeMap<u32, usize> = BTreeMap::new();
        let mut next: BTreeMap<u32, u64> = BTreeMap::new();
        let mut skipped = 0;
        for (position, chunk) in file.chunks().iter().enumerate() {
            let expected = next.insert(chunk.cpu, chunk.sequence.saturating_add(1));
            let wanted = range.has_cpu(CpuId(chunk.cpu));
            if !wanted || chunk.first_tsc > *range.tscs.end() {
                continue;
            }
            if chunk.last_tsc < *range.tscs.start() {
                passed.insert(chunk.cpu, position);
                continue;
            }
            let list = planned.entry(CpuId(chunk.cpu)).or_default();
            // What is missing is told, whatever is of interest.
            let jumps = expected.is_some_and(|next| next != chunk.sequence);
            let is_gap = chunk.lost_before > 0 || jumps;
            if !is_gap && !file.may_have(position, &range.events, &range.threads) {
                passed.insert(chunk.cpu, position);
                skipped += 1;
                continue;
            }
            let passed_before = passed.remove(&chunk.cpu);
            list.push(Planned {
                position,
                passed_before,
            });
        }
        planned.values_mut().for_each(|list| list.reverse());
        Self {
            file,
            planned,
            skipped,
        }
    }
}

impl ChunkSource for FileChunks<'_> {
    fn next_chunk(&mut self, cpu: CpuId) -> Option<Result<Chunk, ReadError>> {
        let planned = self.planned.get_mut(&cpu)?.pop()?;
        Some(self.file.read_chunk(planned.position))
    }

    fn first_sequence(&self, cpu: CpuId) -> u64 {
        let places = self.file.part().into_iter().flat_map(|part| &part.cpus);
        let mut own = places.into_iter().filter(|place| place.cpu == cpu.0);
        own.next().map_or(0, |place| place.sequence)
    }

    fn passed_before(&self, cpu: CpuId) -> Option<ChunkInfo> {
        let position = self.planned.get(&cpu)?.last()?.passed_before?;
        self.file.chunks().get(position).copied()
    }

    fn read_passed(&self, passed: &ChunkInfo) -> Option<Chunk> {
        let mut chunks = self.file.chunks().iter();
        self.file
            .read_chunk(chunks.position(|chunk| chunk == passed)?)
            .ok()
    }
}

impl RecordStream for OwnStream<'_> {
    fn next_item(&mut self) -> Result<Option<Item<'_>>, TraceError> {
        Merge::next_item(self)
    }

    fn next_tsc(&mut self) -> Result<Option<u64>, TraceError> {
        Merge::next_tsc(self)
    }

    fn chunks_skipped(&self) -> usize {
        self.chunks.skipped
    }

    fn damage(&self) -> Vec<Finding> {
        Merge::damage(self).iter().map(Finding::of).collect()
    }
}
