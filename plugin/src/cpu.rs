//! What the recorder keeps per CPU: how it fetches, the thread that runs, and for each session its buffers.
//!
//! Budget: no allocation but for sticky events, no formatting, no I/O.

use guesttrace_filter::Context;
use probe_plan::{
    Entry, FieldSink, GuestView, Interpreter, ModuleMap, Plan, Program, RuntimeAddr, SAVED_MAX,
    Slide,
};
use trace_format::{EventId, Record, RecordBuffer, RecordEncoder};

use crate::memory::{GuardedGuest, MemoryMap, PageCache};
use crate::retries::Execution;
use crate::row::{Asked, Thread};
use crate::track::Track;

/// One CPU's share of the recorder.
#[derive(Debug)]
pub(crate) struct CpuRecorder {
    pub(crate) fetcher: Fetcher,
    /// For what is fetched while an event is held.
    pub(crate) walker: Fetcher,
    pub(crate) thread: Thread,
    pub(crate) sticky: Vec<StickyRecord>,
    /// By the index of the session.
    pub(crate) tracks: Vec<Track>,
    /// Times that each hook of the plan fired here.
    pub(crate) fired: Vec<u64>,
    /// The place of a program that was reached last.
    pub(crate) last_user: Option<Execution>,
}

/// Runs programs and holds the one record that was fetched last.
#[derive(Debug)]
pub(crate) struct Fetcher {
    interpreter: Interpreter,
    /// For what filters ask between the start of a program and its fields.
    asking: Interpreter,
    pages: PageCache,
    scratch: RecordBuffer,
    /// Fields of the record that could not be fetched, as bits.
    unread: u32,
}

/// The newest record of a sticky event.
#[derive(Debug)]
pub(crate) struct StickyRecord {
    event: EventId,
    missing: u32,
    payload: Vec<u8>,
}

/// Which fields of an event a session keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    All,
    /// By field.
    Some(Vec<bool>),
}

impl Keep {
    /// The kept fields, as bits.
    fn mask(&self) -> u32 {
        match self {
            Self::All => u32::MAX,
            Self::Some(kept) => (kept.iter().enumerate())
                .map(|(index, kept)| u32::from(*kept) << (index & 31))
                .fold(0, |mask, bit| mask | bit),
        }
    }
}

impl CpuRecorder {
    pub(crate) fn new(cpu: usize, plan: &Plan, slide: Slide, modules: &ModuleMap) -> Self {
        Self {
            fetcher: Fetcher::new(plan, slide, modules),
            walker: Fetcher::new(plan, slide, modules),
            thread: Thread::idle(cpu, plan.thread.as_ref()),
            sticky: Vec::new(),
            tracks: Vec::new(),
            fired: vec![0; plan.hooks.len()],
            last_user: None,
        }
    }

    /// Keeps what was fetched last to open buffers with.
    pub(crate) fn keep_sticky(&mut self) {
        let Some(record) = self.fetcher.record() else {
            return;
        };
        let index = self
            .sticky
            .iter()
            .position(|kept| kept.event == record.event)
            .unwrap_or_else(|| {
                self.sticky.push(StickyRecord {
                    event: record.event,
                    missing: 0,
                    payload: Vec::new(),
                });
                self.sticky.len() - 1
            });
        let kept = &mut self.sticky[index];
        kept.missing = record.missing;
        kept.payload.clear();
        kept.payload.extend_from_slice(record.payload);
    }
}

impl Fetcher {
    fn new(plan: &Plan, slide: Slide, modules: &ModuleMap) -> Self {
        let interpreter = || Interpreter::new(slide).with_modules(modules.clone());
        Self {
            interpreter: interpreter().with_unwind(plan.unwind.clone()),
            asking: interpreter(),
            pages: PageCache::new(slide),
            // The smallest buffer has room for any record.
            scratch: RecordBuffer::new(0),
            unread: 0,
        }
    }

    /// Starts a program. Returns whether its record is wanted.
    pub(crate) fn begin(
        &mut self,
        program: &Program,
        probe: RuntimeAddr,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) -> bool {
        let mut guest = GuardedGuest::new(guest, memory, &mut self.pages);
        self.interpreter.begin(program, probe, &mut guest)
    }

    /// Fetches the fields of the program that was started.
    pub(crate) fn fetch(
        &mut self,
        program: &Program,
        event: EventId,
        probe: RuntimeAddr,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) {
        self.scratch.clear();
        // An empty buffer has room for any record.
        let Ok(encoder) = self.scratch.begin(0, event) else {
            return;
        };
        let mut guest = GuardedGuest::within_probe(guest, memory, &mut self.pages);
        let mut sink = EncoderSink { encoder };
        self.interpreter
            .fetch(program, probe, &mut guest, &mut sink);
        sink.encoder.finish();
        self.unread = self.interpreter.unread();
    }

