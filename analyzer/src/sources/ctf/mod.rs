//! Traces in the Common Trace Format: LTTng's kernel traces first of all, and whatever else writes CTF 1.8 or 2.
//!
//! The metadata (`metadata.rs`, in TSDL `tsdl.rs` or JSON `json.rs`) says of which types (`class.rs`) packets and
//! events are made. From that follows, once for each kind of event, how it is read (`plan.rs`, `compile.rs`): at fixed
//! places, or by steps (`program.rs`). Files are mapped (`streams.rs`); one lane reads the packets of a stream (`lane.rs`).
//! Hostile input: whatever the metadata says is bounded when the plan is made, and whatever a packet says by its bytes.

// In the order in which to read them; rustfmt sorts what has no blank line between.
mod class;
mod error;

mod metadata;

mod tsdl_lexer;

mod tsdl;
mod tsdl_types;

mod json;

mod bits;
mod program;

mod scope;

mod compile;
mod fields;
mod fixed;

mod plan;

mod packet;
mod streams;

mod lane;

mod lttng;

use std::path::{Path, PathBuf};

use trace_format::{Schema, Severity};

use self::class::{ClockClass, Metadata, Version};
use self::compile::Unusable;
use self::error::{unopened, unreadable};
use self::lane::CtfLane;
use self::plan::Plan;
use self::streams::Stream;
use super::foreign::{Description, Dialect, ForeignTrace, Lane, Step};
use super::{Clock, Finding, Range, TraceError};
use crate::model::{Aliases, FieldSource, Tid};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Events of a stream among which the first is looked for that tells what its CPU ran before.
const BEGINNING_EVENTS_MAX: u32 = 200_000;

/// What a CPU ran when the trace began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Beginning {
    /// When it ran something else, in ticks.
    until: u64,
    tid: Tid,
}

/// What differs from the model's names in what perf makes of tracepoints, which have the kernel's own names.
const PERF: &str = r#"
[[event]]
names = ["sys_enter"]
is = "syscall_entry"
fields = { nr = "id" }

[[event]]
names = ["sys_exit"]
is = "syscall_exit"
fields = { nr = "id" }
"#;

/// A trace in the Common Trace Format, opened.
#[derive(Debug)]
pub(super) struct CtfTrace {
    plan: Plan,
    streams: Vec<Stream>,
    /// By CPU, what it ran when the trace began.
    beginnings: Vec<Option<Beginning>>,
    description: Description,
}

/// Whether a directory has a trace, in it or below.
pub(super) fn is_trace(directory: &Path) -> bool {
    metadata::directories(directory).is_ok_and(|found| !found.is_empty())
}

/// The directory of the trace that a file is part of: its metadata, or a stream.
pub(super) fn trace_of_file(path: &Path, head: &[u8]) -> Option<PathBuf> {
    let directory = path.parent()?;
    let is_metadata = path
        .file_name()
        .is_some_and(|name| name == metadata::FILE_NAME);
    let is_stream =
        head.starts_with(&[0xC1, 0x1F, 0xFC, 0xC1]) || head.starts_with(&[0xC1, 0xFC, 0x1F, 0xC1]);
    let has_metadata = || directory.join(metadata::FILE_NAME).is_file();
    (is_metadata || (is_stream && has_metadata())).then(|| directory.to_owned())
}

impl CtfTrace {
    /// Opens the trace in a directory, or in directories below it.
    pub(super) fn open(directory: &Path) -> Result<Self, TraceError> {
        let io_error = |source| unopened(directory, source);
        let all = metadata::directories(directory).map_err(io_error)?;
        let (directories, metadata, mut findings) = choose(&all)?;
        let (plan, schema) = plan::plan(&metadata).map_err(|Unusable(why)| unreadable(why))?;
        let found = streams::find(&directories, &plan).map_err(io_error)?;
        findings.extend(
            plan.unusable
                .iter()
                .map(|(event, why)| unusable(event, why)),
        );
        findings.extend(found.findings);
        if found.streams.is_empty() {
            return Err(unreadable("there is no packet in it"));
        }
        let mut trace = Self {
            plan,
            streams: found.streams,
            beginnings: Vec::new(),
            description: describe(&metadata, schema),
        };
        trace.description.findings = findings;
        trace.description.cpu_count = found.cpus;
        trace
            .description
            .fact("streams", trace.streams.len().to_string());
        trace.description.fact("packets", found.packets.to_string());
        trace
            .description
            .fact("bytes of packets", found.bytes.to_string());
        trace.description.clock.first_tsc = trace.first_ticks()?;
        trace.beginnings = trace.find_beginnings()?;
        trace.description.last_ticks = trace.last_ticks()?;
        Ok(trace)
    }

