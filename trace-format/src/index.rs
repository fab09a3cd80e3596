//! The index of a complete file, and the end block that says where it is.

use crate::block::{HEADER_BYTES, PREAMBLE_BYTES, u32_at, u64_at};
use crate::chunk_info::{CHUNK_HEAD_BYTES, ChunkHead, ChunkInfo};
use crate::diagnostic::{Diagnostic, Fault};
use crate::packed::unpack;
use crate::recovery::Block;

/// Bytes of one chunk's entry: place and size of the block, and a copy of the chunk's head.
const ENTRY_BYTES: usize = 16 + CHUNK_HEAD_BYTES;
/// Bytes of the end block's payload; fixed, for it is found from the end of the file.
pub(crate) const END_BYTES: usize = 24;
/// Bytes of the smallest chunk.
const CHUNK_BYTES_MIN: u64 = (HEADER_BYTES + CHUNK_HEAD_BYTES) as u64;

/// What an index says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// Places of the blocks of symbols.
    pub(crate) symbol_offsets: Vec<u64>,
    pub(crate) chunks: Vec<ChunkInfo>,
}

/// Most bytes of an index in a file of `file_bytes`: more would describe more chunks than there can be.
pub(crate) fn bytes_max(file_bytes: u64) -> usize {
    // A block of symbols is no smaller, and has a smaller entry.
    let blocks = file_bytes / (HEADER_BYTES + 16) as u64;
    usize::try_from(4 + blocks.saturating_mul(ENTRY_BYTES as u64)).unwrap_or(usize::MAX)
}

/// Appends the entry of a chunk.
pub(crate) fn push_entry(out: &mut Vec<u8>, offset: u64, length: u64, head: &ChunkHead) {
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&head.encode());
}

/// Unpacks and decodes an index.
pub(crate) fn read(block: &Block<'_>) -> Result<Index, Diagnostic> {
    let content = unpack(block.payload, bytes_max(block.offset));
    let content = content.map_err(|fault| block.invalid(fault))?;
    decode(&content, block.offset).ok_or_else(|| block.invalid(Fault::Numbers))
}

/// The content of an index block.
pub(crate) fn encode(symbol_offsets: &[u64], entries: &[u8]) -> Vec<u8> {
    let count = u32::try_from(symbol_offsets.len()).unwrap_or(u32::MAX);
    let mut bytes = count.to_le_bytes().to_vec();
    for offset in symbol_offsets {
        bytes.extend_from_slice(&offset.to_le_bytes());
    }
    bytes.extend_from_slice(entries);
    bytes
}

/// Decodes an index; `None` when it does not describe chunks one after the other within the first `end` bytes.
///
/// Chunks that overlapped would let a small file ask for endless work.
pub(crate) fn decode(bytes: &[u8], end: u64) -> Option<Index> {
    let symbol_bytes = usize::try_from(u32_at(bytes, 0)?).ok()?.checked_mul(8)?;
    let (symbols, bytes) = bytes.get(4..)?.split_at_checked(symbol_bytes)?;
    let symbol_offsets: Vec<u64> = symbols
        .chunks_exact(8)
        .filter_map(|offset| u64_at(offset, 0))
        .collect();
    if !symbol_offsets.is_sorted_by(|a, b| a < b) || !bytes.len().is_multiple_of(ENTRY_BYTES) {
        return None;
    }
    let mut free = PREAMBLE_BYTES as u64;
    let mut chunks = Vec::with_capacity(bytes.len() / ENTRY_BYTES);
    for entry in bytes.chunks_exact(ENTRY_BYTES) {
        let (offset, length) = (u64_at(entry, 0)?, u64_at(entry, 8)?);
        let next = offset.checked_add(length)?;
        if offset < free || next > end || length < CHUNK_BYTES_MIN {
            return None;
        }
        free = next;
        chunks.push(ChunkHead::decode(&entry[16..])?.info(offset, length));
    }
    Some(Index {
        symbol_offsets,
        chunks,
    })
}

/// Where the end block says that the other last blocks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) trailer_offset: u64,
    pub(crate) header_copy_offset: u64,
    pub(crate) index_offset: u64,
}

impl End {
    pub(crate) fn encode(self) -> [u8; END_BYTES] {
        let mut bytes = [0; END_BYTES];
        bytes[..8].copy_from_slice(&self.trailer_offset.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.header_copy_offset.to_le_bytes());
        bytes[16..].copy_from_slice(&self.index_offset.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        (payload.len() == END_BYTES).then_some(Self {
            trailer_offset: u64_at(payload, 0)?,
            header_copy_offset: u64_at(payload, 8)?,
            index_offset: u64_at(payload, 16)?,
        })
    }
}
