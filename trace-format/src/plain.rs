//! Records of a decoded chunk as plain records again, for those who write them into another file.

use crate::chunk::{RecordRef, Value};
use crate::record::Record;

/// A record that does not depend on the chunk that it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlainRecord {
    pub(crate) tsc: u64,
    pub(crate) event: crate::EventId,
    missing: u32,
    payload: Vec<u8>,
}

impl PlainRecord {
    pub(crate) fn of(record: RecordRef<'_>) -> Self {
        let (mut payload, mut missing) = (Vec::new(), 0u32);
        for index in 0..record.field_count() {
            match record.field(index) {
                Value::Number(number) => payload.extend_from_slice(&number.to_le_bytes()),
                Value::Bytes(bytes) => {
                    // The decoder lets no run through that is longer than any field may be.
                    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
                    payload.extend_from_slice(&length.to_le_bytes());
                    payload.extend_from_slice(bytes);
                }
                Value::Missing => {
                    missing |= 1u32
                        .checked_shl(u32::try_from(index).unwrap_or(0))
                        .unwrap_or(0);
                    let empty = if record.is_bytes(index) { 2 } else { 8 };
                    payload.resize(payload.len() + empty, 0);
                }
            }
        }
        Self {
            tsc: record.tsc(),
            event: record.event(),
            missing,
            payload,
        }
    }

    pub(crate) fn as_record(&self) -> Record<'_> {
        Record {
            stamp: self.tsc,
            event: self.event,
            missing: self.missing,
            payload: &self.payload,
        }
    }

    /// Bytes of it in a buffer.
    pub(crate) fn bytes(&self) -> usize {
        crate::RECORD_HEADER_BYTES + self.payload.len()
    }
}
