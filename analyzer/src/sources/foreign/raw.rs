//! Values of a record as a source found them: numbers, bytes of the block that it is reading, text that it made.

use trace_format::Value;

/// A value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raw {
    /// There is none.
    Missing,
    /// A number.
    Number(u64),
    /// Bytes of the block that is being read.
    Block {
        /// Bytes from its start.
        start: u32,
        /// Bytes.
        length: u32,
    },
    /// Text that was made with [`RawValues::write`].
    Made {
        /// Bytes from the start of all that was made.
        start: u32,
        /// Bytes.
        length: u32,
    },
}

impl Raw {
    /// A part of the block that is being read.
    #[must_use]
    #[inline]
    pub fn within(block: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(block.as_ptr().addr());
        let place = u32::try_from(start)
            .ok()
            .zip(u32::try_from(part.len()).ok());
        place.map_or(Self::Missing, |(start, length)| Self::Block {
            start,
            length,
        })
    }
}

/// The values of one record. Keeps its memory from record to record.
#[derive(Debug, Default)]
pub struct RawValues {
    values: Vec<Raw>,
    made: Vec<u8>,
}

/// The values of a record with the block that they refer to.
#[derive(Clone, Copy, Debug)]
pub struct RawRow<'a> {
    /// The values.
    pub values: &'a RawValues,
    /// The block.
    pub block: &'a [u8],
}

impl RawValues {
    /// Begins a record with so many fields.
    #[inline]
    pub fn begin(&mut self, count: usize) {
        self.values.clear();
        self.values.resize(count, Raw::Missing);
        self.made.clear();
    }

    /// Sets a field.
    #[inline]
    pub fn set(&mut self, index: usize, value: Raw) {
        if let Some(slot) = self.values.get_mut(index) {
            *slot = value;
        }
    }

    /// Bytes that have been made for this record: where a new text starts.
    #[must_use]
    pub fn made_bytes(&self) -> usize {
        self.made.len()
    }

    /// Appends to the text under way.
    pub fn write(&mut self, text: &[u8]) {
        self.made.extend_from_slice(text);
    }

    /// The text that was written since [`made_bytes`](Self::made_bytes) was `start`.
    #[must_use]
    pub fn made_since(&self, start: usize) -> Raw {
        let length = self.made.len().checked_sub(start);
        let place = u32::try_from(start).ok().zip(length);
        place.map_or(Raw::Missing, |(start, length)| {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            Raw::Made { start, length }
        })
    }
}

impl<'a> RawRow<'a> {
    /// The field at `index`.
    #[must_use]
    #[inline]
    pub fn value(&self, index: usize) -> Value<'a> {
        let slice = |bytes: &'a [u8], start: u32, length: u32| {
            let rest = bytes.get(start as usize..);
            let slice = rest.and_then(|rest| rest.get(..length as usize));
            slice.map_or(Value::Missing, Value::Bytes)
        };
        match self.values.values.get(index) {
            None | Some(Raw::Missing) => Value::Missing,
            Some(Raw::Number(number)) => Value::Number(*number),
            Some(Raw::Block { start, length }) => slice(self.block, *start, *length),
            Some(Raw::Made { start, length }) => slice(&self.values.made, *start, *length),
        }
    }
}
