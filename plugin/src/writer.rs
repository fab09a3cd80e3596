//! The one thread that owns the file: turns full buffers into chunks, and the end of the recording into a trailer.
//!
//! The trace has its final name only when it is complete. A write error ends the recording; the guest goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use probe_plan::{RuntimeAddr, SessionSpec, Slide, Status};
use trace_format::{
    ChunkMeta, Counter, EventId, FieldKind, RecordBuffer, Schema, TraceWriter, Trailer,
    WriterOptions, addresses, partial_path, within_function,
};

use crate::files::Files;
use crate::recorder::Progress;
use crate::session::Shared;
use crate::sink::{OutputError, Sink, working_name};
use crate::status::StatusLine;
use crate::symbols::Symbols;

/// How often the status line is renewed. Concerns the host alone.
const STATUS_INTERVAL: Duration = Duration::from_millis(200);

/// What the recorder hands over.
#[derive(Debug)]
pub(crate) enum Message {
    Chunk {
        cpu: usize,
        buffer: RecordBuffer,
        /// A tick that no record of a later chunk is before, if that can be told.
        up_to: Option<u64>,
    },
    Finish {
        trailer: Box<Trailer>,
        slide: Option<Slide>,
    },
}

/// Owner of the file.
#[derive(Debug)]
pub(crate) struct Writer {
    out: TraceWriter<Sink>,
    /// Of a recording in several files, which is written.
    files: Option<Files>,
    partial: PathBuf,
    path: PathBuf,
    /// Index of the session, and what else is told of it while it goes on.
    session: usize,
    records: Arc<AtomicU64>,
    running: Arc<AtomicBool>,
    hex_fields: Vec<(EventId, Vec<FieldSlot>)>,
    symbols: Symbols,
    homes: Vec<Sender<RecordBuffer>>,
    status: Arc<StatusLine>,
    progress: Arc<Progress>,
    slide: Option<Slide>,
}

/// How to step over one field of a plain record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FieldSlot {
    Number,
    Address,
    Bytes,
    Addresses,
}

impl Writer {
    /// Creates the file and writes its header.
    pub(crate) fn create(
        (session, spec): (usize, &SessionSpec),
        (compression_level, max_file_bytes): (i32, Option<u64>),
        shared: Shared,
        homes: Vec<Sender<RecordBuffer>>,
        (records, running): (Arc<AtomicU64>, Arc<AtomicBool>),
    ) -> Result<Self, OutputError> {
        let path = spec.out.clone();
        let partial = working_name(spec);
        let sink = Sink::open(spec)?;
        let options = WriterOptions { compression_level };
        let files = max_file_bytes.map(|bytes_max| Files::new(&path, bytes_max));
        let part = files.as_ref().map(|_| Files::first_part());
        let out = TraceWriter::of_part(sink, &spec.header, options, part).map_err(|source| {
            OutputError::Write {
                path: partial.clone(),
                source,
            }
        })?;
        let hex_fields = hex_fields(&spec.header.schema);
        Ok(Self {
            out,
            files,
            partial,
            path,
            session,
            records,
            running,
            hex_fields,
            symbols: Symbols::new(shared.plan, shared.modules),
            homes,
            status: shared.status,
            progress: shared.progress,
            slide: None,
        })
    }

