//! Columns of a chunk -> [`Chunk`].
//!
//! Allocates a handful of vectors for the whole chunk, none for a record. Whatever the bytes are, it takes no more
//! than [`DECODED_BYTES_MAX`] on top of the decompressed columns, and time in proportion to both.

use crate::chunk::{Chunk, Column, Ends, Kind, Runs};
use crate::chunk_info::ChunkInfo;
use crate::column::{BYTES, ColumnError, DICTIONARY, Numbers, RawColumn, take_number};
use crate::record::{BUFFER_BYTES_MAX, FIELD_BYTES_MAX};
use crate::schema::{EventId, FIELDS_MAX, Schema};

/// Most memory that decoding a chunk takes, besides the decompressed columns.
///
/// A record takes 40 bytes and each field 16 at most, against 12 and 2 at least in a buffer of plain records: what
/// came out of a buffer always fits.
pub const DECODED_BYTES_MAX: usize = 8 * BUFFER_BYTES_MAX;

/// Decodes the columns in `data`.
pub(crate) fn decode(
    info: ChunkInfo,
    data: Vec<u8>,
    schema: &Schema,
) -> Result<Chunk, ColumnError> {
    let mut decoder = Decoder {
        rest: &data,
        data_bytes: data.len(),
        kinds: Vec::new(),
        columns: Vec::new(),
        numbers: Vec::new(),
        ends: Vec::new(),
    };
    decoder.take_kinds(&info, schema)?;
    let places = decoder.take_places(&info)?;
    let tscs = decoder.take_tscs(&info)?;
    for kind in 0..decoder.kinds.len() {
        decoder.take_columns(kind, schema)?;
    }
    if !decoder.rest.is_empty() {
        return Err(ColumnError::LeftOver(decoder.rest.len()));
    }
    let Decoder {
        kinds,
        columns,
        numbers,
        ends,
        ..
    } = decoder;
    Ok(Chunk {
        info,
        places,
        tscs,
        kinds,
        columns,
        numbers,
        ends,
        data,
    })
}

struct Decoder<'a> {
    rest: &'a [u8],
    data_bytes: usize,
    kinds: Vec<Kind>,
    columns: Vec<Column>,
    numbers: Vec<u64>,
    ends: Vec<u32>,
}

