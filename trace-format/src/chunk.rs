//! A chunk as its reader sees it: decoded once, into columns; a record is a place in them.

use crate::chunk_info::ChunkInfo;
use crate::column::Numbers;
use crate::schema::EventId;

/// A field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// It could not be fetched, or the event has no such field.
    Missing,
    /// A number; the schema says of which kind.
    Number(u64),
    /// Text or bytes.
    Bytes(&'a [u8]),
}

/// The records of one buffer of one CPU.
#[derive(Debug)]
pub struct Chunk {
    pub(crate) info: ChunkInfo,
    /// Position in `kinds`, and row in the kind's columns, of each record.
    pub(crate) places: Vec<(u16, u32)>,
    pub(crate) tscs: Vec<u64>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) columns: Vec<Column>,
    pub(crate) numbers: Vec<u64>,
    pub(crate) ends: Vec<u32>,
    /// The decompressed columns, for the runs of bytes.
    pub(crate) data: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) event: EventId,
    pub(crate) rows: usize,
    pub(crate) masks: Numbers,
    pub(crate) first_column: usize,
    pub(crate) column_count: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    Numbers(Numbers),
    Runs { values: Option<Numbers>, runs: Runs },
}

/// Where runs of bytes are: joined in `data` from `start`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runs {
    pub(crate) start: usize,
    pub(crate) ends: Ends,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ends {
    /// Every run has this length.
    Every(usize),
    /// Ends of the runs are consecutive elements of the arena, counted from `start`.
    Arena(usize),
}

impl Chunk {
    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no record; such a chunk only says how many were lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What the index says of this chunk.
    #[must_use]
    pub fn info(&self) -> &ChunkInfo {
        &self.info
    }

    /// Stamps of the records; they never decrease.
    #[must_use]
    pub fn tscs(&self) -> &[u64] {
        &self.tscs
    }

    /// The record at `index`, in order of time.
    ///
    /// # Panics
    /// When `index` is not below [`Chunk::len`].
    #[must_use]
    #[inline]
    pub fn record(&self, index: usize) -> RecordRef<'_> {
        let (kind, row) = self.places[index];
        RecordRef {
            chunk: self,
            kind: &self.kinds[usize::from(kind)],
            tsc: self.tscs[index],
            row: row as usize,
        }
    }

    /// The records in order of time.
    pub fn records(&self) -> impl ExactSizeIterator<Item = RecordRef<'_>> {
        (0..self.len()).map(|index| self.record(index))
    }
}

/// A record of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    chunk: &'a Chunk,
    kind: &'a Kind,
    tsc: u64,
    row: usize,
}

impl<'a> RecordRef<'a> {
    /// The guest's TSC.
    #[must_use]
    #[inline]
    pub fn tsc(&self) -> u64 {
        self.tsc
    }

    /// Kind of event.
    #[must_use]
    #[inline]
    pub fn event(&self) -> EventId {
        self.kind.event
    }

    /// Number of fields.
    #[must_use]
    #[inline]
    pub fn field_count(&self) -> usize {
        self.kind.column_count
    }

    /// Whether the field at `index` is a run of bytes, even where it is missing.
    pub(crate) fn is_bytes(&self, index: usize) -> bool {
        let column = self.chunk.columns.get(self.kind.first_column + index);
        matches!(column, Some(Column::Runs { .. }))
    }

    /// The field at `index` of the event's schema.
    #[must_use]
    #[inline]
    pub fn field(&self, index: usize) -> Value<'a> {
        let chunk = self.chunk;
        if index >= self.kind.column_count
            || self.kind.masks.at(self.row, &chunk.numbers) >> index & 1 == 1
        {
            return Value::Missing;
        }
        match chunk.columns[self.kind.first_column + index] {
            Column::Numbers(numbers) => Value::Number(numbers.at(self.row, &chunk.numbers)),
            Column::Runs { values, runs } => {
                // The decoder checked that every value is a position in the dictionary.
                let run = values.map_or(self.row, |values| {
                    usize::try_from(values.at(self.row, &chunk.numbers)).unwrap_or(0)
                });
                Value::Bytes(runs.at(run, chunk))
            }
        }
    }
}

impl Runs {
    #[inline]
    fn at(self, index: usize, chunk: &Chunk) -> &[u8] {
        let (from, to) = match self.ends {
            Ends::Every(length) => (index * length, (index + 1) * length),
            Ends::Arena(first) => {
                let from = if index == 0 {
                    0
                } else {
                    chunk.ends[first + index - 1] as usize
                };
                (from, chunk.ends[first + index] as usize)
            }
        };
        &chunk.data[self.start + from..self.start + to]
    }
}