    /// Serves messages until the recording ends. `done` learns how.
    pub(crate) fn run(
        mut self,
        messages: &Receiver<Message>,
        done: &Sender<Result<(), OutputError>>,
    ) {
        loop {
            let result = match messages.recv_timeout(STATUS_INTERVAL) {
                Ok(Message::Chunk { cpu, buffer, up_to }) => self.write_chunk(cpu, buffer, up_to),
                Ok(Message::Finish { trailer, slide }) => {
                    self.slide = slide;
                    let _ = done.send(self.finish(*trailer));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Err(error) = result {
                self.status.send(&Status::Failed {
                    message: error.to_string(),
                });
                self.progress.fail();
                // The buffers' way home closes with `self`, so that no CPU waits for one.
                return;
            }
            self.status.send(&Status::Running {
                session: self.session,
                tsc: self.progress.latest_tick(),
                records: self.records.load(Ordering::Relaxed),
                bytes: self.out.bytes_written(),
                recording: self.running.load(Ordering::Relaxed),
            });
        }
    }

    fn write_chunk(
        &mut self,
        cpu: usize,
        mut buffer: RecordBuffer,
        up_to: Option<u64>,
    ) -> Result<(), OutputError> {
        let slide = self.progress.slide();
        if let Some(slide) = slide {
            self.note_symbols(&buffer, slide);
        }
        let meta = ChunkMeta {
            cpu: u32::try_from(cpu).unwrap_or(u32::MAX),
            lost_before: buffer.lost_before,
        };
        let symbols = self.symbols.take_fresh();
        let slide = slide.map_or(0, |slide| slide.0);
        let out = &mut self.out;
        out.write_symbols(slide, &symbols)
            .and_then(|()| out.write_chunk(&meta, &buffer, |tsc| tsc))
            .and_then(|()| up_to.map_or(Ok(()), |tick| out.write_up_to(tick)))
            .map_err(|source| OutputError::Write {
                path: self.partial.clone(),
                source,
            })?;
        self.go_on()?;
        buffer.clear();
        if let Some(home) = self.homes.get(cpu) {
            let _ = home.send(buffer);
        }
        Ok(())
    }

    /// Goes on in the next file when this one is full.
    fn go_on(&mut self) -> Result<(), OutputError> {
        let written = self.out.file_bytes();
        let next = self.files.as_mut().and_then(|files| files.next(written));
        let Some(next) = next else {
            return Ok(());
        };
        let partial = partial_path(&next);
        let sink = Sink::create(&partial)?;
        let out = self.out.continue_in(sink);
        let out = out.map_err(|source| OutputError::Write {
            path: self.partial.clone(),
            source,
        })?;
        out.complete(self.partial.clone(), &self.path)?;
        (self.path, self.partial) = (next, partial);
        Ok(())
    }

    fn finish(self, mut trailer: Trailer) -> Result<(), OutputError> {
        trailer.kernel_slide = self.slide.map(|slide| slide.0);
        let doubtful = self.out.clamped_count();
        trailer.stats.set(Counter::StampsDoubtful, doubtful);
        let records = trailer.stats.get(Counter::RecordsWritten);
        let reason = trailer.end_reason.clone();
        let bytes = self.out.bytes_written();
        let write_error = |source| OutputError::Write {
            path: self.partial.clone(),
            source,
        };
        let mut out = self.out;
        let modules = self.symbols.of_modules();
        out.write_symbols(trailer.kernel_slide.unwrap_or(0), &modules)
            .map_err(write_error)?;
        // Without its kernel a recording has nothing in it, and an earlier one may have that name.
        if self.slide.is_some() {
            let out = out.finish(&trailer).map_err(write_error)?;
            out.complete(self.partial, &self.path)?;
        }
        self.status.send(&Status::Ended {
            session: self.session,
            reason,
            records,
            bytes,
        });
        Ok(())
    }

    /// Remembers the symbols of the kernel addresses that occur, so that the trace can name them.
    fn note_symbols(&mut self, buffer: &RecordBuffer, slide: Slide) {
        for record in buffer.records() {
            let Ok(index) = self
                .hex_fields
                .binary_search_by_key(&record.event, |(event, _)| *event)
            else {
                continue;
            };
            let mut payload = record.payload;
            for slot in &self.hex_fields[index].1 {
                let length = match (*slot, payload) {
                    (FieldSlot::Bytes | FieldSlot::Addresses, [low, high, ..]) => {
                        2 + usize::from(u16::from_le_bytes([*low, *high]))
                    }
                    _ => 8,
                };
                let Some((field, rest)) = payload.split_at_checked(length) else {
                    break;
                };
                payload = rest;
                let mut note = |addr| self.symbols.note(RuntimeAddr(addr), record.stamp, slide);
                match *slot {
                    FieldSlot::Address => addresses(field).for_each(note),
                    FieldSlot::Addresses => addresses(field.get(2..).unwrap_or_default())
                        .enumerate()
                        .for_each(|(index, addr)| note(within_function(index, addr))),
                    FieldSlot::Number | FieldSlot::Bytes => {}
                }
            }
        }
    }
}

/// Events with at least one address, and how to walk their records.
fn hex_fields(schema: &Schema) -> Vec<(EventId, Vec<FieldSlot>)> {
    let slot = |kind: &FieldKind| match kind {
        FieldKind::Hex => FieldSlot::Address,
        FieldKind::Addresses => FieldSlot::Addresses,
        FieldKind::Text | FieldKind::Bytes => FieldSlot::Bytes,
        _ => FieldSlot::Number,
    };
    let mut events: Vec<_> = schema
        .events
        .iter()
        .map(|event| {
            (
                event.id,
                event
                    .fields
                    .iter()
                    .map(|field| slot(&field.kind))
                    .collect::<Vec<_>>(),
            )
        })
        .filter(|(_, slots)| {
            let is_address = |slot| matches!(slot, &FieldSlot::Address | &FieldSlot::Addresses);
            slots.iter().any(is_address)
        })
        .collect();
    events.sort_by_key(|(event, _)| *event);
    events
}
