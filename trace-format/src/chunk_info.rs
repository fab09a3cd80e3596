//! What is known of a chunk without decoding it: the start of its payload, and the reader's view of that.

use crate::block::{u32_at, u64_at};

/// A CPU's number is below this, the most that any distribution builds its kernel for: readers keep something for each.
pub(crate) const CPU_COUNT_MAX: u32 = 8192;

/// Bytes of a chunk's payload before its compressed columns.
pub(crate) const CHUNK_HEAD_BYTES: usize = 52;

/// What is known of a chunk without decoding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkInfo {
    /// CPU on which the records happened.
    pub cpu: u32,
    /// Position among the chunks of that CPU.
    pub sequence: u64,
    /// TSC of the first record.
    pub first_tsc: u64,
    /// TSC of the last record.
    pub last_tsc: u64,
    /// Number of records.
    pub record_count: u32,
    /// Of these, the first so many only repeat the CPU's latest sticky events.
    pub sticky_count: u32,
    /// Records of that CPU that were dropped just before the first.
    pub lost_before: u64,
    /// Identity of the recording that it belongs to.
    pub recording: u32,
    /// Number of the file that it is in, of a recording in several; otherwise 0.
    pub file: u32,
    /// Place of the block in that file.
    pub offset: u64,
    /// Bytes of the block.
    pub length: u64,
}

impl ChunkInfo {
    /// Number of its records that are no repetitions.
    #[must_use]
    pub fn own_count(&self) -> u32 {
        self.record_count.saturating_sub(self.sticky_count)
    }
}

/// The start of a chunk's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkHead {
    pub(crate) cpu: u32,
    pub(crate) record_count: u32,
    pub(crate) sequence: u64,
    pub(crate) first_tsc: u64,
    pub(crate) last_tsc: u64,
    pub(crate) lost_before: u64,
    pub(crate) sticky_count: u32,
    pub(crate) column_bytes: u32,
    /// Of the recording that it belongs to: [`crate::Header::recording_id`].
    pub(crate) recording: u32,
}

impl ChunkHead {
    pub(crate) fn encode(&self) -> [u8; CHUNK_HEAD_BYTES] {
        let mut bytes = [0; CHUNK_HEAD_BYTES];
        bytes[..4].copy_from_slice(&self.cpu.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.record_count.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_tsc.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.last_tsc.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.lost_before.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.sticky_count.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.column_bytes.to_le_bytes());
        bytes[48..].copy_from_slice(&self.recording.to_le_bytes());
        bytes
    }

    /// The head at the start of a chunk's payload; `None` when it is cut or contradicts itself.
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let head = Self {
            cpu: u32_at(payload, 0)?,
            record_count: u32_at(payload, 4)?,
            sequence: u64_at(payload, 8)?,
            first_tsc: u64_at(payload, 16)?,
            last_tsc: u64_at(payload, 24)?,
            lost_before: u64_at(payload, 32)?,
            sticky_count: u32_at(payload, 40)?,
            column_bytes: u32_at(payload, 44)?,
            recording: u32_at(payload, 48)?,
        };
        let is_sound = head.cpu < CPU_COUNT_MAX
            && head.first_tsc <= head.last_tsc
            && head.sticky_count <= head.record_count;
        is_sound.then_some(head)
    }

    pub(crate) fn info(&self, offset: u64, length: u64) -> ChunkInfo {
        ChunkInfo {
            cpu: self.cpu,
            sequence: self.sequence,
            first_tsc: self.first_tsc,
            last_tsc: self.last_tsc,
            record_count: self.record_count,
            sticky_count: self.sticky_count,
            lost_before: self.lost_before,
            recording: self.recording,
            file: 0,
            offset,
            length,
        }
    }
}