    fn lane<'t>(&'t self, stream: &'t Stream) -> CtfLane<'t> {
        CtfLane::new(&self.plan, &self.beginnings, stream)
    }

    /// What each CPU ran until it ran something else for the first time, which says so.
    fn find_beginnings(&self) -> Result<Vec<Option<Beginning>>, TraceError> {
        let mut found: Vec<Option<Beginning>> = Vec::new();
        let aliases = &self.description.aliases;
        let prev = |event| {
            aliases
                .get(event)
                .filter(|alias| alias.is == "sched_switch")?
                .fields
                .get("prev_pid")
        };
        for stream in &self.streams {
            let mut lane = self.lane(stream);
            for _ in 0..BEGINNING_EVENTS_MAX {
                let head = match lane.advance()? {
                    Step::Event(head) if head.cpu.0 < self.description.cpu_count => head,
                    Step::Event(_) | Step::Loss(_) => continue,
                    Step::End => break,
                };
                let Some(FieldSource::Field { index, .. }) = prev(head.event) else {
                    continue;
                };
                let cpu = head.cpu.0 as usize;
                found.resize(found.len().max(cpu + 1), None);
                if let Some(tid) = lane.number(Some(*index)).map(Tid)
                    && found[cpu].is_none_or(|known| head.ticks < known.until)
                {
                    found[cpu] = Some(Beginning {
                        until: head.ticks,
                        tid,
                    });
                }
                break;
            }
        }
        Ok(found)
    }

    /// When the first event was.
    fn first_ticks(&self) -> Result<u64, TraceError> {
        let mut first = None;
        for stream in &self.streams {
            let mut lane = self.lane(stream);
            let ticks = loop {
                match lane.advance()? {
                    Step::Event(head) => break Some(head.ticks),
                    Step::Loss(_) => {}
                    Step::End => break None,
                }
            };
            first = first.into_iter().chain(ticks).min();
        }
        Ok(first.unwrap_or(0))
    }

    /// When the last packet ends. Where packets do not say that, it is when its last event was.
    fn last_ticks(&self) -> Result<u64, TraceError> {
        let mut last = self.description.clock.first_tsc;
        for stream in &self.streams {
            let Some(file) = stream.last() else { continue };
            let end = match file.end() {
                Some(end) => end,
                None => self.last_event(stream)?,
            };
            last = last.max(end);
        }
        Ok(last)
    }

    fn last_event(&self, stream: &Stream) -> Result<u64, TraceError> {
        let mut lane = self.lane(stream);
        let mut last = 0;
        loop {
            match lane.advance()? {
                Step::Event(head) => last = last.max(head.ticks),
                Step::Loss(_) => {}
                Step::End => return Ok(last),
            }
        }
    }
}

impl ForeignTrace for CtfTrace {
    fn description(&self) -> &Description {
        &self.description
    }

    fn lanes(&self, _: &Range) -> Result<Vec<Box<dyn Lane + '_>>, TraceError> {
        let lane = |stream| -> Box<dyn Lane + '_> { Box::new(self.lane(stream)) };
        Ok(self.streams.iter().map(lane).collect())
    }
}

