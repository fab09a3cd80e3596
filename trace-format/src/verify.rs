//! Everything that can be wrong with a file: every checksum, and whatever it says twice or must not say.

use std::collections::BTreeMap;

use crate::block::{BlockKind, PREAMBLE_BYTES};
use crate::chunk_info::ChunkInfo;
use crate::contents::{Carried, StickyFields, of_chunk};
use crate::diagnostic::{Diagnostic, Diagnostics, Fault};
use crate::index;
use crate::reader::{ReadError, TraceFile};
use crate::recovery::{Block, Scan};
use crate::stats::Counter;
use crate::tail;
use crate::volume::{Volume, unpack_json};

impl TraceFile {
    /// Reads every file of the trace through and says everything that is wrong; empty for a whole, unharmed trace.
    #[must_use]
    pub fn verify(&self) -> Vec<Diagnostic> {
        let mut found = Diagnostics::default();
        for volume in &self.volumes {
            for finding in volume.verify() {
                found.push_new(finding.in_file(volume.number()));
            }
        }
        self.diagnostics
            .iter()
            .for_each(|finding| found.push_new(finding.clone()));
        self.verify_chunks(&mut found);
        found.into_list()
    }

    /// Decodes every chunk, and compares it with the index and with the chunk of its CPU before it.
    fn verify_chunks(&self, found: &mut Diagnostics) {
        let sticky = StickyFields::of(&self.header().schema);
        let mut carried: BTreeMap<u32, Carried> = BTreeMap::new();
        let mut last: BTreeMap<u32, u64> = BTreeMap::new();
        let mut next: BTreeMap<u32, u64> = BTreeMap::new();
        for (index, info) in self.chunks().iter().enumerate() {
            let (cpu, offset) = (info.cpu, info.offset);
            let before = last.insert(cpu, info.last_tsc);
            if before.is_some_and(|before| before > info.first_tsc) {
                found.push_new(Diagnostic::Backwards { cpu, offset }.in_file(info.file));
            }
            let chunk = match self.read_chunk(index) {
                Ok(chunk) => chunk,
                Err(error) => {
                    if let ReadError::Damaged(fault) = error {
                        found.push_new(fault);
                    }
                    continue;
                }
            };
            // Behind a chunk that is missing it is not known what was true when this one began.
            if next.insert(cpu, info.sequence.wrapping_add(1)) != Some(info.sequence) {
                carried.remove(&cpu);
            }
            let contents = of_chunk(&chunk, &sticky, carried.entry(cpu).or_default());
            let is_listed = self.index.contents.get(index);
            let repeated = chunk.records().take(info.sticky_count as usize);
            let is_sticky = |record: crate::RecordRef<'_>| sticky.0.contains_key(&record.event());
            let faults = [
                (
                    is_listed.is_some_and(|listed| !listed.covers(&contents)),
                    Fault::Contents,
                ),
                (!repeated.into_iter().all(is_sticky), Fault::Repetition),
            ];
            for (_, fault) in faults.into_iter().filter(|(is_wrong, _)| *is_wrong) {
                let kind = BlockKind::CHUNK;
                let finding = Diagnostic::Invalid {
                    offset,
                    kind,
                    fault,
                };
                found.push_new(finding.in_file(info.file));
            }
        }
    }
}

impl Volume {
    /// Checks what concerns the file alone, but not what is in its chunks.
    fn verify(&self) -> Vec<Diagnostic> {
        let scan = Scan::of(&self.bytes);
        let mut found: Vec<Diagnostic> = Vec::new();
        let is_whole = scan.diagnostics.is_empty();
        if is_whole {
            found.extend(order(&scan));
            found.extend(self.verify_up_to(&scan));
            found.extend(self.verify_copies(&scan));
            found.extend(self.verify_index(&scan));
        }
        // Without some of its chunks a file counts wrong in any case.
        if is_whole && found.is_empty() {
            found.extend(self.verify_counts(&scan.index.chunks));
        }
        let mut list = scan.diagnostics.into_list();
        list.append(&mut found);
        list
    }

