//! Reads a trace as it arrives: from a file that grows, a pipe or a socket, front to back, without an index.
//!
//! Memory is bounded by the longest block that has to be looked at; what is of no use on the way is passed over.
//! What is damaged is told and left out, as [`crate::TraceFile`] does; where the next block begins cannot be told when
//! the header of one is damaged, and there reading ends.

use std::collections::BTreeMap;

use crate::block::{BlockHeader, BlockKind, HEADER_BYTES, PREAMBLE_BYTES, u32_at, u64_at};
use crate::chunk::Chunk;
use crate::chunk_info::{CHUNK_HEAD_BYTES, ChunkHead, ChunkInfo};
use crate::columns::COLUMN_BYTES_MAX;
use crate::diagnostic::{Diagnostic, Fault};
use crate::header::{Header, Trailer};
use crate::reader::ReadError;
use crate::recovery::Block;
use crate::schema::Schema;
use crate::symbols::{Gathered, SymbolTable};
use crate::volume::{check_preamble, decode_chunk, parse_header, parse_json, unpack_json};
use crate::writer::JSON_BYTES_MAX;

/// What arrived.
#[derive(Debug)]
#[non_exhaustive]
pub enum Part {
    /// The header; first, and once.
    Header(Box<Header>),
    /// Records of one CPU.
    Chunk(PackedChunk),
    /// More names of kernel addresses: [`Tail::symbols`] has them.
    Symbols,
    /// No record that is still to come is before this TSC.
    UpTo(u64),
    /// What the recorder said in the end.
    Trailer(Box<Trailer>),
    /// The last block: the trace is complete.
    End,
    /// Something that cannot be used, and is left out.
    Damage(Diagnostic),
}

/// A chunk, not decoded yet.
#[derive(Debug)]
pub struct PackedChunk {
    info: ChunkInfo,
    payload: Vec<u8>,
}

impl PackedChunk {
    /// What is known of it; its place is that in the stream.
    #[must_use]
    pub fn info(&self) -> &ChunkInfo {
        &self.info
    }

    /// Bytes of memory that it needs, about.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.payload.len() + size_of::<Self>()
    }

    /// Decodes it.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when it makes no sense.
    pub fn decode(&self, schema: &Schema) -> Result<Chunk, ReadError> {
        let block = Block {
            offset: self.info.offset,
            kind: BlockKind::CHUNK,
            payload: &self.payload,
        };
        Ok(decode_chunk(&block, self.info, schema)?)
    }
}

/// A trace that arrives.
#[derive(Debug, Default)]
pub struct Tail {
    /// What arrived and was not looked at yet begins at `start`.
    bytes: Vec<u8>,
    start: usize,
    /// Place of `start` in the stream.
    offset: u64,
    /// Bytes that are still to be passed over.
    skip: u64,
    recording: Option<u32>,
    /// The recording that this file has to go on with.
    continued: Option<u32>,
    /// By CPU.
    next_sequences: BTreeMap<u32, u64>,
    up_to: u64,
    gathered: Gathered,
    has_preamble: bool,
    has_ended: bool,
}

impl Tail {
    /// Nothing arrived yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what came next of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether the trace arrived whole. What comes behind its last block is of no meaning.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Place up to which everything was looked at: the end of the last whole block.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the header arrived.
    #[must_use]
    pub fn has_header(&self) -> bool {
        self.recording.is_some()
    }

    /// Names of the kernel addresses in the chunks so far.
    #[must_use]
    pub fn symbols(&self) -> SymbolTable {
        self.gathered.clone().finish()
    }

    /// Goes on with the next file of the recording, whose start is what is fed next.
    pub fn next_file(&mut self) {
        *self = Self {
            continued: self.recording.or(self.continued),
            next_sequences: std::mem::take(&mut self.next_sequences),
            up_to: self.up_to,
            gathered: std::mem::take(&mut self.gathered),
            ..Self::default()
        };
    }

