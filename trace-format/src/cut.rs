//! Copies a range of time of a trace into a new file, which is complete by itself.
//!
//! Chunks within the range are copied as they are; those that it cuts through are written anew, and begin with what was
//! true at the cut. A CPU without a chunk there has one that only says what was true. Memory holds one chunk.

use std::collections::BTreeMap;
use std::io::{Seek, Write};

use crate::chunk::Chunk;
use crate::chunk_info::ChunkInfo;
use crate::contents::StickyFields;
use crate::diagnostic::Diagnostic;
use crate::header::{END_CUT, Trailer};
use crate::part::{Piece, TscSpan};
use crate::plain::PlainRecord;
use crate::reader::{ReadError, TraceFile};
use crate::salvage::END_CUT_OFF;
use crate::schema::EventId;
use crate::stats::Counter;
use crate::write_error::WriteError;
use crate::writer::{ChunkMeta, NewChunk, TraceWriter, WriterOptions};

/// What to copy.
#[derive(Clone, Debug, Default)]
pub struct CutWish {
    /// Which times.
    pub span: TscSpan,
    /// Which CPUs; empty for all.
    pub cpus: Vec<u32>,
    /// Which events, ascending; empty for all. Sticky ones come along.
    pub events: Vec<EventId>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Chunks that were written.
    pub chunks: usize,
    /// Events in them: records without repetitions.
    pub records: u64,
    /// Damaged chunks, which are missing in the new file as they are in the old one.
    pub damage: Vec<Diagnostic>,
}

/// Sticky records by event: the newest of each.
type State = BTreeMap<EventId, PlainRecord>;

/// A cut in the making.
struct Cutter<'f, W: Write + Seek> {
    file: &'f TraceFile,
    wish: &'f CutWish,
    sticky: StickyFields,
    writer: TraceWriter<W>,
    done: Cut,
    lost: u64,
}

/// Copies what is wished for of `file` into `out`, and gives that back.
///
/// # Errors
/// When the output fails.
pub fn cut<W: Write + Seek>(
    file: &TraceFile,
    wish: &CutWish,
    out: W,
) -> Result<(W, Cut), WriteError> {
    let options = WriterOptions {
        compression_level: 0,
    };
    let mut writer = TraceWriter::of_part(out, file.header(), options, part_of(file, wish))?;
    let table = file.symbols();
    writer.write_symbols(table.kernel_slide.unwrap_or(0), &table.symbols)?;
    let mut cutter = Cutter {
        file,
        wish,
        sticky: StickyFields::of(&file.header().schema),
        writer,
        done: Cut::default(),
        lost: 0,
    };
    cutter.copy()?;
    let trailer = cutter.trailer();
    Ok((cutter.writer.finish(&trailer)?, cutter.done))
}

/// What the cut says it is; `None` when it is everything.
fn part_of(file: &TraceFile, wish: &CutWish) -> Option<Piece> {
    let is_all = wish.span == TscSpan::default() && wish.cpus.is_empty() && wish.events.is_empty();
    if is_all && file.part().is_none() {
        return None;
    }
    let before = file.part().cloned().unwrap_or_default();
    let mut spans = spans_of(file);
    for span in &mut spans {
        span.from_tsc = span.from_tsc.max(wish.span.from_tsc);
        span.to_tsc = match (span.to_tsc, wish.span.to_tsc) {
            (Some(to), Some(wish)) => Some(to.min(wish)),
            (to, wish) => to.or(wish),
        };
    }
    spans.retain(|span| span.to_tsc.is_none_or(|to| span.from_tsc.unwrap_or(0) < to));
    let mut only_cpus = wish.cpus.clone();
    only_cpus.sort_unstable();
    only_cpus.retain(|cpu| before.only_cpus.is_empty() || before.only_cpus.contains(cpu));
    let schema = &file.header().schema;
    let names = wish.events.iter().filter_map(|event| schema.event(*event));
    let mut only_events: Vec<String> = names.map(|event| event.name.clone()).collect();
    only_events.retain(|name| before.only_events.is_empty() || before.only_events.contains(name));
    if wish.cpus.is_empty() {
        only_cpus = before.only_cpus;
    }
    if wish.events.is_empty() {
        only_events = before.only_events;
    }
    Some(Piece {
        origin_tsc: Some(file.origin_tsc()),
        number: None,
        cpus: Vec::new(),
        spans,
        only_cpus,
        only_events,
    })
}

