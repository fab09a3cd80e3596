//! Profiles for the Firefox Profiler (profiler.firefox.com): its processed format, version 48.
//!
//! Each thread is a thread of the profile. What it does are samples, each as heavy as it lasts; calls, wake-ups and the
//! events that were asked for are markers. CPUs are threads, too, with a marker for each turn of a thread.
//!
//! The format has a thread's columns one after another, so rows wait in a temporary file (`spool.rs`).

mod spool;
mod track;

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::escape::push_json;
use super::job::{ExportError, Exported, Job};
use super::labels::{frame_label, state_label, thread_name};
use super::layout::Layouts;
use super::line::LineFormat;
use super::slices::{Canvas, Counts, Painter, Slice, SliceKind, Wakeup};
use crate::model::{
    Activity, CpuId, Frame, GuestNanos, Machine, Span, Thread, ThreadIndex, ThreadInterval,
};
use crate::report::names::{Namer, thread_label};
use crate::sources::{Record, Trace};

use spool::Spool;
use track::{Title, Track, write_string};

/// Process of the tracks of CPUs: more than any thread's number can be.
const CPUS: u64 = 1 << 22;

/// Names and colours of what time goes to; markers and samples refer to them by their position.
const CATEGORIES: &[(Activity, &str)] = &[
    (Activity::Unknown, "transparent"),
    (Activity::User, "blue"),
    (Activity::Syscall, "orange"),
    (Activity::Trap, "yellow"),
    (Activity::Irq, "red"),
    (Activity::Softirq, "purple"),
    (Activity::Kernel, "green"),
    (Activity::Idle, "transparent"),
    (Activity::RunningUnknown, "brown"),
    (Activity::Runnable, "lightblue"),
    (Activity::Blocked, "grey"),
    (Activity::Unseen, "transparent"),
];

fn category(activity: Activity) -> u8 {
    let position = CATEGORIES.iter().position(|(known, _)| *known == activity);
    position
        .and_then(|position| u8::try_from(position).ok())
        .unwrap_or(0)
}

fn category_of(frame: Frame) -> u8 {
    category(match frame {
        Frame::Launch => Activity::Kernel,
        Frame::Syscall { .. } => Activity::Syscall,
        Frame::Trap { .. } => Activity::Trap,
        Frame::Irq { .. } | Frame::IrqHandler { .. } => Activity::Irq,
        Frame::Softirq { .. } => Activity::Softirq,
    })
}

/// Writes the file.
///
/// # Errors
/// When the trace cannot be read, the result or a temporary file cannot be written.
pub fn firefox(job: Job<'_>, out: &mut dyn Write) -> Result<Exported, ExportError> {
    let canvas = Firefox {
        namer: Namer::new(job.trace),
        layouts: Layouts::new(job.trace.schema(), LineFormat::Json),
        spool: Spool::new()?,
        threads: BTreeMap::new(),
        cpus: BTreeMap::new(),
        marked: BTreeMap::new(),
        rows: 0,
    };
    let (painter, pass) = job.analyse(Painter::new(canvas, job.wanted))?;
    let firefox = painter.finish(&pass.machine, pass.end)?;
    firefox.write(job.trace, (&pass.machine, pass.end), out)?;
    Ok(Exported {
        events: firefox.rows,
        findings: pass.findings,
    })
}

struct Firefox {
    namer: Namer,
    layouts: Layouts,
    spool: Spool,
    threads: BTreeMap<usize, Track>,
    cpus: BTreeMap<u32, Track>,
    /// Threads that events are of which the model does not know: number and process.
    marked: BTreeMap<(u32, u32), Track>,
    rows: u64,
}

/// Whose track something belongs to.
enum Owner {
    Thread(usize),
    Cpu(CpuId),
}

fn owner(index: ThreadIndex, thread: &Thread) -> Owner {
    match thread.idle_of {
        Some(cpu) => Owner::Cpu(cpu),
        None => Owner::Thread(index.index()),
    }
}