/// Chooses one trace of those that were found: a kernel's before others. Directories with the same trace are parts of
/// one that was rotated.
fn choose(all: &[PathBuf]) -> Result<(Vec<PathBuf>, Metadata, Vec<Finding>), TraceError> {
    let mut traces: Vec<(Metadata, Vec<PathBuf>)> = Vec::new();
    let mut findings = Vec::new();
    let mut error = None;
    for directory in all {
        match metadata::read(directory) {
            Ok(metadata) => {
                let same = |known: &&mut (Metadata, Vec<PathBuf>)| {
                    metadata.uuid.is_some() && known.0.uuid == metadata.uuid
                };
                match traces.iter_mut().find(same) {
                    Some((known, directories)) => {
                        // The metadata of a later part knows the events of the earlier ones.
                        *known = metadata;
                        directories.push(directory.clone());
                    }
                    None => traces.push((metadata, vec![directory.clone()])),
                }
            }
            Err(why) => {
                let text = format!("{} was left out: {why}.", directory.display());
                findings.push(Finding::of_file(Severity::DataLoss, text));
                error = Some(why);
            }
        }
    }
    let is_kernel =
        |(metadata, _): &(Metadata, Vec<PathBuf>)| metadata.env("domain") == Some("kernel");
    let chosen = traces.iter().position(is_kernel).unwrap_or(0);
    if traces.is_empty() {
        return Err(error.unwrap_or(TraceError::IsDirectory));
    }
    let (metadata, directories) = traces.swap_remove(chosen);
    for (_, others) in traces {
        let names: Vec<String> = others
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let text = format!(
            "Another trace beside this one was not read; name it to read it: {}.",
            names.join(", ")
        );
        findings.push(Finding::of_file(Severity::Notice, text));
    }
    Ok((directories, metadata, findings))
}

fn unusable(event: &str, why: &str) -> Finding {
    let text = format!("Events {event} cannot be read, and what follows one in its packet: {why}.");
    Finding::of_file(Severity::DataLoss, text)
}

/// What the metadata says of the trace.
fn describe(metadata: &Metadata, mut schema: Schema) -> Description {
    let tracer = metadata.env("tracer_name").unwrap_or_default();
    let version = match metadata.version {
        Version::Ctf1 => "CTF 1.8",
        Version::Ctf2 => "CTF 2",
    };
    let what = match (tracer, metadata.env("domain")) {
        ("lttng-modules", _) => "LTTng kernel trace",
        ("lttng-ust", _) => "LTTng trace of programs",
        ("perf", _) => "perf trace",
        (_, Some("kernel")) => "kernel trace",
        _ => "trace",
    };
    let clock = metadata.clocks.first();
    let hz = clock.map_or(0, |clock| clock.hz);
    let mut description = Description {
        format: format!("{what} ({version})"),
        aliases: aliases(&mut schema, metadata),
        schema,
        clock: Clock {
            first_tsc: 0,
            tsc_hz: if hz == 0 { NANOS_PER_SECOND } else { hz },
        },
        epoch_nanos: clock.and_then(epoch_nanos),
        machine: metadata.env("hostname").map(str::to_owned),
        ..Description::default()
    };
    for (name, value) in &metadata.env {
        description.fact(&name.replace('_', " "), value.as_str());
    }
    if let Some(clock) = clock {
        description.fact(
            "clock",
            format!("{} {}", clock.name, clock.description)
                .trim()
                .to_owned(),
        );
    }
    if let Some(uuid) = metadata.uuid {
        let digits: Vec<String> = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        description.fact("uuid", digits.concat());
    }
    description
}

/// Nanoseconds from 1970 to tick 0.
fn epoch_nanos(clock: &ClockClass) -> Option<i128> {
    if !clock.is_unix || clock.hz == 0 {
        return None;
    }
    let ticks = clock
        .offset_ticks
        .checked_mul(i128::from(NANOS_PER_SECOND))?;
    let seconds = i128::from(clock.offset_seconds) * i128::from(NANOS_PER_SECOND);
    seconds.checked_add(ticks / i128::from(clock.hz))
}

/// What the events are to the model.
fn aliases(schema: &mut Schema, metadata: &Metadata) -> Aliases {
    let tracer = metadata.env("tracer_name");
    match (metadata.env("domain"), tracer) {
        (_, Some("perf")) => Dialect::parse(PERF).aliases(schema),
        (Some("kernel"), _) => lttng::aliases(schema, metadata),
        // Another tracer's events are not those of a kernel, whatever their names.
        _ => Aliases::default(),
    }
}
