//! Chrome's trace event format (JSON), as chrome://tracing, Perfetto and Speedscope read it.
//!
//! A track for each thread with its calls and states, one for each CPU with the threads that it ran, arrows from who
//! woke a thread to where that ran, counters. Times are microseconds with three decimals.

use std::io::{self, Write};

use super::escape::push_json;
use super::job::{ExportError, Exported, Job};
use super::labels::{frame_label, state_label, thread_name};
use super::layout::Layouts;
use super::line::LineFormat;
use super::slices::{Canvas, Counts, Painter, Slice, SliceKind, Wakeup};
use crate::model::{GuestNanos, Machine, Thread, ThreadIndex};
use crate::report::names::Namer;
use crate::sources::{Record, Trace};

/// Process of the tracks of CPUs: more than any thread's number can be. The track of CPU n is this number + n.
const CPUS: u64 = 1 << 22;
/// Process of the counters.
const COUNTERS: u64 = (1 << 22) - 1;

/// Writes the file.
///
/// # Errors
/// When the trace cannot be read or the result cannot be written.
pub fn chrome(job: Job<'_>, out: &mut dyn Write) -> Result<Exported, ExportError> {
    let canvas = Chrome {
        out,
        namer: Namer::new(job.trace),
        layouts: Layouts::new(job.trace.schema(), LineFormat::Json),
        block: b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n".to_vec(),
        written: 0,
    };
    let (painter, pass) = job.analyse(Painter::new(canvas, job.wanted))?;
    let mut chrome = painter.finish(&pass.machine, pass.end)?;
    chrome.names(&pass.machine)?;
    chrome.end(job.trace)?;
    Ok(Exported {
        events: chrome.written,
        findings: pass.findings,
    })
}

/// Bytes that are gathered before they are written.
const BLOCK_BYTES: usize = 1 << 16;

struct Chrome<'a> {
    out: &'a mut dyn Write,
    namer: Namer,
    layouts: Layouts,
    block: Vec<u8>,
    written: u64,
}

/// Process and thread of a track.
type Track = (u64, u64);

fn track(thread: &Thread) -> Track {
    match thread.idle_of {
        Some(cpu) => (CPUS, CPUS + u64::from(cpu.0)),
        None => (u64::from(thread.process().0), u64::from(thread.tid.0)),
    }
}

impl Chrome<'_> {
    /// Begins an event: everything but its own members.
    fn begin(&mut self, phase: char, (pid, tid): Track, at: GuestNanos) {
        if self.written > 0 {
            self.block.extend_from_slice(b",\n");
        }
        self.written += 1;
        // Writing into memory does not fail.
        let _ = write!(
            self.block,
            "{{\"ph\":\"{phase}\",\"pid\":{pid},\"tid\":{tid},\"ts\":"
        );
        self.time(at);
    }

    fn time(&mut self, time: GuestNanos) {
        let _ = write!(self.block, "{}.{:03}", time.0 / 1000, time.0 % 1000);
    }

    fn name(&mut self, name: &str) {
        self.block.extend_from_slice(b",\"name\":\"");
        push_json(&mut self.block, name.as_bytes());
        self.block.push(b'"');
    }

    fn finish(&mut self) -> io::Result<()> {
        self.block.push(b'}');
        if self.block.len() >= BLOCK_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }

    fn slice_on(&mut self, track: Track, slice: &Slice, (category, name): (&str, &str)) {
        self.begin('X', track, slice.span.start);
        self.block.extend_from_slice(b",\"dur\":");
        self.time(slice.span.length());
        let _ = write!(self.block, ",\"cat\":\"{category}\"");
        self.name(name);
    }

    /// Names tracks: by now every thread has its last name.
    fn names(&mut self, machine: &Machine) -> io::Result<()> {
        self.name_of("process_name", (CPUS, CPUS), "CPUs")?;
        for cpu in machine.cpus() {
            let track = (CPUS, CPUS + u64::from(cpu.0));
            self.name_of("thread_name", track, &format!("CPU {cpu}"))?;
        }
        for (_, thread) in machine.threads().iter() {
            if thread.idle_of.is_some() {
                continue;
            }
            let name = thread_name(thread);
            if thread.tid.0 == thread.process().0 {
                self.name_of("process_name", track(thread), &name)?;
            }
            self.name_of("thread_name", track(thread), &name)?;
        }
        Ok(())
    }

    fn name_of(&mut self, what: &str, track: Track, name: &str) -> io::Result<()> {
        self.begin('M', track, GuestNanos(0));
        self.name(what);
        self.block.extend_from_slice(b",\"args\":{\"name\":\"");
        push_json(&mut self.block, name.as_bytes());
        self.block.extend_from_slice(b"\"}");
        self.finish()
    }

    fn end(&mut self, trace: &Trace) -> io::Result<()> {
        self.block
            .extend_from_slice(b"\n],\"otherData\":{\"exported_by\":\"");
        let exporter = concat!("guesttrace ", env!("CARGO_PKG_VERSION"));
        self.block.extend_from_slice(exporter.as_bytes());
        if let Some(file) = trace.own() {
            self.block.extend_from_slice(b"\",\"kernel_release\":\"");
            push_json(&mut self.block, file.header().kernel.release.as_bytes());
        }
        self.block.extend_from_slice(b"\"}}\n");
        self.flush()
    }
}

