//! Plain records: what the recorder appends while the guest runs and the writer turns into columns.
//!
//! A record is little-endian, without padding:
//!
//! | bytes | meaning |
//! |---|---|
//! | 4 | stamp, as a difference from the buffer's first stamp |
//! | 2 | event id |
//! | 2 | length of the whole record |
//! | 4 | mask of missing fields: bit `i` says that field `i` could not be fetched |
//! | 8 each, or 2 + n | fields in order: a number, or a length and that many bytes |
//!
//! A missing number is stored as 0, missing bytes as length 0.
//! Invariant: a buffer holds whole records only; one that does not fit leaves no trace of itself.
//! Stamps are in the recorder's own unit; the writer is given the function that turns them into guest TSC.
//! Budget of the hot path: no allocation, no system call; one bounds check for each field.

use crate::schema::{EventId, FIELDS_MAX};

/// Bytes before the first field.
pub const RECORD_HEADER_BYTES: usize = 12;
/// Longest record: what the length field can say.
pub const RECORD_BYTES_MAX: usize = u16::MAX as usize;
/// Longest run of bytes in one field.
pub const FIELD_BYTES_MAX: usize = 2000;
/// Largest buffer: what bounds the memory that a reader of a chunk needs.
pub const BUFFER_BYTES_MAX: usize = 16 << 20;

const _: () = assert!(FIELDS_MAX <= u32::BITS as usize);
// So an encoder never runs out of room half-way through a record.
const _: () = assert!(RECORD_HEADER_BYTES + FIELDS_MAX * (2 + FIELD_BYTES_MAX) <= RECORD_BYTES_MAX);

/// Why a record was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferFull {
    /// There may not be room for another record.
    Space,
    /// The stamp is more than `u32::MAX` after the buffer's first, or before it.
    Stamp,
}

/// One of a CPU's two buffers.
#[derive(Debug)]
pub struct RecordBuffer {
    bytes: Box<[u8]>,
    used_bytes: usize,
    record_count: u32,
    first_stamp: u64,
    last_stamp: u64,
    repeated_count: u32,
    last_start: usize,
    /// Records dropped on this CPU just before this buffer's first.
    pub lost_before: u64,
}

impl RecordBuffer {
    /// Makes an empty buffer of `capacity_bytes`.
    ///
    /// At least two of the longest records, at most [`BUFFER_BYTES_MAX`].
    #[must_use]
    pub fn new(capacity_bytes: usize) -> Self {
        let capacity_bytes = capacity_bytes.clamp(2 * RECORD_BYTES_MAX, BUFFER_BYTES_MAX);
        Self {
            bytes: vec![0; capacity_bytes].into_boxed_slice(),
            used_bytes: 0,
            record_count: 0,
            first_stamp: 0,
            last_stamp: 0,
            repeated_count: 0,
            last_start: 0,
            lost_before: 0,
        }
    }

    /// Forgets every record.
    pub fn clear(&mut self) {
        self.used_bytes = 0;
        self.record_count = 0;
        self.repeated_count = 0;
        self.lost_before = 0;
    }

    /// Number of whole records.
    #[must_use]
    pub fn record_count(&self) -> u32 {
        self.record_count
    }

    /// Stamp of the first record.
    #[must_use]
    pub fn first_stamp(&self) -> u64 {
        self.first_stamp
    }

    /// Stamp of the last record.
    #[must_use]
    pub fn last_stamp(&self) -> u64 {
        self.last_stamp
    }

