//! Turns a buffer of plain records into columns, one set for each kind of event.
//!
//! | part | meaning |
//! |---|---|
//! | varint | number of kinds of event in the chunk |
//! | 3 varints each | event id (ascending), number of records, number of fields |
//! | column | for each record, in order, the position of its kind in that list |
//! | column | for each record the TSC ticks since the record before; the first since the chunk's first TSC |
//! | columns | for each kind: the masks of missing fields, then each field |
//!
//! Keeps its memory from chunk to chunk. Missing numbers repeat the row before, which costs least.

use crate::column::{push_numbers, push_runs, push_ticks};
use crate::contents::{Carried, Contents, Gatherer, StickyFields};
use crate::decode::DECODED_BYTES_MAX;
use crate::record::{FIELD_BYTES_MAX, Record};
use crate::schema::{EventId, EventSchema, Schema};
use crate::varint;
use crate::write_error::WriteError;

/// Largest columns of a chunk before compression.
///
/// Numbers grow from 8 to at most 10 bytes and record heads from 12 to at most 18, so that of
/// [`crate::BUFFER_BYTES_MAX`] bytes of records always fit.
pub const COLUMN_BYTES_MAX: usize = 40 << 20;

const _: () = assert!(crate::BUFFER_BYTES_MAX / 2 * 3 + (12 << 20) <= COLUMN_BYTES_MAX);

/// Marks an id without schema.
const UNKNOWN: u32 = u32::MAX;

/// The columns of a chunk in the making.
#[derive(Debug)]
pub(crate) struct Columns {
    /// Position in `kinds` by event id.
    by_id: Vec<u32>,
    kinds: Vec<Kind>,
    /// Position in `kinds` of each record.
    order: Vec<u64>,
    deltas: Vec<u64>,
    summary: Summary,
    scratch: Vec<u8>,
}

/// What a chunk's header says of its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) first_tsc: u64,
    pub(crate) last_tsc: u64,
    pub(crate) record_count: u32,
    /// Stamps that went back in time and were set to the one before.
    pub(crate) clamped_count: u64,
}

#[derive(Debug)]
struct Kind {
    event: EventId,
    masks: Vec<u64>,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    is_bytes: bool,
    /// The numbers, or the lengths of the runs.
    numbers: Vec<u64>,
    joined: Vec<u8>,
}

impl Columns {
    pub(crate) fn new(schema: &Schema) -> Self {
        let ids = schema
            .events
            .last()
            .map_or(0, |event| usize::from(event.id.0) + 1);
        let mut by_id = vec![UNKNOWN; ids];
        for (index, event) in (0u32..).zip(&schema.events) {
            by_id[usize::from(event.id.0)] = index;
        }
        let kinds = schema.events.iter().map(Kind::new).collect();
        Self {
            by_id,
            kinds,
            order: Vec::new(),
            deltas: Vec::new(),
            summary: Summary::default(),
            scratch: Vec::new(),
        }
    }

    /// Begins a chunk, in which no stamp is before `floor_tsc`.
    pub(crate) fn begin(&mut self, floor_tsc: u64) {
        self.order.clear();
        self.deltas.clear();
        self.kinds.iter_mut().for_each(Kind::clear);
        self.summary = Summary {
            first_tsc: floor_tsc,
            last_tsc: floor_tsc,
            record_count: 0,
            clamped_count: 0,
        };
    }

    /// Adds a record; its stamp is that of the record before where it would go back.
    #[inline]
    pub(crate) fn push(&mut self, tsc: u64, record: &Record<'_>) -> Result<(), WriteError> {
        let summary = &mut self.summary;
        if tsc < summary.last_tsc {
            summary.clamped_count += 1;
        }
        let tsc = tsc.max(summary.last_tsc);
        if summary.record_count == 0 {
            summary.first_tsc = tsc;
            summary.last_tsc = tsc;
        }
        self.deltas.push(tsc - summary.last_tsc);
        summary.last_tsc = tsc;
        let count = summary.record_count.checked_add(1);
        summary.record_count = count.ok_or(WriteError::TooLarge {
            what: "chunk",
            bytes: usize::MAX,
            max: COLUMN_BYTES_MAX,
        })?;
        self.push_fields(record)
    }

