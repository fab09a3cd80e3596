//! The index of a complete file, and the end block that says where it is.

use std::collections::BTreeMap;

use crate::block::{HEADER_BYTES, PREAMBLE_BYTES, u64_at};
use crate::chunk_info::{CHUNK_HEAD_BYTES, CPU_COUNT_MAX, ChunkInfo};
use crate::column::{ColumnError, Numbers, RawColumn, push_numbers, take_number};
use crate::contents::Contents;
use crate::diagnostic::{Diagnostic, Fault};
use crate::packed::unpack;
use crate::recovery::Block;
use crate::varint;

/// Bytes of the end block's payload; fixed, for it is found from the end of the file.
pub(crate) const END_BYTES: usize = 24;
/// Bytes of the smallest chunk.
const CHUNK_BYTES_MIN: u64 = (HEADER_BYTES + CHUNK_HEAD_BYTES) as u64;
/// Bytes of the smallest block of symbols.
const SYMBOLS_BYTES_MIN: u64 = HEADER_BYTES as u64 + 16;
/// Longest content of an index in any file; a long file may have a longer one.
const CONTENT_BYTES: usize = 1 << 20;

/// What an index says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// Places of the blocks of symbols.
    pub(crate) symbol_offsets: Vec<u64>,
    pub(crate) chunks: Vec<ChunkInfo>,
    /// What each chunk holds.
    pub(crate) contents: Vec<Contents>,
}

impl Index {
    /// Keeps only some chunks.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&ChunkInfo) -> bool) {
        let kept: Vec<bool> = self.chunks.iter().map(&mut keep).collect();
        let (mut chunks, mut contents) = (kept.iter(), kept.iter());
        self.chunks.retain(|_| chunks.next() == Some(&true));
        self.contents.retain(|_| contents.next() == Some(&true));
    }
}

/// Most bytes of an index that stands at `offset` of its file: memory is bounded by what was written, not by what it
/// says.
fn bytes_max(offset: u64) -> usize {
    let share = usize::try_from(offset).unwrap_or(usize::MAX);
    (share / 2).saturating_add(CONTENT_BYTES)
}

/// Unpacks and decodes an index.
pub(crate) fn read(block: &Block<'_>, recording: u32) -> Result<Index, Diagnostic> {
    let content = unpack(block.payload, bytes_max(block.offset));
    let content = content.map_err(|fault| block.invalid(fault))?;
    let index = decode(&content, block.offset, recording);
    index.map_err(|fault| block.invalid(fault))
}

/// The content of an index block that will be at `offset`.
pub(crate) fn encode(index: &Index, offset: u64) -> Vec<u8> {
    let whole = encode_all(index);
    if whole.len() <= bytes_max(offset) {
        return whole;
    }
    // Chunks of next to nothing with very many kinds of events: what they hold is not worth its room.
    encode_all(&Index {
        contents: vec![Contents::default(); index.chunks.len()],
        ..index.clone()
    })
}

fn encode_all(index: &Index) -> Vec<u8> {
    let mut out = Vec::new();
    let chunks = &index.chunks;
    varint::push(&mut out, index.symbol_offsets.len() as u64);
    varint::push(&mut out, chunks.len() as u64);
    let mut push = |values: Vec<u64>| push_numbers(&mut out, &values);
    let mut before = 0;
    let step = |offset: &u64| offset.wrapping_sub(std::mem::replace(&mut before, *offset));
    push(index.symbol_offsets.iter().map(step).collect());
    let mut free = PREAMBLE_BYTES as u64;
    let gap = |chunk: &ChunkInfo| {
        let gap = chunk.offset.wrapping_sub(free);
        free = chunk.offset.wrapping_add(chunk.length);
        gap
    };
    push(chunks.iter().map(gap).collect());
    push(chunks.iter().map(|chunk| chunk.length).collect());
    push(chunks.iter().map(|chunk| u64::from(chunk.cpu)).collect());
    let counts = chunks.iter().map(|chunk| u64::from(chunk.record_count));
    push(counts.collect());
    let mut next: BTreeMap<u32, u64> = BTreeMap::new();
    let jump = |chunk: &ChunkInfo| {
        let next = next.entry(chunk.cpu).or_default();
        let expected = std::mem::replace(next, chunk.sequence.wrapping_add(1));
        chunk.sequence.wrapping_sub(expected)
    };
    push(chunks.iter().map(jump).collect());
    let mut last = 0;
    let pause = |chunk: &ChunkInfo| {
        let pause = chunk.first_tsc.wrapping_sub(last);
        last = chunk.last_tsc;
        varint::zigzag(pause)
    };
    push(chunks.iter().map(pause).collect());
    let spans = chunks.iter().map(|chunk| chunk.last_tsc - chunk.first_tsc);
    push(spans.collect());
    push(chunks.iter().map(|chunk| chunk.lost_before).collect());
    let sticky = chunks.iter().map(|chunk| u64::from(chunk.sticky_count));
    push(sticky.collect());
    for contents in &index.contents {
        for list in [&contents.kinds, &contents.threads] {
            varint::push(&mut out, list.len() as u64);
            steps(list).for_each(|step| varint::push(&mut out, step));
        }
    }
    out
}

/// The differences of an ascending list, the first from 0.
fn steps(list: &[u64]) -> impl Iterator<Item = u64> + '_ {
    let before = std::iter::once(0).chain(list.iter().copied());
    list.iter()
        .zip(before)
        .map(|(number, before)| number - before)
}

/// The columns of an index, taken off one by one.
struct Columns<'a> {
    rest: &'a [u8],
    values: Vec<u64>,
}