    /// Makes a record without fields of an event that needs none.
    pub(crate) fn fetch_nothing(&mut self, event: EventId) {
        self.scratch.clear();
        self.unread = 0;
        if let Ok(encoder) = self.scratch.begin(0, event) {
            encoder.finish();
        }
    }

    /// How many fields that are kept of it could not be fetched; those that have no value do not count.
    pub(crate) fn unread_count(&self, keep: &Keep) -> u32 {
        (self.unread & keep.mask()).count_ones()
    }

    /// What was fetched last.
    pub(crate) fn record(&self) -> Option<Record<'_>> {
        self.scratch.last_record()
    }

    /// Two numbers that a program fetches.
    pub(crate) fn pair(
        &mut self,
        program: &Program,
        probe: RuntimeAddr,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) -> Option<(u64, u64)> {
        let numbers = self.values(program, probe, memory, guest);
        Some((numbers[0]?, numbers[1]?))
    }

    /// The first numbers that a program fetches.
    pub(crate) fn values(
        &mut self,
        program: &Program,
        probe: RuntimeAddr,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) -> [Option<u64>; SAVED_MAX] {
        let mut guest = GuardedGuest::new(guest, memory, &mut self.pages);
        let mut sink = NumberSink::default();
        if self.asking.begin(program, probe, &mut guest) {
            self.asking.fetch(program, probe, &mut guest, &mut sink);
        }
        sink.numbers
    }

    /// What the next program finds of its function's entry.
    pub(crate) fn set_entry(&mut self, entry: Entry) {
        self.interpreter.set_entry(entry);
    }

    /// Asks the guest for what a filter wants to know of the thread.
    pub(crate) fn ask(
        &mut self,
        (context, program): (Context, &Program),
        asked: &mut Asked,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) {
        let mut guest = GuardedGuest::new(guest, memory, &mut self.pages);
        if context.is_bytes() {
            let mut sink = TextSink { asked };
            let nowhere = RuntimeAddr(0);
            if self.asking.begin(program, nowhere, &mut guest) {
                self.asking.fetch(program, nowhere, &mut guest, &mut sink);
            }
        } else {
            let number = self.asking.number(program, RuntimeAddr(0), &mut guest);
            asked.set_number(context, number);
        }
    }

    /// One number that a program of a walk computes.
    pub(crate) fn number(
        &mut self,
        program: &Program,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) -> Option<u64> {
        let mut guest = GuardedGuest::new(guest, memory, &mut self.pages);
        self.asking.number(program, RuntimeAddr(0), &mut guest)
    }

    /// Reads a pointer of the guest.
    pub(crate) fn pointer(
        &mut self,
        addr: u64,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) -> Option<u64> {
        let mut guest = GuardedGuest::new(guest, memory, &mut self.pages);
        let mut bytes = [0; 8];
        guest
            .read(addr, &mut bytes)
            .then(|| u64::from_le_bytes(bytes))
    }
}

impl StickyRecord {
    /// The record, as one of that stamp.
    pub(crate) fn record(&self, stamp: u64) -> Record<'_> {
        Record {
            stamp,
            event: self.event,
            missing: self.missing,
            payload: &self.payload,
        }
    }
}

/// Hands fetched values to the record encoder.
struct EncoderSink<'a> {
    encoder: RecordEncoder<'a>,
}

impl FieldSink for EncoderSink<'_> {
    fn number(&mut self, value: Option<u64>) {
        match value {
            Some(value) => self.encoder.push_number(value),
            None => self.encoder.push_missing_number(),
        }
    }

    fn bytes(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.encoder.push_bytes(value),
            None => self.encoder.push_missing_bytes(),
        }
    }
}

/// Keeps the first numbers.
#[derive(Default)]
struct NumberSink {
    numbers: [Option<u64>; SAVED_MAX],
    count: usize,
}

impl FieldSink for NumberSink {
    fn number(&mut self, value: Option<u64>) {
        if let Some(slot) = self.numbers.get_mut(self.count) {
            *slot = value;
        }
        self.count += 1;
    }

    fn bytes(&mut self, _value: Option<&[u8]>) {
        self.count += 1;
    }
}

/// Keeps a text that a filter asks for.
struct TextSink<'a> {
    asked: &'a mut Asked,
}

impl FieldSink for TextSink<'_> {
    fn number(&mut self, _value: Option<u64>) {}

    fn bytes(&mut self, value: Option<&[u8]>) {
        self.asked.set_text(value);
    }
}