    /// Finds chunks that are earlier than what the file said before them to be complete.
    fn verify_up_to(&self, scan: &Scan) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mut up_to = 0;
        let mut offsets = scan.up_to_offsets.iter().copied().peekable();
        for chunk in &scan.index.chunks {
            while let Some(offset) = offsets.next_if(|offset| *offset < chunk.offset) {
                let block = Block::of_kind(&self.bytes, offset, BlockKind::UP_TO);
                let told = block.and_then(|block| {
                    let told = tail::up_to(block.payload, self.recording);
                    told.map_err(|fault| block.invalid(fault))
                });
                match told {
                    Ok(tsc) => up_to = up_to.max(tsc),
                    Err(fault) => found.push(fault),
                }
            }
            if chunk.record_count > 0 && chunk.first_tsc < up_to {
                let (offset, kind) = (chunk.offset, BlockKind::CHUNK);
                let fault = Fault::Late;
                found.push(Diagnostic::Invalid {
                    offset,
                    kind,
                    fault,
                });
            }
        }
        found
    }

    /// Compares the index with the blocks that there are.
    fn verify_index(&self, scan: &Scan) -> Option<Diagnostic> {
        let offset = scan.index_offset?;
        let block = Block::of_kind(&self.bytes, offset, BlockKind::INDEX).ok()?;
        let listed = match index::read(&block, self.recording) {
            Ok(listed) => listed,
            Err(fault) => return Some(fault),
        };
        let of_index = |chunk: &ChunkInfo| ChunkInfo {
            recording: self.recording,
            ..*chunk
        };
        let chunks: Vec<ChunkInfo> = scan.index.chunks.iter().map(of_index).collect();
        let is_same = listed.chunks == chunks && listed.symbol_offsets == scan.index.symbol_offsets;
        (!is_same).then(|| block.invalid(Fault::Index))
    }

    /// Compares what is written twice, byte for byte.
    fn verify_copies(&self, scan: &Scan) -> Vec<Diagnostic> {
        let json = |offset: u64, kind| {
            let block = Block::of_kind(&self.bytes, offset, kind)?;
            unpack_json(&block)
        };
        let mut found = Vec::new();
        let head = json(PREAMBLE_BYTES as u64, BlockKind::HEADER);
        let copy = scan.header_copy_offset;
        if let (Ok(head), Some(offset)) = (head, copy) {
            let kind = BlockKind::HEADER_COPY;
            match json(offset, kind) {
                Ok(copy) if copy == head => {}
                Ok(_) => found.push(Diagnostic::Invalid {
                    offset,
                    kind,
                    fault: Fault::Copy,
                }),
                Err(fault) => found.push(fault),
            }
        }
        if let (Some(trailer), Some(offset)) = (&self.trailer, scan.trailer_offset)
            && trailer.part != self.part
        {
            let (kind, fault) = (BlockKind::TRAILER, Fault::Copy);
            found.push(Diagnostic::Invalid {
                offset,
                kind,
                fault,
            });
        }
        found
    }

    /// Compares the trailer's counts with the chunks.
    fn verify_counts(&self, chunks: &[ChunkInfo]) -> Vec<Diagnostic> {
        let Some(trailer) = &self.trailer else {
            return Vec::new();
        };
        let told = |counter| trailer.stats.get(counter);
        let records: u64 = chunks
            .iter()
            .map(|chunk| u64::from(chunk.own_count()))
            .sum();
        let lost = chunks
            .iter()
            .fold(0u64, |lost, chunk| lost.saturating_add(chunk.lost_before));
        let lost_told =
            told(Counter::RecordsLost).saturating_add(told(Counter::RecordsOverwritten));
        let written = Counter::RecordsWritten;
        let mut found = Vec::new();
        if told(written) == 0 {
            // Whoever wrote it counted nothing.
            return found;
        }
        if told(written) != records {
            found.push(Diagnostic::Count {
                counter: written.name(),
                told: told(written),
                found: records,
            });
        }
        // Only the last of several files counts what was lost in all.
        let is_last_of_one = trailer.end_reason != crate::END_CONTINUED;
        if is_last_of_one && lost_told < lost {
            found.push(Diagnostic::Count {
                counter: Counter::RecordsLost.name(),
                told: lost_told,
                found: lost,
            });
        }
        found
    }
}

/// Blocks that are not where the contract has them.
fn order(scan: &Scan) -> Option<Diagnostic> {
    let rank = |kind| match kind {
        BlockKind::HEADER => 0,
        BlockKind::PART => 1,
        BlockKind::TRAILER => 3,
        BlockKind::HEADER_COPY => 4,
        BlockKind::INDEX => 5,
        BlockKind::END => 6,
        _ => 2,
    };
    let chunks = scan.index.chunks.iter().map(|chunk| chunk.offset);
    let main = chunks.chain(scan.index.symbol_offsets.iter().copied());
    let main = main.map(|offset| (BlockKind::CHUNK, offset));
    let mut all: Vec<(BlockKind, u64)> = main.chain(scan.others.iter().copied()).collect();
    all.sort_by_key(|(_, offset)| *offset);
    let mut pairs = all.iter().zip(all.iter().skip(1));
    let wrong = pairs.find(|((before, _), (after, _))| {
        rank(*before) > rank(*after) || (rank(*before) == rank(*after) && rank(*after) != 2)
    });
    wrong.map(|(_, (kind, offset))| Diagnostic::Order {
        offset: *offset,
        kind: *kind,
    })
}
