//! Finds the blocks of a file from front to back, whatever happened to it.
//!
//! Needed where there is no index: while the recorder still writes, after a kill, a full disk or a flipped bit. What
//! is not a block is skipped up to the next header with a right checksum. Time is in proportion to the file's size.

use crate::block::{BlockHeader, BlockKind, HEADER_BYTES, MAGIC, PREAMBLE_BYTES};
use crate::chunk_info::ChunkHead;
use crate::contents::Contents;
use crate::diagnostic::{Diagnostic, Diagnostics, Fault};
use crate::index::{self, End, Index};

/// An unharmed block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    pub(crate) offset: u64,
    pub(crate) kind: BlockKind,
    pub(crate) payload: &'a [u8],
}

impl<'a> Block<'a> {
    /// The block at `offset`; `Err` says why there is none.
    pub(crate) fn at(bytes: &'a [u8], offset: u64) -> Result<Self, Diagnostic> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|at| bytes.get(at..))
            .unwrap_or(&[]);
        let Some(header) = BlockHeader::decode(rest) else {
            return Err(Diagnostic::BlockHeader { offset });
        };
        let expected = header.block_bytes();
        let payload = usize::try_from(expected)
            .ok()
            .and_then(|end| rest.get(HEADER_BYTES..end));
        let Some(payload) = payload else {
            return Err(Diagnostic::Torn {
                offset,
                present: rest.len() as u64,
                expected,
            });
        };
        let found = crc32fast::hash(payload);
        if found != header.payload_crc32 {
            let expected = header.payload_crc32;
            return Err(Diagnostic::Checksum {
                offset,
                kind: header.kind,
                expected,
                found,
            });
        }
        Ok(Self {
            offset,
            kind: header.kind,
            payload,
        })
    }

    /// The block at `offset`, which must be of that kind.
    pub(crate) fn of_kind(
        bytes: &'a [u8],
        offset: u64,
        kind: BlockKind,
    ) -> Result<Self, Diagnostic> {
        let block = Self::at(bytes, offset)?;
        if block.kind == kind {
            Ok(block)
        } else {
            Err(block.invalid(Fault::Kind))
        }
    }

    /// Says that the block makes no sense.
    pub(crate) fn invalid(&self, fault: Fault) -> Diagnostic {
        Diagnostic::Invalid {
            offset: self.offset,
            kind: self.kind,
            fault,
        }
    }
}

/// Most blocks besides chunks and symbols that are remembered: a file has six.
const OTHERS_MAX: usize = 1000;

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) index: Index,
    /// Kinds and places of all unharmed blocks but chunks and symbols.
    pub(crate) others: Vec<(BlockKind, u64)>,
    /// Places of the blocks that say up to when the file is complete.
    pub(crate) up_to_offsets: Vec<u64>,
    pub(crate) part_offset: Option<u64>,
    pub(crate) trailer_offset: Option<u64>,
    pub(crate) header_copy_offset: Option<u64>,
    pub(crate) diagnostics: Diagnostics,
    pub(crate) index_offset: Option<u64>,
    end_seen: bool,
    /// End of the last whole block.
    end: u64,
}

impl Scan {
    /// Scans a whole file.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut scan = Self {
            end: PREAMBLE_BYTES as u64,
            ..Self::default()
        };
        let mut at = PREAMBLE_BYTES;
        while at < bytes.len() {
            at = scan.step(bytes, at);
        }
        let end = scan.end;
        if !scan.end_seen {
            scan.diagnostics.push(match scan.trailer_offset {
                Some(_) => Diagnostic::IndexMissing { end },
                None => Diagnostic::Unfinished { end },
            });
        }
        scan
    }

    /// Takes the block at `at`, or what is there instead; gives where to go on.
    fn step(&mut self, bytes: &[u8], at: usize) -> usize {
        let offset = at as u64;
        let header = BlockHeader::decode(&bytes[at..]);
        let next =
            header.and_then(|header| usize::try_from(header.block_bytes()).ok()?.checked_add(at));
        match (Block::at(bytes, offset), next) {
            (Ok(block), Some(next)) => {
                self.end = next as u64;
                self.take(&block, next as u64 - offset);
                next
            }
            // The length has a checksum of its own: the block after it is where it says.
            (Err(fault @ Diagnostic::Checksum { kind, .. }), Some(next)) => {
                self.end_seen |= kind == BlockKind::END;
                self.diagnostics.push(fault);
                next
            }
            (Err(fault @ Diagnostic::Torn { .. }), _) => {
                self.diagnostics.push(fault);
                next_header(bytes, at + HEADER_BYTES)
            }
            _ => {
                let next = next_header(bytes, at + 1);
                self.diagnostics.push(Diagnostic::NotABlock {
                    offset,
                    bytes: (next - at) as u64,
                });
                next
            }
        }
    }

    fn take(&mut self, block: &Block<'_>, length: u64) {
        let is_main = matches!(
            block.kind,
            BlockKind::CHUNK | BlockKind::SYMBOLS | BlockKind::UP_TO
        );
        if !is_main && self.others.len() < OTHERS_MAX {
            self.others.push((block.kind, block.offset));
        }
        match block.kind {
            BlockKind::CHUNK => match ChunkHead::decode(block.payload) {
                Some(head) => {
                    self.index.chunks.push(head.info(block.offset, length));
                    self.index.contents.push(Contents::default());
                }
                None => self.diagnostics.push(block.invalid(Fault::Numbers)),
            },
            BlockKind::SYMBOLS => self.index.symbol_offsets.push(block.offset),
            BlockKind::PART => self.part_offset = Some(block.offset),
            BlockKind::TRAILER => self.trailer_offset = Some(block.offset),
            BlockKind::HEADER_COPY => self.header_copy_offset = Some(block.offset),
            BlockKind::INDEX => {
                self.index_offset = Some(block.offset);
                if let Err(fault) = index::read(block, 0) {
                    self.diagnostics.push(fault);
                }
            }
            BlockKind::END => {
                self.end_seen = true;
                if End::decode(block.payload).is_none_or(|end| self.contradicts(end)) {
                    self.diagnostics.push(block.invalid(Fault::Numbers));
                }
            }
            BlockKind::UP_TO => self.up_to_offsets.push(block.offset),
            BlockKind::HEADER => {}
            kind => self.diagnostics.push(Diagnostic::UnknownBlock {
                offset: block.offset,
                kind,
            }),
        }
    }

    /// Whether an unharmed block is elsewhere than the end block says.
    fn contradicts(&self, end: End) -> bool {
        let elsewhere = |found: Option<u64>, told| found.is_some_and(|found| found != told);
        elsewhere(self.trailer_offset, end.trailer_offset)
            || elsewhere(self.header_copy_offset, end.header_copy_offset)
            || elsewhere(self.index_offset, end.index_offset)
    }
}

/// Place of the next block header with a right checksum at or after `from`, or the end.
fn next_header(bytes: &[u8], from: usize) -> usize {
    let mut at = from.min(bytes.len());
    while let Some(skip) = bytes[at..].iter().position(|byte| *byte == MAGIC[0]) {
        at += skip;
        if BlockHeader::decode(&bytes[at..]).is_some() {
            return at;
        }
        at += 1;
    }
    bytes.len()
}