impl Firefox {
    fn put(
        &mut self,
        owner: Owner,
        when: (Span, bool),
        what: (&str, u8),
        data: &[u8],
    ) -> io::Result<()> {
        self.rows += 1;
        let track = match owner {
            Owner::Thread(index) => self.threads.entry(index).or_default(),
            Owner::Cpu(cpu) => self.cpus.entry(cpu.0).or_default(),
        };
        track.marker(&mut self.spool, when, what, data)
    }

    fn write(
        &self,
        trace: &Trace,
        (machine, end): (&Machine, GuestNanos),
        out: &mut dyn Write,
    ) -> io::Result<()> {
        write_meta(trace, out)?;
        write!(out, ",\"threads\":[")?;
        let mut separator = "";
        let mut track = |track: &Track, title: &Title| {
            write!(out, "{separator}")?;
            separator = ",\n";
            track.write(&self.spool, title, out)
        };
        for (cpu, cpu_track) in &self.cpus {
            let title = Title {
                name: format!("CPU {cpu}"),
                process: "CPUs".to_owned(),
                pid: CPUS,
                tid: CPUS + u64::from(*cpu),
                is_main: false,
                end: end.0,
            };
            track(cpu_track, &title)?;
        }
        for (index, thread) in machine.threads().iter() {
            let Some(thread_track) = self.threads.get(&index.index()) else {
                continue;
            };
            let leader = machine
                .threads()
                .with_tid(crate::model::Tid(thread.process().0));
            let leader = leader.map_or(thread, |leader| &machine.threads()[leader]);
            let title = Title {
                name: thread_name(thread),
                process: thread_name(leader),
                pid: u64::from(thread.process().0),
                tid: u64::from(thread.tid.0),
                is_main: thread.tid.0 == thread.process().0,
                end: thread.died.unwrap_or(end).0,
            };
            track(thread_track, &title)?;
        }
        for ((pid, tid), marked) in &self.marked {
            let title = Title {
                name: format!("thread {tid}"),
                process: format!("process {pid}"),
                pid: u64::from(*pid),
                tid: u64::from(*tid),
                is_main: false,
                end: end.0,
            };
            track(marked, &title)?;
        }
        writeln!(out, "]}}")
    }
}

fn write_meta(trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "{{\"meta\":{{\"interval\":1,\"startTime\":0,\"processType\":0,\"product\":\"Linux guest\",\"stackwalk\":0,\
\"version\":27,\"preprocessedProfileVersion\":48,\"symbolicated\":true,\"doesNotUseFrameImplementation\":true,\
\"importedFrom\":\"guesttrace {}\",\"oscpu\":",
        env!("CARGO_PKG_VERSION")
    )?;
    let release = trace
        .own()
        .map(|file| file.header().kernel.release.as_str());
    write_string(out, &format!("Linux {}", release.unwrap_or_default()))?;
    write!(
        out,
        ",\"extensions\":{{\"length\":0,\"id\":[],\"name\":[],\"baseURL\":[]}},\"categories\":["
    )?;
    for (index, (activity, color)) in CATEGORIES.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        let name = activity.name();
        write!(
            out,
            "{separator}{{\"name\":\"{name}\",\"color\":\"{color}\",\"subcategories\":[\"Other\"]}}"
        )?;
    }
    write!(out, "],\"markerSchema\":[")?;
    let schemas: [(&str, &str); 4] = [
        (
            "call",
            "{\"key\":\"ret\",\"label\":\"Result\",\"format\":\"integer\"}",
        ),
        (
            "wakeup",
            "{\"key\":\"by\",\"label\":\"Woken by\",\"format\":\"string\"}",
        ),
        (
            "turn",
            "{\"key\":\"tid\",\"label\":\"Thread\",\"format\":\"integer\"}",
        ),
        (
            "event",
            "{\"key\":\"fields\",\"label\":\"Fields\",\"format\":\"string\"}",
        ),
    ];
    for (index, (name, data)) in schemas.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        write!(
            out,
            "{separator}{{\"name\":\"{name}\",\"display\":[\"marker-chart\",\"marker-table\"],\"data\":[{data}]}}"
        )?;
    }
    write!(out, "]}},\"libs\":[],\"pages\":[]")
}