    /// Appends the columns of the chunk to `out`.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<Summary, WriteError> {
        self.push_columns(out);
        let memory = self.used_kinds().map(|kind| {
            let rows = kind.masks.len();
            rows.saturating_mul(40 + 16 * kind.fields.len())
        });
        let sizes = [
            (out.len(), COLUMN_BYTES_MAX),
            (memory.sum(), DECODED_BYTES_MAX),
        ];
        match sizes.into_iter().find(|(bytes, max)| bytes > max) {
            Some((bytes, max)) => Err(WriteError::TooLarge {
                what: "chunk",
                bytes,
                max,
            }),
            None => Ok(self.summary),
        }
    }

    /// What the index says of the chunk.
    pub(crate) fn contents(&self, sticky: &StickyFields, carried: &mut Carried) -> Contents {
        let mut gatherer = Gatherer::new(carried);
        for kind in self.used_kinds() {
            let fields = sticky.0.get(&kind.event);
            let rows = fields.map_or(0, |_| kind.masks.len());
            let numbers = |row: usize| {
                let is_there = |field: &&usize| kind.masks[row] >> **field & 1 == 0;
                let fields = fields.into_iter().flatten().filter(is_there);
                fields
                    .map(|field| kind.fields[*field].numbers[row])
                    .collect()
            };
            gatherer.add_kind(kind.event, (0..rows).map(numbers));
        }
        gatherer.finish()
    }

    fn push_fields(&mut self, record: &Record<'_>) -> Result<(), WriteError> {
        let event = record.event;
        let index = self
            .by_id
            .get(usize::from(event.0))
            .copied()
            .unwrap_or(UNKNOWN);
        let kind = usize::try_from(index)
            .ok()
            .and_then(|index| self.kinds.get_mut(index));
        let kind = kind.ok_or(WriteError::UnknownEvent { event: event.0 })?;
        self.order.push(u64::from(index));
        kind.push(record)
            .ok_or(WriteError::RecordShape { event: event.0 })
    }

    fn push_columns(&mut self, out: &mut Vec<u8>) {
        // From the position in the schema to the position in the chunk's own list.
        let mut rank = 0;
        let ranks: Vec<u64> = self
            .kinds
            .iter()
            .map(|kind| {
                let own = rank;
                rank += u64::from(!kind.masks.is_empty());
                own
            })
            .collect();
        for index in &mut self.order {
            // Every index came from `by_id`, so it is below the number of kinds.
            *index = usize::try_from(*index)
                .ok()
                .and_then(|at| ranks.get(at))
                .copied()
                .unwrap_or(0);
        }
        varint::push(out, rank);
        for kind in self.used_kinds() {
            varint::push(out, u64::from(kind.event.0));
            varint::push(out, kind.masks.len() as u64);
            varint::push(out, kind.fields.len() as u64);
        }
        push_numbers(out, &self.order);
        push_ticks(out, &self.deltas);
        for kind in self.kinds.iter().filter(|kind| !kind.masks.is_empty()) {
            push_numbers(out, &kind.masks);
            for field in &kind.fields {
                if field.is_bytes {
                    push_runs(out, &field.numbers, &field.joined, &mut self.scratch);
                } else {
                    push_numbers(out, &field.numbers);
                }
            }
        }
    }

    fn used_kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter().filter(|kind| !kind.masks.is_empty())
    }
}

impl Kind {
    fn new(event: &EventSchema) -> Self {
        let field = |is_bytes| Field {
            is_bytes,
            numbers: Vec::new(),
            joined: Vec::new(),
        };
        let fields = event
            .fields
            .iter()
            .map(|item| field(item.kind.is_bytes()))
            .collect();
        Self {
            event: event.id,
            masks: Vec::new(),
            fields,
        }
    }

    fn clear(&mut self) {
        self.masks.clear();
        for field in &mut self.fields {
            field.numbers.clear();
            field.joined.clear();
        }
    }

    /// Splits a record into its fields; `None` when they are not those of the schema.
    #[inline]
    fn push(&mut self, record: &Record<'_>) -> Option<()> {
        let mut rest = record.payload;
        for (index, field) in self.fields.iter_mut().enumerate() {
            if field.is_bytes {
                let (length, tail) = rest.split_first_chunk::<2>()?;
                let length = usize::from(u16::from_le_bytes(*length));
                let (run, tail) = tail.split_at_checked(length)?;
                if length > FIELD_BYTES_MAX {
                    return None;
                }
                field.numbers.push(length as u64);
                field.joined.extend_from_slice(run);
                rest = tail;
            } else {
                let (number, tail) = rest.split_first_chunk::<8>()?;
                let missing = record.missing >> index & 1 == 1;
                let before = field.numbers.last().copied().unwrap_or(0);
                field.numbers.push(if missing {
                    before
                } else {
                    u64::from_le_bytes(*number)
                });
                rest = tail;
            }
        }
        self.masks.push(u64::from(record.missing));
        rest.is_empty().then_some(())
    }
}