    /// Starts a record. Nothing is kept of it until [`RecordEncoder::finish`].
    ///
    /// # Errors
    /// [`BufferFull`] when the longest possible record would not fit, or the stamp cannot be expressed.
    #[inline]
    pub fn begin(&mut self, stamp: u64, event: EventId) -> Result<RecordEncoder<'_>, BufferFull> {
        if self.bytes.len() - self.used_bytes < RECORD_BYTES_MAX {
            return Err(BufferFull::Space);
        }
        if self.record_count == 0 {
            self.first_stamp = stamp;
        }
        let delta = stamp
            .checked_sub(self.first_stamp)
            .ok_or(BufferFull::Stamp)?;
        let delta = u32::try_from(delta).or(Err(BufferFull::Stamp))?;
        let start = self.used_bytes;
        self.bytes[start..start + 4].copy_from_slice(&delta.to_le_bytes());
        self.bytes[start + 4..start + 6].copy_from_slice(&event.0.to_le_bytes());
        Ok(RecordEncoder {
            end: start + RECORD_HEADER_BYTES,
            missing: 0,
            field_index: 0,
            stamp,
            buffer: self,
        })
    }

    /// Number of leading records that repeat a sticky event of an earlier buffer.
    #[must_use]
    pub fn repeated_count(&self) -> u32 {
        self.repeated_count
    }

    /// Appends a copy of an earlier record; only before the buffer's first own record.
    ///
    /// # Errors
    /// As [`RecordBuffer::begin`].
    pub fn repeat(&mut self, stamp: u64, record: &Record<'_>) -> Result<(), BufferFull> {
        debug_assert_eq!(
            self.record_count, self.repeated_count,
            "repetitions come first"
        );
        self.append(stamp, record)?;
        self.repeated_count += 1;
        Ok(())
    }

    /// Appends a copy of a record that another buffer holds.
    ///
    /// # Errors
    /// As [`RecordBuffer::begin`].
    #[inline]
    pub fn append(&mut self, stamp: u64, record: &Record<'_>) -> Result<(), BufferFull> {
        let mut encoder = self.begin(stamp, record.event)?;
        encoder.missing = record.missing;
        encoder.buffer.bytes[encoder.end..encoder.end + record.payload.len()]
            .copy_from_slice(record.payload);
        encoder.end += record.payload.len();
        encoder.finish();
        Ok(())
    }

    /// The newest record.
    #[must_use]
    pub fn last_record(&self) -> Option<Record<'_>> {
        let bytes = self.bytes.get(self.last_start..self.used_bytes)?;
        Records {
            bytes,
            first_stamp: self.first_stamp,
        }
        .next()
    }

    /// The records, oldest first.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records {
            bytes: &self.bytes[..self.used_bytes],
            first_stamp: self.first_stamp,
        }
    }
}

/// A record being written.
#[derive(Debug)]
pub struct RecordEncoder<'a> {
    buffer: &'a mut RecordBuffer,
    end: usize,
    stamp: u64,
    missing: u32,
    field_index: usize,
}

impl RecordEncoder<'_> {
    /// Appends a number; a field beyond [`FIELDS_MAX`] is dropped.
    #[inline]
    pub fn push_number(&mut self, value: u64) {
        if self.field_index >= FIELDS_MAX {
            return;
        }
        self.field_index += 1;
        self.buffer.bytes[self.end..self.end + 8].copy_from_slice(&value.to_le_bytes());
        self.end += 8;
    }

    /// Appends a number that could not be fetched.
    #[inline]
    pub fn push_missing_number(&mut self) {
        self.mark_missing();
        self.push_number(0);
    }

    /// Appends a run of bytes; what is beyond [`FIELD_BYTES_MAX`] is cut, a field beyond [`FIELDS_MAX`] dropped.
    #[inline]
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        if self.field_index >= FIELDS_MAX {
            return;
        }
        let bytes = &bytes[..bytes.len().min(FIELD_BYTES_MAX)];
        let length = u16::try_from(bytes.len()).expect("FIELD_BYTES_MAX fits 16 bits");
        self.field_index += 1;
        self.buffer.bytes[self.end..self.end + 2].copy_from_slice(&length.to_le_bytes());
        self.buffer.bytes[self.end + 2..self.end + 2 + bytes.len()].copy_from_slice(bytes);
        self.end += 2 + bytes.len();
    }

    /// Appends a run of bytes that could not be fetched.
    #[inline]
    pub fn push_missing_bytes(&mut self) {
        self.mark_missing();
        self.push_bytes(&[]);
    }

    /// Makes the record part of the buffer.
    #[inline]
    pub fn finish(self) {
        let start = self.buffer.used_bytes;
        let length = u16::try_from(self.end - start).expect("FIELDS_MAX bounds a record");
        self.buffer.bytes[start + 6..start + 8].copy_from_slice(&length.to_le_bytes());
        self.buffer.bytes[start + 8..start + 12].copy_from_slice(&self.missing.to_le_bytes());
        self.buffer.last_start = start;
        self.buffer.used_bytes = self.end;
        self.buffer.record_count += 1;
        self.buffer.last_stamp = self.stamp;
    }

    fn mark_missing(&mut self) {
        if self.field_index < FIELDS_MAX {
            self.missing |= 1 << self.field_index;
        }
    }
}

/// Iterator over the records of a buffer.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    first_stamp: u64,
}

/// One plain record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Stamp in the recorder's unit.
    pub stamp: u64,
    /// Kind of event.
    pub event: EventId,
    /// Bit `i` is set when field `i` could not be fetched.
    pub missing: u32,
    /// The encoded fields.
    pub payload: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let header = self.bytes.first_chunk::<RECORD_HEADER_BYTES>()?;
        let delta = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let event = EventId(u16::from_le_bytes([header[4], header[5]]));
        let length = usize::from(u16::from_le_bytes([header[6], header[7]]));
        let missing = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        let payload = self.bytes.get(RECORD_HEADER_BYTES..length)?;
        self.bytes = &self.bytes[length..];
        Some(Record {
            stamp: self.first_stamp + u64::from(delta),
            event,
            missing,
            payload,
        })
    }
}
