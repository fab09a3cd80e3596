//! One CPU of several traces: its records in one order.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, Write};

use crate::chunk::Chunk;
use crate::chunk_info::ChunkInfo;
use crate::contents::StickyFields;
use crate::diagnostic::Diagnostic;
use crate::part::TscSpan;
use crate::plain::PlainRecord;
use crate::reader::{ReadError, TraceFile};
use crate::schema::EventId;
use crate::write_error::WriteError;
use crate::writer::{ChunkMeta, NewChunk, TraceWriter};

/// Plain records that make a chunk.
const CHUNK_BYTES: usize = 256 << 10;
/// Most records of one tick that are compared with those of another trace; a guest has a handful.
const TICK_RECORDS_MAX: usize = 256;

/// One CPU.
pub(super) struct Lane<'f> {
    pub(super) cpu: u32,
    cursors: Vec<Cursor<'f>>,
    sticky: StickyFields,
    /// What is true now.
    state: BTreeMap<EventId, PlainRecord>,
}

/// One trace's records of the CPU.
struct Cursor<'f> {
    file: &'f TraceFile,
    /// Positions of its chunks, the next one last.
    chunks: Vec<usize>,
    chunk: Option<(usize, Chunk)>,
    position: usize,
    next_sequence: u64,
    loss: Loss,
    /// What the chunk says to be true at its start; taken where that is not known otherwise.
    repeated: Vec<PlainRecord>,
}

/// What is missing before the next record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Loss {
    count: u64,
    /// More than can be counted.
    is_unknown: bool,
    /// Whether the chunk itself says all of it.
    is_of_chunk: bool,
}

impl<'f> Lane<'f> {
    /// The CPUs of all files.
    pub(super) fn of(files: &[&'f TraceFile], gaps: &[TscSpan]) -> Vec<Self> {
        let all = files.iter().flat_map(|file| file.chunks());
        let cpus: BTreeSet<u32> = all.map(|chunk| chunk.cpu).collect();
        let sticky = |cpu: u32| {
            let mut joined = StickyFields::default();
            for file in files
                .iter()
                .filter(|file| file.chunks().iter().any(|chunk| chunk.cpu == cpu))
            {
                joined.0.extend(StickyFields::of(&file.header().schema).0);
            }
            joined
        };
        let lane = |cpu: u32| Self {
            cpu,
            cursors: files
                .iter()
                .map(|file| Cursor::new(file, cpu, gaps))
                .collect(),
            sticky: sticky(cpu),
            state: BTreeMap::new(),
        };
        cpus.into_iter().map(lane).collect()
    }

    /// Tick of the next record, or of a loss behind the last one.
    pub(super) fn next_tsc(&mut self, damage: &mut Vec<Diagnostic>) -> Option<u64> {
        let cursors = self.cursors.iter_mut();
        let next = cursors.filter_map(|cursor| cursor.next_tsc(damage)).min();
        let is_left = |cursor: &Cursor<'_>| cursor.loss.count > 0;
        next.or_else(|| self.cursors.iter().any(is_left).then_some(u64::MAX))
    }

    /// Writes the next chunk; something must be left.
    pub(super) fn write_chunk<W: Write + Seek>(
        &mut self,
        writer: &mut TraceWriter<W>,
        damage: &mut Vec<Diagnostic>,
    ) -> Result<ChunkInfo, WriteError> {
        if let Some(index) = self.undisturbed(writer.recording(), damage) {
            return self.adopt(index, writer);
        }
        let start = self.next_tsc(damage).unwrap_or(u64::MAX);
        let loss = self.take_losses(start);
        writer.begin_chunk(self.cpu);
        let mut bytes = 0;
        let repeats_bytes = self.state.values().map(PlainRecord::bytes);
        let limit = CHUNK_BYTES + repeats_bytes.sum::<usize>();
        let mut sticky_count = 0;
        for record in self.state.values().filter(|_| start != u64::MAX) {
            writer.push_record(start, &record.as_record())?;
            sticky_count += 1;
            bytes += record.bytes();
        }
        let mut tick = start;
        while tick != u64::MAX && bytes < limit {
            for record in self.take_tick(tick) {
                writer.push_record(record.tsc, &record.as_record())?;
                bytes += record.bytes();
                if self.sticky.0.contains_key(&record.event) {
                    self.state.insert(record.event, record);
                }
            }
            tick = self.next_tsc(damage).unwrap_or(u64::MAX);
            let stops = |cursor: &Cursor<'_>| cursor.loss != Loss::default();
            if self
                .cursors
                .iter()
                .any(|cursor| cursor.is_at(tick) && stops(cursor))
            {
                break;
            }
        }
        let meta = ChunkMeta {
            cpu: self.cpu,
            lost_before: loss.count,
        };
        writer.end_chunk(&NewChunk {
            meta,
            missing: u64::from(loss.is_unknown),
            sticky_count,
        })
    }

    /// The cursor whose whole next chunk comes before all that the others have.
    fn undisturbed(&mut self, recording: u32, damage: &mut Vec<Diagnostic>) -> Option<usize> {
        let mut nexts = Vec::new();
        for cursor in &mut self.cursors {
            nexts.push(cursor.next_tsc(damage).unwrap_or(u64::MAX));
        }
        let (index, _) = nexts.iter().enumerate().min_by_key(|(_, tsc)| **tsc)?;
        let cursor = &self.cursors[index];
        let (_, chunk) = cursor.chunk.as_ref()?;
        let info = chunk.info();
        let is_fresh = cursor.position == info.sticky_count as usize
            && (cursor.loss == Loss::default() || cursor.loss.is_of_chunk);
        let mut others = nexts.iter().enumerate();
        let is_alone = others.all(|(other, tsc)| other == index || *tsc > info.last_tsc);
        (is_fresh && is_alone && cursor.file.recording() == recording).then_some(index)
    }

    /// Copies the next chunk of a cursor.
    fn adopt<W: Write + Seek>(
        &mut self,
        index: usize,
        writer: &mut TraceWriter<W>,
    ) -> Result<ChunkInfo, WriteError> {
        let cursor = &mut self.cursors[index];
        let loss = std::mem::take(&mut cursor.loss);
        let Some((at, chunk)) = cursor.chunk.take() else {
            return Err(WriteError::Vanished);
        };
        cursor.position = 0;
        for record in chunk.records() {
            if self.sticky.0.contains_key(&record.event()) {
                self.state.insert(record.event(), PlainRecord::of(record));
            }
        }
        let Ok(payload) = cursor.file.chunk_payload(at) else {
            return Err(WriteError::Vanished);
        };
        writer.adopt_chunk(payload, &chunk, u64::from(loss.is_unknown))
    }

    /// What is missing before a tick; what is true then is as the traces say that lack something.
    fn take_losses(&mut self, tick: u64) -> Loss {
        let mut joined = Loss::default();
        for cursor in self.cursors.iter_mut().filter(|cursor| cursor.is_at(tick)) {
            let loss = std::mem::take(&mut cursor.loss);
            joined.count = joined.count.saturating_add(loss.count);
            joined.is_unknown |= loss.is_unknown;
            for record in std::mem::take(&mut cursor.repeated) {
                if loss != Loss::default() || !self.state.contains_key(&record.event) {
                    self.state.insert(record.event, record);
                }
            }
        }
        joined
    }

    /// The records of one tick: those that several traces have only once, each trace's in its own order.
    fn take_tick(&mut self, tick: u64) -> Vec<PlainRecord> {
        let mut joined: Vec<PlainRecord> = Vec::new();
        for cursor in self.cursors.iter_mut().filter(|cursor| cursor.is_at(tick)) {
            let mut at = 0;
            for record in cursor.take(tick) {
                let rest = joined.get(at..).unwrap_or(&[]);
                match rest
                    .iter()
                    .take(TICK_RECORDS_MAX)
                    .position(|known| *known == record)
                {
                    Some(known) => at += known + 1,
                    None => {
                        joined.insert(at.min(joined.len()), record);
                        at += 1;
                    }
                }
            }
        }
        joined
    }
}

impl<'f> Cursor<'f> {
    fn new(file: &'f TraceFile, cpu: u32, gaps: &[TscSpan]) -> Self {
        let chunks = file.chunks().iter().enumerate();
        let own = chunks.filter(|(_, chunk)| chunk.cpu == cpu);
        let mut chunks: Vec<usize> = own.map(|(index, _)| index).collect();
        chunks.reverse();
        let part = file.part();
        let places = part.into_iter().flat_map(|part| &part.cpus);
        let place = places.into_iter().find(|place| place.cpu == cpu);
        let from = part
            .and_then(|part| part.spans.first())
            .and_then(|span| span.from_tsc);
        let after_gap = from.is_some() && gaps.iter().any(|gap| gap.to_tsc == from);
        Self {
            file,
            chunks,
            chunk: None,
            position: 0,
            next_sequence: place.map_or(0, |place| place.sequence),
            loss: Loss {
                is_unknown: after_gap,
                ..Loss::default()
            },
            repeated: Vec::new(),
        }
    }

