//! One column: the values of one field of one kind of event, in the order of the records.
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | encoding: [`CONSTANT`], [`PLAIN`], [`DELTA`], [`SCALED`] for numbers, [`BYTES`], [`DICTIONARY`] for bytes |
//! | varint | bytes of the body |
//! | n | body |
//!
//! Which encoding a writer chooses is its own affair, but the same values always give the same bytes.

use std::collections::HashMap;

use thiserror::Error;

use crate::varint;

/// Body: one varint, the value of every row.
pub(crate) const CONSTANT: u8 = 0;
/// Body: a varint for each row.
pub(crate) const PLAIN: u8 = 1;
/// Body: for each row the zigzag varint of the difference, modulo 2^64, from the row before; the first from 0.
pub(crate) const DELTA: u8 = 2;
/// Body: a column of lengths, then the bytes of all rows.
pub(crate) const BYTES: u8 = 3;
/// Body: varint count of distinct values, a column of each row's value, a column of the values' lengths, their bytes.
pub(crate) const DICTIONARY: u8 = 4;
/// Body: varint unit, then a column, plain or of differences: each row is that column's times the unit, modulo 2^64.
pub(crate) const SCALED: u8 = 5;

/// Why the columns of a chunk make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ColumnError {
    /// A column goes on after the end of the data.
    #[error("columns are cut short")]
    Cut,
    /// Data is left over.
    #[error("{0} bytes are left over")]
    LeftOver(usize),
    /// An encoding that this version does not know, or one that does not fit the field's kind.
    #[error("encoding {0} is not possible here")]
    Encoding(u8),
    /// A number is not what it must be; says which.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// An event that the schema lacks, or that has other fields there.
    #[error("event {0} does not agree with the schema")]
    Event(u16),
    /// Decoding would need more memory than any chunk may.
    #[error(
        "chunk would need more than {} bytes of memory",
        crate::DECODED_BYTES_MAX
    )]
    Memory,
}

/// Appends a column of numbers.
pub(crate) fn push_numbers(out: &mut Vec<u8>, values: &[u64]) {
    let first = values.first().copied().unwrap_or(0);
    if values.iter().all(|value| *value == first) {
        push_head(out, CONSTANT, varint::length(first));
        return varint::push(out, first);
    }
    let (mut plain_bytes, mut delta_bytes, mut previous) = (0, 0, 0);
    for value in values {
        plain_bytes += varint::length(*value);
        delta_bytes += varint::length(varint::zigzag(value.wrapping_sub(previous)));
        previous = *value;
    }
    // Values that recur compress better as they are: differences must save something to be worth it.
    if delta_bytes * 10 > plain_bytes * 9 {
        push_head(out, PLAIN, plain_bytes);
        values.iter().for_each(|value| varint::push(out, *value));
    } else {
        push_head(out, DELTA, delta_bytes);
        previous = 0;
        for value in values {
            varint::push(out, varint::zigzag(value.wrapping_sub(previous)));
            previous = *value;
        }
    }
}

/// Appends a column of ticks, which are differences already and often have a common divisor.
pub(crate) fn push_ticks(out: &mut Vec<u8>, ticks: &[u64]) {
    let first = ticks.first().copied().unwrap_or(0);
    if ticks.iter().all(|tick| *tick == first) {
        return push_numbers(out, ticks);
    }
    let unit = common_divisor(ticks);
    let bytes = |unit: u64| -> usize { ticks.iter().map(|tick| varint::length(tick / unit)).sum() };
    let quotient_bytes = bytes(unit);
    if unit > 1 {
        let head_bytes = varint::length(unit) + 1 + varint::length(quotient_bytes as u64);
        push_head(out, SCALED, head_bytes + quotient_bytes);
        varint::push(out, unit);
    }
    push_head(out, PLAIN, quotient_bytes);
    ticks.iter().for_each(|tick| varint::push(out, tick / unit));
}

/// The largest number that divides all; 1 when all are 0.
fn common_divisor(values: &[u64]) -> u64 {
    let mut common = 0u64;
    for value in values {
        let mut rest = *value;
        while rest != 0 {
            (common, rest) = (rest, common % rest);
        }
        if common == 1 {
            break;
        }
    }
    common.max(1)
}

/// Appends a column of runs of bytes, given their lengths and all of them joined.
pub(crate) fn push_runs(out: &mut Vec<u8>, lengths: &[u64], joined: &[u8], scratch: &mut Vec<u8>) {
    scratch.clear();
    let encoding = if push_dictionary(scratch, lengths, joined) {
        DICTIONARY
    } else {
        scratch.clear();
        push_numbers(scratch, lengths);
        scratch.extend_from_slice(joined);
        BYTES
    };
    push_head(out, encoding, scratch.len());
    out.extend_from_slice(scratch);
}