    /// The next part; `None` when more has to arrive first, or the trace has ended.
    ///
    /// # Errors
    /// When this is no trace, or it cannot be told where its next block begins. Nothing more can be read then.
    pub fn next_part(&mut self) -> Result<Option<Part>, ReadError> {
        while !self.has_ended {
            if !self.pass_over() || !self.take_preamble()? {
                return Ok(None);
            }
            let rest = &self.bytes[self.start..];
            let Some(head) = rest.get(..HEADER_BYTES) else {
                return Ok(None);
            };
            let offset = self.offset;
            let header = BlockHeader::decode(head).ok_or(Diagnostic::BlockHeader { offset })?;
            let Some(payload_max) = self.payload_max(header.kind) else {
                self.skip = header.block_bytes();
                continue;
            };
            let payload_bytes = header.payload_bytes as usize;
            if payload_bytes > payload_max {
                self.skip = header.block_bytes();
                return self.refuse(header.kind, too_large(payload_bytes, payload_max));
            }
            let length = HEADER_BYTES + payload_bytes;
            if rest.len() < length {
                return Ok(None);
            }
            let part = self.take_block(length);
            self.start += length;
            self.offset += length as u64;
            if let Some(part) = part? {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }

    /// Leaves out what is of no use; whether all of that arrived.
    fn pass_over(&mut self) -> bool {
        let here = self.bytes.len() - self.start;
        let passed = usize::try_from(self.skip).map_or(here, |skip| skip.min(here));
        self.start += passed;
        self.offset += passed as u64;
        self.skip -= passed as u64;
        self.skip == 0
    }

    /// The start of the file; whether it arrived.
    fn take_preamble(&mut self) -> Result<bool, ReadError> {
        if self.has_preamble {
            return Ok(true);
        }
        let Some(preamble) = self.bytes.get(..PREAMBLE_BYTES) else {
            return Ok(false);
        };
        check_preamble(preamble)?;
        self.has_preamble = true;
        self.start += PREAMBLE_BYTES;
        self.offset += PREAMBLE_BYTES as u64;
        Ok(true)
    }

    /// Longest payload of a kind of block that is of use; `None` for others.
    fn payload_max(&self, kind: BlockKind) -> Option<usize> {
        let packed = |content| 4 + zstd::zstd_safe::compress_bound(content);
        match kind {
            // Only the first block can be the header.
            BlockKind::HEADER if self.recording.is_none() => Some(packed(JSON_BYTES_MAX)),
            _ if self.recording.is_none() => Some(0),
            BlockKind::CHUNK => {
                Some(CHUNK_HEAD_BYTES + zstd::zstd_safe::compress_bound(COLUMN_BYTES_MAX))
            }
            BlockKind::SYMBOLS | BlockKind::TRAILER => Some(packed(JSON_BYTES_MAX)),
            BlockKind::UP_TO | BlockKind::END => Some(64),
            _ => None,
        }
    }

    /// Looks at a block that arrived whole: the next `length` bytes.
    fn take_block(&mut self, length: usize) -> Result<Option<Part>, ReadError> {
        let bytes = &self.bytes[self.start..self.start + length];
        let block = Block::at(bytes, 0).map(|block| Block {
            offset: self.offset,
            ..block
        });
        let block = match block {
            Ok(block) => block,
            Err(fault) if self.recording.is_none() => return Err(moved(fault, self.offset).into()),
            Err(fault) => return Ok(Some(Part::Damage(moved(fault, self.offset)))),
        };
        let Some(recording) = self.recording else {
            let (header, recording) = parse_header(&block)?;
            if self
                .continued
                .is_some_and(|continued| continued != recording)
            {
                return Err(block.invalid(Fault::Foreign).into());
            }
            self.recording = Some(recording);
            return Ok(Some(Part::Header(Box::new(header))));
        };
        let part = match block.kind {
            BlockKind::CHUNK => {
                let checked = check_chunk(&block, recording, &self.next_sequences, self.up_to);
                checked.map(|info| {
                    let next = info.sequence.saturating_add(1);
                    self.next_sequences.insert(info.cpu, next);
                    let payload = block.payload.to_vec();
                    Some(Part::Chunk(PackedChunk { info, payload }))
                })
            }
            BlockKind::SYMBOLS => {
                let added = self.gathered.add(block.payload, recording);
                added.map(|()| Some(Part::Symbols))
            }
            BlockKind::UP_TO => up_to(block.payload, recording).map(|tsc| {
                self.up_to = self.up_to.max(tsc);
                Some(Part::UpTo(self.up_to))
            }),
            BlockKind::TRAILER => {
                let trailer = unpack_json(&block).and_then(|json| parse_json(&block, &json));
                return Ok(Some(match trailer {
                    Ok(trailer) => Part::Trailer(Box::new(trailer)),
                    Err(fault) => Part::Damage(fault),
                }));
            }
            BlockKind::END => {
                self.has_ended = true;
                Ok(Some(Part::End))
            }
            _ => Ok(None),
        };
        Ok(part.unwrap_or_else(|fault| Some(Part::Damage(block.invalid(fault)))))
    }

    /// A block that is left out unread; without a header nothing can be read.
    fn refuse(&self, kind: BlockKind, fault: Fault) -> Result<Option<Part>, ReadError> {
        let offset = self.offset;
        let fault = if self.recording.is_none() && kind != BlockKind::HEADER {
            Fault::Kind
        } else {
            fault
        };
        let damage = Diagnostic::Invalid {
            offset,
            kind,
            fault,
        };
        if self.recording.is_none() {
            return Err(damage.into());
        }
        Ok(Some(Part::Damage(damage)))
    }
}

/// What a chunk says of itself, if it has a place here.
fn check_chunk(
    block: &Block<'_>,
    recording: u32,
    next_sequences: &BTreeMap<u32, u64>,
    up_to: u64,
) -> Result<ChunkInfo, Fault> {
    let head = ChunkHead::decode(block.payload).ok_or(Fault::Numbers)?;
    if head.recording != recording {
        return Err(Fault::Foreign);
    }
    let next = next_sequences.get(&head.cpu).copied().unwrap_or(0);
    if head.sequence < next {
        return Err(Fault::Sequence);
    }
    if head.record_count > 0 && head.first_tsc < up_to {
        return Err(Fault::Late);
    }
    let length = (HEADER_BYTES + block.payload.len()) as u64;
    Ok(head.info(block.offset, length))
}

/// Before which TSC no later chunk has a record, by the payload of such a block.
pub(crate) fn up_to(payload: &[u8], recording: u32) -> Result<u64, Fault> {
    if u32_at(payload, 0).ok_or(Fault::Numbers)? != recording {
        return Err(Fault::Foreign);
    }
    u64_at(payload, 4).ok_or(Fault::Numbers)
}

/// A finding about the only block in some bytes, as one about the block at `offset`.
fn moved(fault: Diagnostic, offset: u64) -> Diagnostic {
    match fault {
        Diagnostic::Checksum {
            kind,
            expected,
            found,
            ..
        } => Diagnostic::Checksum {
            offset,
            kind,
            expected,
            found,
        },
        other => other,
    }
}

fn too_large(bytes: usize, max: usize) -> Fault {
    Fault::TooLarge {
        bytes: bytes as u64,
        max: max as u64,
    }
}