impl Canvas for Firefox {
    fn slice(&mut self, machine: &Machine, slice: &Slice) -> io::Result<()> {
        let thread = &machine.threads()[slice.thread];
        let when = (slice.span, false);
        let (frame, data) = match slice.kind {
            SliceKind::Frame(frame, Some(ret)) => {
                (frame, format!("{{\"type\":\"call\",\"ret\":{ret}}}"))
            }
            SliceKind::Frame(frame, None) | SliceKind::OpenFrame(frame) => {
                (frame, "{\"type\":\"call\"}".to_owned())
            }
            SliceKind::On(cpu) => {
                let data = format!("{{\"type\":\"turn\",\"tid\":{}}}", thread.tid);
                let color = if thread.idle_of.is_some() {
                    Activity::Idle
                } else {
                    Activity::User
                };
                let what = (thread_name(thread), category(color));
                return self.put(Owner::Cpu(cpu), when, (&what.0, what.1), data.as_bytes());
            }
            // Samples tell of these.
            SliceKind::State(_) => return Ok(()),
        };
        let name = frame_label(machine, &self.namer, frame);
        let what = (name.as_str(), category_of(frame));
        self.put(owner(slice.thread, thread), when, what, data.as_bytes())
    }

    fn state(
        &mut self,
        machine: &Machine,
        interval: &ThreadInterval<'_>,
        span: Span,
    ) -> io::Result<()> {
        self.rows += 1;
        let track = self.threads.entry(interval.index.index()).or_default();
        let kind = category(interval.activity);
        // The frames are those after the stretch: only the one that made it what it was is sure to belong to it.
        let below = interval.doing.frame.map(|frame| {
            let name = frame_label(machine, &self.namer, frame);
            track.stack(None, &name, category_of(frame))
        });
        let stack = match below {
            Some(stack) => stack,
            None => track.stack(None, &state_label(&self.namer, interval.doing), kind),
        };
        track.sample(&mut self.spool, span, stack)
    }

    fn wakeup(&mut self, machine: &Machine, wakeup: &Wakeup) -> io::Result<()> {
        let mut data = b"{\"type\":\"wakeup\",\"by\":\"".to_vec();
        let waker = thread_label(&machine.threads()[wakeup.waker]);
        push_json(&mut data, waker.as_bytes());
        data.extend_from_slice(b"\"}");
        let span = Span {
            start: wakeup.at,
            end: wakeup.ran,
        };
        let owner = Owner::Thread(wakeup.woken.index());
        let what = ("wakeup", category(Activity::Runnable));
        self.put(owner, (span, false), what, &data)
    }

    /// There is no counter that is not of a process.
    fn counts(&mut self, _: GuestNanos, _: Counts) -> io::Result<()> {
        Ok(())
    }

    fn mark(
        &mut self,
        thread: Option<(ThreadIndex, &Thread)>,
        record: &Record<'_>,
    ) -> io::Result<()> {
        let layout = self.layouts.of(record.event);
        let mut fields = Vec::new();
        layout.push_json_fields(&mut fields, &record.fields);
        let mut data = b"{\"type\":\"event\",\"fields\":\"".to_vec();
        push_json(&mut data, &fields);
        data.extend_from_slice(b"\"}");
        let mut name = Vec::new();
        super::escape::push_text(&mut name, &layout.name);
        let name = String::from_utf8_lossy(&name).into_owned();
        let span = Span {
            start: record.at,
            end: record.at,
        };
        let what = (name.as_str(), category(Activity::Unknown));
        match thread {
            Some((index, thread)) => self.put(owner(index, thread), (span, true), what, &data),
            None => {
                let key = (record.context.pid.0, record.context.tid.0);
                let track = self.marked.entry(key).or_default();
                track.marker(&mut self.spool, (span, true), what, &data)
            }
        }
    }
}