impl Decoder<'_> {
    /// Takes the list of kinds, and checks that the chunk's memory is bounded.
    fn take_kinds(&mut self, info: &ChunkInfo, schema: &Schema) -> Result<(), ColumnError> {
        let count = self.take_small("number of kinds", schema.events.len())?;
        let (mut records, mut bytes, mut first_column) = (0usize, 0usize, 0);
        for _ in 0..count {
            let id = self.take_small("event id", usize::from(u16::MAX))?;
            let event = EventId(u16::try_from(id).or(Err(ColumnError::Range("event id")))?);
            let rows = self.take_small("number of records", info.record_count as usize)?;
            let column_count = self.take_small("number of fields", FIELDS_MAX)?;
            let fields = schema.event(event).map(|event| event.fields.len());
            let ascending = self.kinds.last().is_none_or(|before| before.event < event);
            if fields != Some(column_count) || !ascending || rows == 0 {
                return Err(ColumnError::Event(event.0));
            }
            records = records.saturating_add(rows);
            bytes = bytes.saturating_add(rows.saturating_mul(40 + 16 * column_count));
            let masks = Numbers::Constant(0);
            self.kinds.push(Kind {
                event,
                rows,
                masks,
                first_column,
                column_count,
            });
            first_column += column_count;
        }
        if records != info.record_count as usize {
            return Err(ColumnError::Range("number of records"));
        }
        if bytes > DECODED_BYTES_MAX {
            Err(ColumnError::Memory)
        } else {
            Ok(())
        }
    }

    /// Takes the order of the records.
    fn take_places(&mut self, info: &ChunkInfo) -> Result<Vec<(u16, u32)>, ColumnError> {
        let records = info.record_count as usize;
        let mut order = Vec::new();
        let numbers = RawColumn::take(&mut self.rest)?.numbers(records, &mut order)?;
        let mut next_rows = vec![0u32; self.kinds.len()];
        let mut places = Vec::with_capacity(records);
        for index in 0..records {
            let kind = numbers.at(index, &order);
            let next_row = usize::try_from(kind)
                .ok()
                .and_then(|kind| next_rows.get_mut(kind));
            let next_row = next_row.ok_or(ColumnError::Range("kind of a record"))?;
            // Below the number of kinds, which is at most that of the 16-bit ids.
            let kind = u16::try_from(kind).or(Err(ColumnError::Range("kind of a record")))?;
            places.push((kind, *next_row));
            *next_row += 1;
        }
        let agree = self
            .kinds
            .iter()
            .zip(&next_rows)
            .all(|(kind, rows)| kind.rows == *rows as usize);
        if agree {
            Ok(places)
        } else {
            Err(ColumnError::Range("number of records of a kind"))
        }
    }

    /// Takes the stamps.
    fn take_tscs(&mut self, info: &ChunkInfo) -> Result<Vec<u64>, ColumnError> {
        let records = info.record_count as usize;
        let mut tscs = Vec::new();
        let deltas = RawColumn::take(&mut self.rest)?.numbers(records, &mut tscs)?;
        if let Numbers::Constant(delta) = deltas {
            tscs.resize(records, delta);
        }
        let mut tsc = info.first_tsc;
        for item in &mut tscs {
            tsc = tsc.checked_add(*item).ok_or(ColumnError::Range("stamp"))?;
            *item = tsc;
        }
        let first = tscs.first().copied().unwrap_or(info.first_tsc);
        let in_range = first == info.first_tsc && tsc == info.last_tsc;
        if in_range {
            Ok(tscs)
        } else {
            Err(ColumnError::Range("stamp"))
        }
    }

    /// Takes the masks and the fields of one kind.
    fn take_columns(&mut self, kind: usize, schema: &Schema) -> Result<(), ColumnError> {
        let Kind { event, rows, .. } = self.kinds[kind];
        self.kinds[kind].masks =
            RawColumn::take(&mut self.rest)?.numbers(rows, &mut self.numbers)?;
        let fields = schema.event(event).map_or(&[][..], |event| &event.fields);
        for field in fields {
            let raw = RawColumn::take(&mut self.rest)?;
            let column = match (field.kind.is_bytes(), raw.encoding) {
                (true, BYTES) => Column::Runs {
                    values: None,
                    runs: self.take_runs(raw.body, rows)?,
                },
                (true, DICTIONARY) => self.take_dictionary(raw.body, rows)?,
                (true, other) => return Err(ColumnError::Encoding(other)),
                (false, _) => Column::Numbers(raw.numbers(rows, &mut self.numbers)?),
            };
            self.columns.push(column);
        }
        Ok(())
    }

    fn take_dictionary(&mut self, mut body: &[u8], rows: usize) -> Result<Column, ColumnError> {
        let distinct = take_number(&mut body)?;
        let Some(distinct_count) = usize::try_from(distinct)
            .ok()
            .filter(|count| *count <= rows)
        else {
            return Err(ColumnError::Range("size of a dictionary"));
        };
        let start = self.numbers.len();
        let values = RawColumn::take(&mut body)?.numbers(rows, &mut self.numbers)?;
        let in_range = match values {
            Numbers::Constant(value) => value < distinct,
            Numbers::Arena(_) => self.numbers[start..].iter().all(|value| *value < distinct),
        };
        if !in_range {
            return Err(ColumnError::Range("position in a dictionary"));
        }
        Ok(Column::Runs {
            values: Some(values),
            runs: self.take_runs(body, distinct_count)?,
        })
    }

    /// Decodes the lengths of `count` runs, whose bytes are the rest of `body`.
    fn take_runs(&mut self, mut body: &[u8], count: usize) -> Result<Runs, ColumnError> {
        let mut lengths = Vec::new();
        let numbers = RawColumn::take(&mut body)?.numbers(count, &mut lengths)?;
        // The runs are the end of the column that was taken last.
        let start = self.data_bytes - self.rest.len() - body.len();
        let total = body.len() as u64;
        let too_long = |length: u64| length > FIELD_BYTES_MAX as u64;
        if let Numbers::Constant(length) = numbers {
            if too_long(length) || length * count as u64 != total {
                return Err(ColumnError::Range("length of a run of bytes"));
            }
            let length = usize::try_from(length).or(Err(ColumnError::Memory))?;
            return Ok(Runs {
                start,
                ends: Ends::Every(length),
            });
        }
        let first = self.ends.len();
        let mut end = 0u64;
        for length in lengths {
            if too_long(length) || end + length > total {
                return Err(ColumnError::Range("length of a run of bytes"));
            }
            end += length;
            // Not beyond `total`, which is bounded by the columns of a chunk.
            self.ends
                .push(u32::try_from(end).or(Err(ColumnError::Memory))?);
        }
        if end != total {
            return Err(ColumnError::Range("length of a run of bytes"));
        }
        Ok(Runs {
            start,
            ends: Ends::Arena(first),
        })
    }

    fn take_small(&mut self, what: &'static str, max: usize) -> Result<usize, ColumnError> {
        let number = take_number(&mut self.rest)?;
        usize::try_from(number)
            .ok()
            .filter(|number| *number <= max)
            .ok_or(ColumnError::Range(what))
    }
}

#[cfg(test)]
mod tests;
