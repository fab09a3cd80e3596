//! Our own trace files: chunks are found by the index and read when their time comes.

use std::collections::BTreeMap;

use trace_format::{Chunk, Diagnostic, ReadError, TraceFile};

use super::clock::Clock;
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
    /// By CPU the positions of its chunks in the file, the next one last.
    positions: BTreeMap<CpuId, Vec<usize>>,
}

impl<'f> OwnStream<'f> {
    /// Reads `file` within `range`.
    pub(super) fn open(
        file: &'f TraceFile,
        clock: Clock,
        range: &Range,
    ) -> Result<Self, TraceError> {
        let mut positions: BTreeMap<CpuId, Vec<usize>> = BTreeMap::new();
        for (index, chunk) in file.chunks().iter().enumerate().rev() {
            let cpu = CpuId(chunk.cpu);
            let wanted = range.cpus.is_empty() || range.cpus.contains(&cpu);
            let in_time =
                chunk.last_tsc >= *range.tscs.start() && chunk.first_tsc <= *range.tscs.end();
            if wanted && in_time {
                positions.entry(cpu).or_default().push(index);
            }
        }
        let cpus: Vec<CpuId> = positions.keys().copied().collect();
        let chunks = FileChunks { file, positions };
        Merge::new(chunks, cpus, &file.header().schema, clock, &range.tscs)
    }
}

impl ChunkSource for FileChunks<'_> {
    fn next_chunk(&mut self, cpu: CpuId) -> Option<Result<Chunk, ReadError>> {
        let position = self.positions.get_mut(&cpu)?.pop()?;
        Some(self.file.read_chunk(position))
    }
}

impl RecordStream for OwnStream<'_> {
    fn next_item(&mut self) -> Result<Option<Item<'_>>, TraceError> {
        Merge::next_item(self)
    }

    fn damage(&self) -> &[Diagnostic] {
        Merge::damage(self)
    }
}