/// Appends the body of a dictionary, unless the values are too diverse for it to pay.
fn push_dictionary(out: &mut Vec<u8>, lengths: &[u64], joined: &[u8]) -> bool {
    let mut known: HashMap<&[u8], u64> = HashMap::new();
    let mut distinct: Vec<&[u8]> = Vec::new();
    let mut indices = Vec::with_capacity(lengths.len());
    let mut rest = joined;
    for length in lengths {
        let Some((value, tail)) = usize::try_from(*length)
            .ok()
            .and_then(|at| rest.split_at_checked(at))
        else {
            return false;
        };
        rest = tail;
        let index = *known.entry(value).or_insert(distinct.len() as u64);
        if index == distinct.len() as u64 {
            distinct.push(value);
            if distinct.len() * 2 > lengths.len() + 1 {
                return false;
            }
        }
        indices.push(index);
    }
    varint::push(out, distinct.len() as u64);
    push_numbers(out, &indices);
    push_numbers(
        out,
        &distinct
            .iter()
            .map(|value| value.len() as u64)
            .collect::<Vec<_>>(),
    );
    distinct
        .iter()
        .for_each(|value| out.extend_from_slice(value));
    true
}

fn push_head(out: &mut Vec<u8>, encoding: u8, body_bytes: usize) {
    out.push(encoding);
    varint::push(out, body_bytes as u64);
}

/// A column that was taken off the data but not decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawColumn<'a> {
    pub(crate) encoding: u8,
    pub(crate) body: &'a [u8],
}

impl<'a> RawColumn<'a> {
    /// Takes a column off the front of `bytes`.
    pub(crate) fn take(bytes: &mut &'a [u8]) -> Result<Self, ColumnError> {
        let (&encoding, rest) = bytes.split_first().ok_or(ColumnError::Cut)?;
        *bytes = rest;
        let length = take_number(bytes)?;
        let length = usize::try_from(length).or(Err(ColumnError::Cut))?;
        let (body, rest) = bytes.split_at_checked(length).ok_or(ColumnError::Cut)?;
        *bytes = rest;
        Ok(Self { encoding, body })
    }

    /// Decodes numbers: appends them to `arena`, or gives the constant.
    pub(crate) fn numbers(self, rows: usize, arena: &mut Vec<u64>) -> Result<Numbers, ColumnError> {
        let mut body = self.body;
        let start = arena.len();
        let numbers = match self.encoding {
            CONSTANT => Numbers::Constant(take_number(&mut body)?),
            // A row takes at least a byte: checked first, so that rows are never allocated for nothing.
            PLAIN | DELTA if rows > body.len() => return Err(ColumnError::Cut),
            PLAIN => {
                arena.reserve(rows);
                for _ in 0..rows {
                    arena.push(take_number(&mut body)?);
                }
                Numbers::Arena(start)
            }
            DELTA => {
                arena.reserve(rows);
                let mut value = 0u64;
                for _ in 0..rows {
                    value = value.wrapping_add(varint::unzigzag(take_number(&mut body)?));
                    arena.push(value);
                }
                Numbers::Arena(start)
            }
            SCALED => {
                let unit = take_number(&mut body)?;
                let quotients = Self::take(&mut body)?;
                if !matches!(quotients.encoding, PLAIN | DELTA) {
                    return Err(ColumnError::Encoding(quotients.encoding));
                }
                let numbers = quotients.numbers(rows, arena)?;
                for value in &mut arena[start..] {
                    *value = value.wrapping_mul(unit);
                }
                numbers
            }
            other => return Err(ColumnError::Encoding(other)),
        };
        if body.is_empty() {
            Ok(numbers)
        } else {
            Err(ColumnError::LeftOver(body.len()))
        }
    }
}

/// Takes one varint off the front of `bytes`.
#[inline]
pub(crate) fn take_number(bytes: &mut &[u8]) -> Result<u64, ColumnError> {
    varint::take(bytes).ok_or(ColumnError::Cut)
}

/// Decoded numbers: one for all rows, or consecutive elements of an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    Constant(u64),
    Arena(usize),
}

impl Numbers {
    /// Value of `row`.
    #[inline]
    pub(crate) fn at(self, row: usize, arena: &[u64]) -> u64 {
        match self {
            Self::Constant(value) => value,
            Self::Arena(start) => arena[start + row],
        }
    }
}
