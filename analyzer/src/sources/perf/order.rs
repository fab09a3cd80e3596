//! Records in order of time.
//!
//! A file has rounds of records, a run for each CPU's buffer in each, and marks between them. What comes after the next mark
//! is to be later than all that came before the last, but perf does not always hold to that: so some more rounds are kept, as
//! where records are and when.

use std::collections::VecDeque;

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use super::attr::{Attr, Sample};
use super::file::{COMPRESSED, COMPRESSED2, FINISHED_ROUND, PerfFile, RECORD_BYTES, RecordHeader};
use crate::sources::ftrace::Bytes;

/// Kind of record: a sample. Those of perf itself start at the other.
pub(super) const SAMPLE: u32 = 9;
const FIRST_OF_PERF: u32 = 64;

/// Rounds that records can be late by, as long as no more records than that wait. One round is what perf promises; 15 were
/// seen where rounds were of five records.
const ROUNDS_KEPT: usize = 64;
const RECORDS_KEPT: usize = 1 << 20;

/// More than perf unpacks between two marks, ever.
const UNPACKED_BYTES_MAX: usize = 1 << 30;
const UNPACK_STEP: usize = 128 << 10;

/// Walks over the records of a file.
pub(super) struct Order<'t> {
    file: &'t [u8],
    parts: &'t PerfFile,
    /// Where the next record is, and the end of all.
    at: usize,
    end: usize,
    /// Records that wait.
    waiting: Vec<Entry>,
    /// Records in order, the next first.
    ready: VecDeque<Entry>,
    /// The latest stamp of all, and what it was at the end of each round that is kept.
    latest: u64,
    limits: VecDeque<u64>,
    decoder: Option<Decoder<'static>>,
    /// Unpacked records that are still needed, and how many bytes were dropped before them.
    unpacked: Vec<u8>,
    dropped: usize,
    /// Where the first unpacked record is that is not yet known.
    unpacked_at: usize,
    /// What is wrong, if something is.
    pub(super) damage: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    time: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    File(usize),
    Unpacked(usize),
}

/// A record.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerfRecord<'a> {
    pub(super) header: RecordHeader,
    /// What was sampled.
    pub(super) attr: &'a Attr,
    pub(super) body: &'a [u8],
    /// When; 0 for what perf says of the time before.
    pub(super) time: u64,
}

