//! The events of a file: columns of times, kinds, threads and texts, some thousand events in a block.

use std::collections::{BTreeMap, HashMap};

use analyzer::export::{LineFormat, LineWriter, push_text};
use analyzer::model::Span;
use analyzer::sources::{Item, Range, Record, Trace};
use serde::Serialize;

use super::HtmlError;
use super::pack::Columns;
use super::page::Page;
use crate::served::Served;

/// Events of a block.
const BLOCK_EVENTS: usize = 8192;

/// Bytes of a block's texts, beyond which it has fewer events.
const BLOCK_BYTES_MAX: usize = 8 << 20;

/// Longest text of a field.
const FIELD_BYTES_MAX: usize = 1024;

/// What events there are, and where.
#[derive(Debug, Default, Serialize)]
pub(super) struct EventDirectory {
    pub(super) events: u64,
    /// CPU, thread, process, name of the thread.
    contexts: Vec<(u32, u32, u32, String)>,
    blocks: Vec<BlockInfo>,
}

/// A block of events.
#[derive(Debug, Serialize)]
struct BlockInfo {
    /// Number of its first event.
    first: u64,
    count: usize,
    /// Times of its first and its last event.
    from_ns: u64,
    to_ns: u64,
    /// Its kinds, with how many of each.
    kinds: Vec<(u16, usize)>,
}

const TIMES: usize = 0;
const KINDS: usize = 1;
const CONTEXTS: usize = 2;
const TEXTS: usize = 3;

/// Writes all events of a time.
pub(super) fn write(
    served: &Served,
    span: Span,
    page: &mut Page<'_>,
) -> Result<EventDirectory, HtmlError> {
    let trace = served.trace();
    let mut packer = Packer::new(&trace);
    let clock = trace.clock();
    let last = if span.end == Span::ALL.end {
        u64::MAX
    } else {
        clock.tsc(span.end)
    };
    let first = if span.start == Span::ALL.start {
        0
    } else {
        clock.tsc(span.start)
    };
    let mut stream = trace.stream(&Range {
        tscs: first..=last,
        ..Range::default()
    })?;
    while let Some(item) = stream.next_item()? {
        let Item::Record(record) = item else { continue };
        if record.is_repeated || record.is_context || !span.contains(record.at) {
            continue;
        }
        packer.add(&record);
        if packer.block.times.len() == BLOCK_EVENTS || packer.block.bytes > BLOCK_BYTES_MAX {
            packer.flush(page)?;
        }
    }
    packer.flush(page)?;
    Ok(packer.directory)
}

struct Packer {
    lines: LineWriter,
    room: Vec<u8>,
    numbers: HashMap<(u32, u32, u32, Vec<u8>), u64>,
    /// By CPU, which context it had last.
    latest: HashMap<u32, (u64, u64)>,
    block: Block,
    directory: EventDirectory,
}

#[derive(Default)]
struct Block {
    times: Vec<u64>,
    kinds: Vec<u16>,
    contexts: Vec<u64>,
    /// By kind, by field, a line for each event.
    texts: BTreeMap<u16, Vec<Vec<u8>>>,
    bytes: usize,
}

impl Packer {
    fn new(trace: &Trace) -> Self {
        let lines = LineWriter::new(trace.schema(), LineFormat::Text);
        Self {
            lines: lines.with_symbols(trace.symbols()),
            room: Vec::new(),
            numbers: HashMap::new(),
            latest: HashMap::new(),
            block: Block::default(),
            directory: EventDirectory::default(),
        }
    }

    fn add(&mut self, record: &Record<'_>) {
        let context = self.context(record);
        let block = &mut self.block;
        block.times.push(record.at.0);
        block.kinds.push(record.event.0);
        block.contexts.push(context);
        let columns = block.texts.entry(record.event.0).or_default();
        let (mut field, mut bytes) = (0, 0);
        self.lines.each_field(record, &mut self.room, |_, text| {
            if columns.len() == field {
                columns.push(Vec::new());
            }
            let column = &mut columns[field];
            let length = column.len();
            push_cut(column, text);
            column.push(b'\n');
            bytes += column.len() - length;
            field += 1;
        });
        block.bytes += bytes;
    }

    /// Number of a record's CPU and thread.
    fn context(&mut self, record: &Record<'_>) -> u64 {
        let (cpu, context) = (record.cpu.0, record.context);
        if let Some((generation, number)) = self.latest.get(&cpu)
            && *generation == context.generation
        {
            return *number;
        }
        let key = (cpu, context.tid.0, context.pid.0, context.comm.clone());
        let next = u64::try_from(self.numbers.len()).unwrap_or(u64::MAX);
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            let mut comm = Vec::new();
            push_text(&mut comm, &context.comm);
            let comm = String::from_utf8_lossy(&comm).into_owned();
            let contexts = &mut self.directory.contexts;
            contexts.push((cpu, context.tid.0, context.pid.0, comm));
        }
        self.latest.insert(cpu, (context.generation, number));
        number
    }

    fn flush(&mut self, page: &mut Page<'_>) -> Result<(), HtmlError> {
        let block = std::mem::take(&mut self.block);
        let (Some(first), Some(last)) = (block.times.first(), block.times.last()) else {
            return Ok(());
        };
        let mut columns = Columns::new(4);
        let mut before = *first;
        for time in &block.times {
            columns.push(TIMES, time.saturating_sub(before));
            before = *time;
        }
        let mut kinds: BTreeMap<u16, usize> = BTreeMap::new();
        for kind in &block.kinds {
            columns.push(KINDS, u64::from(*kind));
            *kinds.entry(*kind).or_default() += 1;
        }
        for context in &block.contexts {
            columns.push(CONTEXTS, *context);
        }
        for texts in block.texts.values().flatten() {
            columns.extend(TEXTS, texts);
        }
        let number = self.directory.blocks.len();
        let count = block.times.len();
        self.directory.blocks.push(BlockInfo {
            first: self.directory.events,
            count,
            from_ns: *first,
            to_ns: *last,
            kinds: kinds.into_iter().collect(),
        });
        self.directory.events += u64::try_from(count).unwrap_or(0);
        page.block(&format!("events-{number}"), &columns.finish())?;
        Ok(())
    }
}

/// Adds a text, at most so much of it.
fn push_cut(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() <= FIELD_BYTES_MAX {
        return out.extend_from_slice(text);
    }
    let is_boundary = |at: &usize| text[*at] & 0xC0 != 0x80;
    let end = (0..=FIELD_BYTES_MAX).rev().find(is_boundary).unwrap_or(0);
    out.extend_from_slice(&text[..end]);
    out.extend_from_slice("\u{2026}".as_bytes());
}