impl Canvas for Chrome<'_> {
    fn slice(&mut self, machine: &Machine, slice: &Slice) -> io::Result<()> {
        let thread = &machine.threads()[slice.thread];
        let own = track(thread);
        match slice.kind {
            SliceKind::Frame(frame, ret) => {
                let name = frame_label(machine, &self.namer, frame);
                self.slice_on(own, slice, ("call", &name));
                if let Some(ret) = ret {
                    let _ = write!(self.block, ",\"args\":{{\"ret\":{ret}}}");
                }
            }
            SliceKind::OpenFrame(frame) => {
                let name = frame_label(machine, &self.namer, frame);
                self.slice_on(own, slice, ("call", &name));
                self.block
                    .extend_from_slice(b",\"args\":{\"unfinished\":true}");
            }
            SliceKind::State(doing) => {
                let name = state_label(&self.namer, doing);
                self.slice_on(own, slice, ("state", &name));
            }
            SliceKind::On(cpu) => {
                let name = thread_name(thread);
                let track = (CPUS, CPUS + u64::from(cpu.0));
                self.slice_on(track, slice, ("cpu", &name));
                let _ = write!(self.block, ",\"args\":{{\"tid\":{}}}", thread.tid);
            }
        }
        self.finish()
    }

    fn wakeup(&mut self, machine: &Machine, wakeup: &Wakeup) -> io::Result<()> {
        // The number of this event is one that no other arrow has.
        let id = self.written;
        let ends = [
            ('s', wakeup.waker, wakeup.at),
            ('f', wakeup.woken, wakeup.ran),
        ];
        for (phase, thread, at) in ends {
            self.begin(phase, track(&machine.threads()[thread]), at);
            let _ = write!(self.block, ",\"id\":{id},\"cat\":\"wakeup\",\"bp\":\"e\"");
            self.name("wakeup");
            self.finish()?;
        }
        Ok(())
    }

    fn counts(&mut self, at: GuestNanos, counts: Counts) -> io::Result<()> {
        self.begin('C', (COUNTERS, 0), at);
        self.name("threads");
        let Counts { running, runnable } = counts;
        let _ = write!(
            self.block,
            ",\"args\":{{\"running\":{running},\"runnable\":{runnable}}}"
        );
        self.finish()
    }

    fn mark(
        &mut self,
        thread: Option<(ThreadIndex, &Thread)>,
        record: &Record<'_>,
    ) -> io::Result<()> {
        let context = record.context;
        let of_context = (u64::from(context.pid.0), u64::from(context.tid.0));
        self.begin(
            'i',
            thread.map_or(of_context, |(_, thread)| track(thread)),
            record.at,
        );
        self.block
            .extend_from_slice(b",\"s\":\"t\",\"cat\":\"event\",\"name\":\"");
        let layout = self.layouts.of(record.event);
        push_json(&mut self.block, &layout.name);
        self.block.extend_from_slice(b"\",\"args\":{");
        layout.push_json_fields(&mut self.block, &record.fields);
        self.block.push(b'}');
        self.finish()
    }
}