    /// Tick of the next record, whose chunk is read if it has to be.
    fn next_tsc(&mut self, damage: &mut Vec<Diagnostic>) -> Option<u64> {
        loop {
            if let Some((_, chunk)) = &self.chunk {
                if let Some(tsc) = chunk.tscs().get(self.position) {
                    return Some(*tsc);
                }
                self.chunk = None;
            }
            let index = self.chunks.pop()?;
            match self.file.read_chunk(index) {
                Ok(chunk) => self.start(index, chunk),
                Err(ReadError::Damaged(finding)) => damage.push(finding),
                Err(_) => {}
            }
        }
    }

    fn start(&mut self, index: usize, chunk: Chunk) {
        let info = *chunk.info();
        let earlier = self.loss;
        let jumps = info.sequence > self.next_sequence;
        self.loss.is_unknown |= jumps;
        self.loss.count = self.loss.count.saturating_add(info.lost_before);
        self.loss.is_of_chunk = earlier.count == 0;
        if self.loss
            == (Loss {
                is_of_chunk: true,
                ..Loss::default()
            })
        {
            self.loss = Loss::default();
        }
        self.next_sequence = info.sequence.saturating_add(1);
        self.position = info.sticky_count as usize;
        let repeated = chunk.records().take(self.position);
        self.repeated = repeated.map(PlainRecord::of).collect();
        self.chunk = Some((index, chunk));
    }

    /// Whether its next record is at that tick; at none, whether something is missing at its end.
    fn is_at(&self, tick: u64) -> bool {
        let chunk = self.chunk.as_ref();
        let next = chunk.and_then(|(_, chunk)| chunk.tscs().get(self.position));
        next.copied().unwrap_or(u64::MAX) == tick
    }

    /// Takes the records of a tick off its chunk.
    fn take(&mut self, tick: u64) -> Vec<PlainRecord> {
        let mut taken = Vec::new();
        while let Some((_, chunk)) = &self.chunk
            && chunk.tscs().get(self.position) == Some(&tick)
        {
            taken.push(PlainRecord::of(chunk.record(self.position)));
            self.position += 1;
        }
        taken
    }
}
