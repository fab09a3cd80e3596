//! The Common Trace Format, 1.8 and 2: a directory with a stream of packets for each CPU, and what they hold.
//!
//! What the model knows has LTTng's names (`names.rs`), everything else its own. Both versions have the same streams;
//! only the file `metadata` differs. It is written last, when it is known which kinds of events occur.
//!
//! A record that lacks fields is of a class of its own, with the same name and without those members.

mod class;
mod environment;
mod json;
mod layout;
mod names;
mod stream;
mod threads;
mod tsdl;

use std::fs;
use std::path::{Path, PathBuf};

use trace_format::EventId;

use super::job::{ExportError, Exported, Job, PerCpu, Sink};
use super::meaning::Meanings;
use crate::model::CpuId;
use crate::sources::{Clock, Loss, Record};

use environment::Environment;
use layout::{Classes, Layout};
use stream::Stream;
use threads::{StateOfThread, Threads};

/// Which version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CtfVersion {
    /// 1.8, which every reader knows.
    V1,
    /// 2, whose metadata are JSON.
    V2,
}

/// Bytes of an event before its payload: its class, its stamp.
const EVENT_HEAD_BYTES: usize = 2 + 8;

/// Writes a trace into a directory, which is made.
///
/// # Errors
/// When the trace cannot be read or the directory cannot be written.
pub fn ctf(job: Job<'_>, version: CtfVersion, directory: &Path) -> Result<Exported, ExportError> {
    fs::create_dir_all(directory.join("index"))?;
    let mut writer = Writer::new(&job, directory)?;
    let done = job.pour(&mut writer)?;
    let Writer {
        mut streams,
        classes,
        environment,
        ..
    } = writer;
    for stream in streams.iter_mut() {
        stream.finish()?;
    }
    let classes = classes.as_slice();
    let metadata = match version {
        CtfVersion::V1 => tsdl::metadata(&environment, classes),
        CtfVersion::V2 => json::metadata(&environment, classes),
    };
    fs::write(directory.join("metadata"), metadata)?;
    Ok(done)
}

/// What is written so far.
struct Writer {
    directory: PathBuf,
    environment: Environment,
    clock: Clock,
    /// The stamp at which streams begin.
    first: u64,
    /// By event id.
    layouts: Vec<Option<Layout>>,
    /// Of events that the schema lacks.
    unknown: Layout,
    classes: Classes,
    streams: PerCpu<Stream>,
    threads: Threads,
}

impl Writer {
    fn new(job: &Job<'_>, directory: &Path) -> Result<Self, ExportError> {
        let (schema, clock) = (job.trace.schema(), job.trace.clock());
        let meanings = Meanings::of(job.trace);
        let mut layouts = Vec::new();
        for event in &schema.events {
            let index = usize::from(event.id.0);
            if layouts.len() <= index {
                layouts.resize_with(index + 1, || None);
            }
            layouts[index] = Some(Layout::new(schema, event, meanings.get(event.id)));
        }
        let start = job.wanted.selection.span.start;
        Ok(Self {
            directory: directory.to_owned(),
            environment: Environment::of(job.trace),
            clock,
            first: clock.tsc(start),
            layouts,
            unknown: Layout::unknown(),
            classes: Classes::default(),
            streams: PerCpu::default(),
            threads: Threads::new(schema, &meanings, job.machine_at_start()?.as_ref()),
        })
    }

    fn stream(&mut self, cpu: CpuId) -> &mut Stream {
        let (directory, uuid, first) = (&self.directory, self.environment.uuid, self.first);
        let make = || Stream::new(directory, uuid, cpu.0, first);
        self.streams.slot(cpu, make)
    }

    /// Writes an event with what `write` appends as its payload.
    fn event(
        &mut self,
        (cpu, stamp): (CpuId, u64),
        write: impl FnOnce(&mut Self, &mut Vec<u8>) -> Result<u16, ExportError>,
    ) -> Result<(), ExportError> {
        // The packet is taken out, so that `write` may have the rest.
        let mut packet = std::mem::take(self.stream(cpu).event(stamp));
        let head = packet.len();
        packet.extend_from_slice(&[0; EVENT_HEAD_BYTES]);
        let id = write(self, &mut packet);
        let stream = self.stream(cpu);
        let stamp = stream.stamp();
        packet[head..head + 2].copy_from_slice(&id?.to_le_bytes());
        packet[head + 2..head + EVENT_HEAD_BYTES].copy_from_slice(&stamp.to_le_bytes());
        *stream.event(stamp) = packet;
        Ok(stream.flush_full()?)
    }

    fn write_state(
        &mut self,
        place: (CpuId, u64),
        state: &StateOfThread,
    ) -> Result<(), ExportError> {
        self.event(place, |writer, out| {
            writer.threads.write(state, &mut writer.classes, out)
        })
    }
}

impl Sink for Writer {
    fn record(&mut self, record: &Record<'_>) -> Result<(), ExportError> {
        let place = (record.cpu, record.tsc);
        for state in self.threads.untold(record) {
            self.write_state(place, &state)?;
        }
        let EventId(index) = record.event;
        self.event(place, |writer, out| {
            let layout = writer.layouts.get_mut(usize::from(index));
            let layout = layout
                .and_then(Option::as_mut)
                .unwrap_or(&mut writer.unknown);
            layout.write(&record.fields, &mut writer.classes, out)
        })
    }

    fn loss(&mut self, loss: &Loss) -> Result<(), ExportError> {
        let from = loss.since.map_or(self.first, |since| self.clock.tsc(since));
        let to = self.clock.tsc(loss.at);
        Ok(self.stream(loss.cpu).lose(from, to, loss.count)?)
    }
}
