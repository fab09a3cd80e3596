//! The index of a complete file, and the end block that says where it is.

use crate::block::{HEADER_BYTES, PREAMBLE_BYTES, u64_at};
use crate::chunk_info::{CHUNK_HEAD_BYTES, ChunkHead, ChunkInfo};

/// Bytes of one chunk's entry: place and size of the block, and a copy of the chunk's head.
const ENTRY_BYTES: usize = 16 + CHUNK_HEAD_BYTES;
/// Bytes of the end block's payload; fixed, for it is found from the end of the file.
pub(crate) const END_BYTES: usize = 24;
/// Bytes of the smallest chunk.
const CHUNK_BYTES_MIN: u64 = (HEADER_BYTES + CHUNK_HEAD_BYTES) as u64;

/// Appends the entry of a chunk.
pub(crate) fn push_entry(out: &mut Vec<u8>, offset: u64, length: u64, head: &ChunkHead) {
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&head.encode());
}

/// Decodes an index; `None` when it does not describe chunks one after the other within the first `end` bytes.
///
/// Chunks that overlapped would let a small file ask for endless work.
pub(crate) fn decode(bytes: &[u8], end: u64) -> Option<Vec<ChunkInfo>> {
    if !bytes.len().is_multiple_of(ENTRY_BYTES) {
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
    Some(chunks)
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