impl Columns<'_> {
    /// The next column, which has `rows` rows.
    fn take(&mut self, rows: usize) -> Result<Column<'_>, ColumnError> {
        self.values.clear();
        let numbers = RawColumn::take(&mut self.rest)?.numbers(rows, &mut self.values)?;
        Ok(Column {
            numbers,
            values: &self.values,
        })
    }

    /// The next ascending list.
    fn take_list(&mut self) -> Result<Vec<u64>, ColumnError> {
        let mut list: Vec<u64> = Vec::new();
        for _ in 0..take_number(&mut self.rest)? {
            let step = take_number(&mut self.rest)?;
            let number = match list.last() {
                Some(before) => before.checked_add(step).filter(|_| step > 0),
                None => Some(step),
            };
            list.push(number.ok_or(ColumnError::Range("list of the index"))?);
        }
        Ok(list)
    }
}

struct Column<'a> {
    numbers: Numbers,
    values: &'a [u64],
}

impl Column<'_> {
    fn at(&self, row: usize) -> u64 {
        self.numbers.at(row, self.values)
    }
}

/// Decodes an index that describes chunks one after the other within the first `end` bytes.
///
/// Chunks that overlapped would let a small file ask for endless work.
fn decode(bytes: &[u8], end: u64, recording: u32) -> Result<Index, Fault> {
    let mut rest = bytes;
    let mut count = |bytes_min: u64| {
        let count = Some(take_number(&mut rest)?).filter(|count| *count <= end / bytes_min);
        count
            .and_then(|count| usize::try_from(count).ok())
            .ok_or(ColumnError::Range("number of blocks"))
    };
    let symbol_count = count(SYMBOLS_BYTES_MIN)?;
    let chunk_count = count(CHUNK_BYTES_MIN)?;
    let mut columns = Columns {
        rest,
        values: Vec::new(),
    };
    let symbol_offsets = take_offsets(&columns.take(symbol_count)?, symbol_count)?;
    let chunks = take_chunks(&mut columns, chunk_count, end, recording)?;
    let mut contents = Vec::with_capacity(chunk_count);
    for _ in 0..chunk_count {
        contents.push(Contents {
            kinds: columns.take_list()?,
            threads: columns.take_list()?,
        });
    }
    if !columns.rest.is_empty() {
        return Err(ColumnError::LeftOver(columns.rest.len()).into());
    }
    Ok(Index {
        symbol_offsets,
        chunks,
        contents,
    })
}

fn take_offsets(column: &Column<'_>, rows: usize) -> Result<Vec<u64>, Fault> {
    let (mut offsets, mut offset) = (Vec::with_capacity(rows), 0u64);
    for row in 0..rows {
        let step = column.at(row);
        let next = offset.checked_add(step).filter(|_| step > 0);
        offset = next.ok_or(Fault::Numbers)?;
        offsets.push(offset);
    }
    Ok(offsets)
}

/// Sets a number, which never fails.
fn set<T>(number: &mut T, value: T) -> Option<()> {
    *number = value;
    Some(())
}

/// Takes the columns of the chunks' heads.
fn take_chunks(
    columns: &mut Columns<'_>,
    rows: usize,
    end: u64,
    recording: u32,
) -> Result<Vec<ChunkInfo>, Fault> {
    let blank = ChunkInfo {
        cpu: 0,
        sequence: 0,
        first_tsc: 0,
        last_tsc: 0,
        record_count: 0,
        sticky_count: 0,
        lost_before: 0,
        recording,
        offset: 0,
        length: 0,
        file: 0,
    };
    let mut chunks = vec![blank; rows];
    let mut fill = |take: &mut dyn FnMut(&mut ChunkInfo, u64) -> Option<()>| {
        let column = columns.take(rows)?;
        for (row, chunk) in chunks.iter_mut().enumerate() {
            take(chunk, column.at(row)).ok_or(Fault::Numbers)?;
        }
        Ok::<(), Fault>(())
    };
    fill(&mut |chunk, gap| set(&mut chunk.offset, gap))?;
    let mut free = PREAMBLE_BYTES as u64;
    fill(&mut |chunk, length| {
        chunk.offset = free.checked_add(chunk.offset)?;
        chunk.length = length;
        free = chunk.offset.checked_add(length)?;
        (free <= end && length >= CHUNK_BYTES_MIN).then_some(())
    })?;
    fill(&mut |chunk, cpu| {
        let cpu = u32::try_from(cpu).ok().filter(|cpu| *cpu < CPU_COUNT_MAX);
        set(&mut chunk.cpu, cpu?)
    })?;
    fill(&mut |chunk, count| set(&mut chunk.record_count, u32::try_from(count).ok()?))?;
    let mut next: BTreeMap<u32, u64> = BTreeMap::new();
    fill(&mut |chunk, jump| {
        let next = next.entry(chunk.cpu).or_default();
        chunk.sequence = next.wrapping_add(jump);
        *next = chunk.sequence.wrapping_add(1);
        Some(())
    })?;
    fill(&mut |chunk, pause| set(&mut chunk.first_tsc, varint::unzigzag(pause)))?;
    let mut last = 0u64;
    fill(&mut |chunk, span| {
        chunk.first_tsc = last.wrapping_add(chunk.first_tsc);
        chunk.last_tsc = chunk.first_tsc.checked_add(span)?;
        last = chunk.last_tsc;
        Some(())
    })?;
    fill(&mut |chunk, lost| set(&mut chunk.lost_before, lost))?;
    fill(&mut |chunk, count| {
        chunk.sticky_count = u32::try_from(count).ok()?;
        (chunk.sticky_count <= chunk.record_count).then_some(())
    })?;
    Ok(chunks)
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