impl std::fmt::Debug for Order<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Order")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<'t> Order<'t> {
    pub(super) fn new(file: &'t [u8], parts: &'t PerfFile) -> Self {
        let (at, size) = parts.records;
        Self {
            file,
            parts,
            at,
            end: at.saturating_add(size).min(file.len()),
            waiting: Vec::new(),
            ready: VecDeque::new(),
            latest: 0,
            limits: VecDeque::new(),
            decoder: None,
            unpacked: Vec::new(),
            dropped: 0,
            unpacked_at: 0,
            damage: parts
                .is_cut
                .then(|| "the file ends before its records do".to_owned()),
        }
    }

    /// The next record; `None` at the end.
    pub(super) fn next(&mut self) -> Option<PerfRecord<'_>> {
        while self.ready.is_empty() {
            if !self.read() {
                self.release(u64::MAX);
                break;
            }
        }
        let entry = self.ready.pop_front()?;
        self.record(entry)
    }

    /// Goes over all records as the file has them, in no order.
    pub(super) fn scan(mut self, mut visit: impl FnMut(&PerfRecord<'_>)) {
        while self.read() {
            for entry in std::mem::take(&mut self.waiting) {
                if let Some(record) = self.record(entry) {
                    visit(&record);
                }
            }
        }
    }

    fn record(&self, entry: Entry) -> Option<PerfRecord<'_>> {
        let bytes = self.bytes(entry.place);
        let header = RecordHeader::parse(bytes, self.parts.is_big_endian)?;
        let body = bytes.get(RECORD_BYTES..header.size)?;
        Some(PerfRecord {
            header,
            attr: self.parts.attr_of(&header, body)?,
            body,
            time: entry.time,
        })
    }

    fn bytes(&self, place: Place) -> &[u8] {
        match place {
            Place::File(at) => self.file.get(at..).unwrap_or(&[]),
            Place::Unpacked(at) => self
                .unpacked
                .get(at.saturating_sub(self.dropped)..)
                .unwrap_or(&[]),
        }
    }

    /// Reads a record of the file; whether there was one.
    fn read(&mut self) -> bool {
        let file = self.file;
        let rest = file.get(self.at..self.end).unwrap_or(&[]);
        if rest.is_empty() {
            return false;
        }
        let header = RecordHeader::parse(rest, self.parts.is_big_endian);
        let body = header.and_then(|header| Some((header, rest.get(RECORD_BYTES..header.size)?)));
        let Some((header, body)) = body else {
            let at = self.at;
            self.damage
                .get_or_insert_with(|| format!("no record can be read at {at:#x}"));
            self.at = self.end;
            return false;
        };
        let place = Place::File(self.at);
        self.at = (self.at + header.size)
            .saturating_add(header.followed_by(body, self.parts.is_big_endian));
        match header.kind {
            FINISHED_ROUND => self.finish_round(),
            COMPRESSED | COMPRESSED2 => self.unpack(header.kind, body),
            _ => {
                let time = self.parts.time_of(&header, body);
                self.add(&header, time, place);
            }
        }
        true
    }

    fn add(&mut self, header: &RecordHeader, time: Option<u64>, place: Place) {
        if header.kind < FIRST_OF_PERF {
            let time = time.unwrap_or(0);
            self.latest = self.latest.max(time);
            self.waiting.push(Entry { time, place });
        }
    }

    /// What is not later than all rounds but the last ones is complete.
    fn finish_round(&mut self) {
        self.limits.push_back(self.latest);
        let is_many = self.waiting.len() > RECORDS_KEPT && self.limits.len() > 1;
        if (is_many || self.limits.len() > ROUNDS_KEPT)
            && let Some(limit) = self.limits.pop_front()
        {
            self.release(limit);
        }
    }

    /// Hands out what is not later than `limit`.
    fn release(&mut self, limit: u64) {
        // The order of the file decides between equal stamps: the sort keeps it, across rounds as well.
        self.waiting.sort_by_key(|entry| entry.time);
        let count = self.waiting.partition_point(|entry| entry.time <= limit);
        self.ready.extend(self.waiting.drain(..count));
    }

    /// Unpacks what a record holds: a part of a stream of records.
    fn unpack(&mut self, kind: u32, body: &[u8]) {
        let data = match kind {
            COMPRESSED2 => {
                let mut reader = Bytes::new(body, self.parts.is_big_endian);
                let size = reader.size().unwrap_or(0);
                reader.rest().get(..size).unwrap_or(reader.rest())
            }
            _ => body,
        };
        self.drop_done();
        if self.inflate(data).is_none() {
            self.damage
                .get_or_insert_with(|| "compressed records cannot be unpacked".to_owned());
            self.at = self.end;
        }
        loop {
            let start = self.unpacked_at - self.dropped;
            let rest = self.unpacked.get(start..).unwrap_or(&[]);
            let header = RecordHeader::parse(rest, self.parts.is_big_endian);
            let Some(header) = header.filter(|header| header.size <= rest.len()) else {
                return;
            };
            let time = self
                .parts
                .time_of(&header, &rest[RECORD_BYTES..header.size]);
            let place = Place::Unpacked(self.unpacked_at);
            self.unpacked_at += header.size;
            self.add(&header, time, place);
        }
    }

    /// Forgets unpacked records when none of them is waited for.
    fn drop_done(&mut self) {
        let all = self.waiting.iter().chain(&self.ready);
        let first = all.filter_map(|entry| match entry.place {
            Place::Unpacked(at) => Some(at),
            Place::File(_) => None,
        });
        let first = first.min().unwrap_or(self.unpacked_at);
        let done = first.saturating_sub(self.dropped);
        if done > self.unpacked.len() / 2 {
            self.unpacked.drain(..done.min(self.unpacked.len()));
            self.dropped += done;
        }
    }

    fn inflate(&mut self, data: &[u8]) -> Option<()> {
        if self.decoder.is_none() {
            self.decoder = Decoder::new().ok();
        }
        let decoder = self.decoder.as_mut()?;
        let mut input = InBuffer::around(data);
        loop {
            let start = self.unpacked.len();
            if start > UNPACKED_BYTES_MAX {
                return None;
            }
            self.unpacked.resize(start + UNPACK_STEP, 0);
            let mut output = OutBuffer::around(&mut self.unpacked[start..]);
            let hint = decoder.run(&mut input, &mut output);
            let written = output.pos();
            self.unpacked.truncate(start + written);
            if hint.ok()? == 0 && input.pos() < data.len() {
                decoder.reinit().ok()?;
            }
            if input.pos() == data.len() && written < UNPACK_STEP {
                return Some(());
            }
        }
    }
}

impl PerfFile {
    /// What was sampled, of a record.
    pub(super) fn attr_of(&self, header: &RecordHeader, body: &[u8]) -> Option<&Attr> {
        let first = self.attrs.first()?;
        if self.attrs.len() == 1 {
            return Some(first);
        }
        let id = match header.kind {
            SAMPLE => first.id_of_sample(body, self.is_big_endian),
            _ => first.id_of_record(body, self.is_big_endian),
        };
        let index = id.and_then(|id| self.ids.get(&id).copied());
        self.attrs.get(index.unwrap_or(0))
    }

    /// When a record was made.
    fn time_of(&self, header: &RecordHeader, body: &[u8]) -> Option<u64> {
        let attr = self.attr_of(header, body)?;
        match header.kind {
            SAMPLE => attr.time_of_sample(body, self.is_big_endian),
            _ => attr.record(body, self.is_big_endian).time,
        }
    }

    /// What is known of a record.
    pub(super) fn sample_of<'a>(
        &self,
        header: &RecordHeader,
        body: &'a [u8],
        attr: &Attr,
    ) -> Sample<'a> {
        match header.kind {
            SAMPLE => attr.sample(body, self.is_big_endian).unwrap_or_default(),
            _ => attr.record(body, self.is_big_endian),
        }
    }
}
