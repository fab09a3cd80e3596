//! Frames of a trace file: what tells where a block starts, what it is and whether it is whole.
//!
//! A block is a header of [`HEADER_BYTES`] and a payload. The header has a checksum of its own, so its length can be
//! trusted even when the payload is damaged: a flipped bit never costs the blocks after it. The first byte of the
//! magic cannot occur in UTF-8, hence in no text.

use std::fmt;

/// First bytes of every trace file; a transfer that changes line ends or strips bit 7 breaks it.
pub(crate) const FILE_MAGIC: [u8; 8] = *b"\x89GTR\r\n\x1a\n";
/// Version of the format that this crate writes: readers of 1.x read every 1.y.
pub const FORMAT_VERSION: (u16, u16) = (1, 0);
/// Bytes before the first block: magic, major and minor version, checksum of these.
pub(crate) const PREAMBLE_BYTES: usize = 16;
/// First bytes of every block.
pub(crate) const MAGIC: [u8; 4] = [0xF7, b'G', b'T', b'B'];
/// Bytes before a block's payload.
pub(crate) const HEADER_BYTES: usize = 20;

/// What a block holds: four printable characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockKind(pub [u8; 4]);

impl BlockKind {
    /// The header, as compressed JSON; the first block.
    pub const HEADER: Self = Self(*b"HEAD");
    /// What of its recording the file holds, when it is not all; the second block.
    pub const PART: Self = Self(*b"PART");
    /// Records of one CPU.
    pub const CHUNK: Self = Self(*b"CHNK");
    /// Names of the kernel addresses that occur first in the chunks after it.
    pub const SYMBOLS: Self = Self(*b"SYMB");
    /// A TSC that no record of a later chunk is before.
    pub const UP_TO: Self = Self(*b"UPTO");
    /// The trailer, as compressed JSON.
    pub const TRAILER: Self = Self(*b"TRLR");
    /// The header again, for the day the first one is damaged.
    pub const HEADER_COPY: Self = Self(*b"HCPY");
    /// Where the chunks are.
    pub const INDEX: Self = Self(*b"INDX");
    /// Where the index is; the last block.
    pub const END: Self = Self(*b"ENDB");
}

impl fmt::Display for BlockKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for BlockKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BlockKind({self})")
    }
}

/// Header of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub(crate) kind: BlockKind,
    pub(crate) payload_bytes: u32,
    pub(crate) payload_crc32: u32,
}

impl BlockHeader {
    /// Describes `payload`; `None` when it is longer than a block can be.
    pub(crate) fn of(kind: BlockKind, payload: &[u8]) -> Option<Self> {
        let payload_bytes = u32::try_from(payload.len()).ok()?;
        Some(Self {
            kind,
            payload_bytes,
            payload_crc32: crc32fast::hash(payload),
        })
    }

    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.kind.0);
        bytes[8..12].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.payload_crc32.to_le_bytes());
        let crc32 = crc32fast::hash(&bytes[..16]);
        bytes[16..].copy_from_slice(&crc32.to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`, if there is an unharmed one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>()?;
        let whole = bytes[..4] == MAGIC && crc32fast::hash(&bytes[..16]) == u32_at(bytes, 16)?;
        whole.then_some(Self {
            kind: BlockKind(*bytes[4..].first_chunk()?),
            payload_bytes: u32_at(bytes, 8)?,
            payload_crc32: u32_at(bytes, 12)?,
        })
    }

    /// Bytes of header and payload.
    pub(crate) fn block_bytes(self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.payload_bytes)
    }
}

/// Magic and version: the start of the file.
pub(crate) fn preamble() -> [u8; PREAMBLE_BYTES] {
    let mut bytes = [0; PREAMBLE_BYTES];
    bytes[..8].copy_from_slice(&FILE_MAGIC);
    bytes[8..10].copy_from_slice(&FORMAT_VERSION.0.to_le_bytes());
    bytes[10..12].copy_from_slice(&FORMAT_VERSION.1.to_le_bytes());
    let crc32 = crc32fast::hash(&bytes[..12]);
    bytes[12..].copy_from_slice(&crc32.to_le_bytes());
    bytes
}

/// The little-endian number at `offset`.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// The little-endian number at `offset`.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}
