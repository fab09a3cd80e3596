//! What the recorder keeps per CPU: the buffer being filled, the interpreter, the sticky records.
//!
//! Budget of [`CpuRecorder::record`]: no allocation but for sticky events, no formatting, no I/O.

use crossbeam_channel::Receiver;
use probe_plan::{FieldSink, GuestView, Interpreter, Program, RuntimeAddr, Slide};
use trace_format::{BufferFull, EventId, Record, RecordBuffer, RecordEncoder};

use crate::memory::{GuardedGuest, MemoryMap, PageCache};

/// One CPU's share of the recorder.
#[derive(Debug)]
pub(crate) struct CpuRecorder {
    pub(crate) current: RecordBuffer,
    /// The pair's other buffer until it is first used; afterwards it comes back through `free`.
    pub(crate) spare: Option<RecordBuffer>,
    pub(crate) free: Receiver<RecordBuffer>,
    interpreter: Interpreter,
    pages: PageCache,
    sticky: Vec<StickyRecord>,
    /// Times that each hook of the plan fired here.
    pub(crate) fired: Vec<u64>,
    pub(crate) fields_missing: u64,
}

/// The newest record of a sticky event.
#[derive(Debug)]
struct StickyRecord {
    event: EventId,
    missing: u32,
    payload: Vec<u8>,
}

/// Which event is recorded, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventSite {
    pub(crate) id: EventId,
    pub(crate) is_sticky: bool,
    pub(crate) probe: RuntimeAddr,
}

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A record was made.
    Recorded,
    /// The program's condition says no.
    NotWanted,
    /// There is no room: swap buffers and come again.
    Full,
}

impl CpuRecorder {
    pub(crate) fn new(
        current: RecordBuffer,
        free: Receiver<RecordBuffer>,
        slide: Slide,
        hook_count: usize,
    ) -> Self {
        Self {
            current,
            spare: None,
            free,
            interpreter: Interpreter::new(slide),
            pages: PageCache::new(slide),
            sticky: Vec::new(),
            fired: vec![0; hook_count],
            fields_missing: 0,
        }
    }

    /// Fetches and appends one record.
    pub(crate) fn record(
        &mut self,
        program: &Program,
        event: EventSite,
        stamp: u64,
        memory: &MemoryMap,
        guest: &mut impl GuestView,
    ) -> Outcome {
        let mut guest = GuardedGuest::new(guest, memory, &mut self.pages);
        if !self.interpreter.begin(program, event.probe, &mut guest) {
            return Outcome::NotWanted;
        }
        if self.current.record_count() == 0
            && repeat_sticky(&self.sticky, stamp, &mut self.current).is_err()
        {
            return Outcome::Full;
        }
        let Ok(encoder) = self.current.begin(stamp, event.id) else {
            return Outcome::Full;
        };
        let mut sink = EncoderSink {
            encoder,
            missing: 0,
        };
        self.interpreter
            .fetch(program, event.probe, &mut guest, &mut sink);
        self.fields_missing += sink.missing;
        sink.encoder.finish();
        if event.is_sticky {
            self.keep_sticky();
        }
        Outcome::Recorded
    }

    fn keep_sticky(&mut self) {
        let Some(record) = self.current.last_record() else {
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

/// Opens a buffer with what was the case before it.
fn repeat_sticky(
    sticky: &[StickyRecord],
    stamp: u64,
    buffer: &mut RecordBuffer,
) -> Result<(), BufferFull> {
    for kept in sticky {
        let record = Record {
            stamp,
            event: kept.event,
            missing: kept.missing,
            payload: &kept.payload,
        };
        buffer.repeat(stamp, &record)?;
    }
    Ok(())
}

/// Hands fetched values to the record encoder.
struct EncoderSink<'a> {
    encoder: RecordEncoder<'a>,
    missing: u64,
}

impl FieldSink for EncoderSink<'_> {
    fn number(&mut self, value: Option<u64>) {
        match value {
            Some(value) => self.encoder.push_number(value),
            None => {
                self.missing += 1;
                self.encoder.push_missing_number();
            }
        }
    }

    fn bytes(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.encoder.push_bytes(value),
            None => {
                self.missing += 1;
                self.encoder.push_missing_bytes();
            }
        }
    }
}