/// Times that a file holds.
pub(crate) fn spans_of(file: &TraceFile) -> Vec<TscSpan> {
    let Some(part) = file.part() else {
        return vec![TscSpan::default()];
    };
    if part.number.is_none() {
        return match &part.spans[..] {
            [] => vec![TscSpan::default()],
            spans => spans.to_vec(),
        };
    }
    // One of several files, by itself: from its first record to its last.
    let chunks = || file.chunks().iter();
    let first = chunks().map(|chunk| chunk.first_tsc).min();
    let last = chunks().map(|chunk| chunk.last_tsc.saturating_add(1)).max();
    let is_first = part.number == Some(0);
    vec![TscSpan {
        from_tsc: first.filter(|_| !is_first),
        to_tsc: last,
    }]
}

impl<W: Write + Seek> Cutter<'_, W> {
    fn copy(&mut self) -> Result<(), WriteError> {
        let from = self.wish.span.from_tsc.unwrap_or(0);
        let is_wanted = |chunk: &ChunkInfo| {
            let cpus = &self.wish.cpus;
            cpus.is_empty() || cpus.contains(&chunk.cpu)
        };
        let (chunks, mut next) = (self.file.chunks(), BTreeMap::new());
        // By CPU the last chunk that ends before the range: it says what is true at the cut.
        let mut before: BTreeMap<u32, usize> = BTreeMap::new();
        let mut inside = Vec::new();
        for (index, chunk) in chunks
            .iter()
            .enumerate()
            .filter(|(_, chunk)| is_wanted(chunk))
        {
            if chunk.last_tsc < from {
                before.insert(chunk.cpu, index);
                next.insert(chunk.cpu, chunk.sequence.saturating_add(1));
            } else if self.wish.span.to_tsc.is_none_or(|to| chunk.first_tsc < to) {
                inside.push(index);
            }
        }
        for (cpu, index) in before {
            if let Some(chunk) = self.read(index) {
                let state = self.state(&chunk, u64::MAX);
                self.write(cpu, &state, None, 0)?;
            }
        }
        for index in inside {
            let info = chunks[index];
            let expected = next.insert(info.cpu, info.sequence.saturating_add(1));
            // What is missing before the first one of all lies before the cut.
            let missing = expected.map_or(0, |next| info.sequence.saturating_sub(next));
            if let Some(chunk) = self.read(index) {
                self.take(index, &chunk, missing)?;
            } else {
                next.insert(info.cpu, info.sequence);
            }
        }
        Ok(())
    }

    fn read(&mut self, index: usize) -> Option<Chunk> {
        match self.file.read_chunk(index) {
            Ok(chunk) => Some(chunk),
            Err(ReadError::Damaged(finding)) => {
                self.done.damage.push(finding);
                None
            }
            Err(_) => None,
        }
    }

    /// What is true on a CPU in a chunk just before a tick.
    fn state(&self, chunk: &Chunk, before_tsc: u64) -> State {
        let records = chunk
            .records()
            .take_while(|record| record.tsc() < before_tsc);
        let sticky = records.filter(|record| self.sticky.0.contains_key(&record.event()));
        sticky
            .map(|record| (record.event(), PlainRecord::of(record)))
            .collect()
    }

    /// Copies what is in the range of a chunk.
    fn take(&mut self, index: usize, chunk: &Chunk, missing: u64) -> Result<(), WriteError> {
        let (info, span) = (*chunk.info(), self.wish.span);
        let is_whole = span.has(info.first_tsc) && span.has(info.last_tsc);
        if is_whole && self.wish.events.is_empty() {
            let Ok(payload) = self.file.chunk_payload(index) else {
                return Ok(());
            };
            self.writer.adopt_chunk(payload, chunk, missing)?;
            self.note(info.record_count, info.sticky_count, info.lost_before);
            return Ok(());
        }
        if span.has(info.first_tsc) {
            // It begins within: its repetitions and what was lost before it stay.
            return self.write(info.cpu, &State::new(), Some(chunk), missing);
        }
        let state = self.state(chunk, span.from_tsc.unwrap_or(0));
        self.write(info.cpu, &state, Some(chunk), 0)
    }

    /// Writes a chunk that begins with what is true, and has what is in the range of another.
    fn write(
        &mut self,
        cpu: u32,
        state: &State,
        chunk: Option<&Chunk>,
        missing: u64,
    ) -> Result<(), WriteError> {
        let (wish, sticky) = (self.wish, &self.sticky);
        let stamp = wish.span.from_tsc.unwrap_or(0);
        self.writer.begin_chunk(cpu);
        let (mut sticky_count, mut count, mut lost_before) = (0, 0, 0);
        for record in state.values() {
            self.writer.push_record(stamp, &record.as_record())?;
            (sticky_count, count) = (sticky_count + 1, count + 1);
        }
        if let Some(chunk) = chunk {
            let info = chunk.info();
            let begins_within = state.is_empty() && wish.span.has(info.first_tsc);
            lost_before = if begins_within { info.lost_before } else { 0 };
            for (position, record) in chunk.records().enumerate() {
                let is_repeated = position < info.sticky_count as usize;
                let event = record.event();
                let is_wanted = wish.events.is_empty()
                    || wish.events.contains(&event)
                    || sticky.0.contains_key(&event);
                if !wish.span.has(record.tsc()) || !is_wanted || (is_repeated && !begins_within) {
                    continue;
                }
                self.writer
                    .push_record(record.tsc(), &PlainRecord::of(record).as_record())?;
                sticky_count += u32::from(is_repeated);
                count += 1;
            }
        }
        if count == 0 && lost_before == 0 && missing == 0 {
            return Ok(());
        }
        let meta = ChunkMeta { cpu, lost_before };
        self.writer.end_chunk(&NewChunk {
            meta,
            missing,
            sticky_count,
        })?;
        self.note(count, sticky_count, lost_before);
        Ok(())
    }

    fn note(&mut self, count: u32, sticky_count: u32, lost: u64) {
        self.done.chunks += 1;
        self.done.records += u64::from(count - sticky_count);
        self.lost = self.lost.saturating_add(lost);
    }

    /// The recording's trailer, with the cut's own counts.
    fn trailer(&self) -> Trailer {
        let mut trailer = self.file.trailer().cloned().unwrap_or_else(|| Trailer {
            end_reason: END_CUT_OFF.to_owned(),
            kernel_slide: self.file.symbols().kernel_slide,
            ..Trailer::default()
        });
        let last = self.file.chunks().iter().map(|chunk| chunk.last_tsc).max();
        let to = self.wish.span.to_tsc;
        let has_end = to.is_none_or(|to| last.is_none_or(|last| last < to));
        if !has_end {
            END_CUT.clone_into(&mut trailer.end_reason);
        }
        trailer
            .stats
            .set(Counter::RecordsWritten, self.done.records);
        let counter = match trailer.stats.get(Counter::RecordsOverwritten) {
            0 => Counter::RecordsLost,
            _ => Counter::RecordsOverwritten,
        };
        let chunks = self.file.chunks().iter();
        let told = trailer.stats.get(counter);
        let behind = chunks.fold(told, |told, chunk| told.saturating_sub(chunk.lost_before));
        let lost = if has_end {
            self.lost.saturating_add(behind)
        } else {
            self.lost
        };
        trailer.stats.set(counter, lost);
        trailer
    }
}
