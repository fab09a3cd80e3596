//! trace.dat, the file of trace-cmd: versions 6 and 7, of either byte order, with or without compression.
//!
//! The formats are those of trace-cmd's `trace-cmd.dat.v6(5)` and `trace-cmd.dat.v7(5)`. Events stay as the kernel's ring
//! buffer has them; stamps are those that `trace-cmd report` prints.

mod compression;
mod contents;
mod lane;
mod options;
mod page;
mod stamps;
mod texts;

use std::collections::HashSet;

use trace_format::{EventId, Mapping, Severity};

use self::compression::Compression;
use self::contents::COMPRESSED;
pub(super) use self::contents::Contents;
use self::lane::{DatLane, LanePlan};
use self::options::{Buffer, CpuData};
use self::page::PageLayout;
use super::ftrace::{Bytes, EventTable, Machine};
use crate::sources::foreign::{Description, ForeignTrace, Lane, Step};
use crate::sources::{Clock, Finding, Range, TraceError};

/// What people call such a file.
const FORMAT: &str = "trace.dat of trace-cmd";

/// Clocks whose ticks are nanoseconds; so does trace-cmd print them.
const NANOSECOND_CLOCKS: &[&str] = &[
    "local", "global", "uptime", "perf", "mono", "mono_raw", "boot", "tai", "tsc2nsec", "",
];

/// A file of trace-cmd.
#[derive(Debug)]
pub(super) struct TraceDat {
    file: Mapping,
    contents: Contents,
    table: EventTable,
    /// For each buffer the first of its event ids, and whether its pages are compressed.
    buffers: Vec<(u16, Compression)>,
    description: Description,
}

impl TraceDat {
    /// Whether a file begins as one of these.
    pub(super) fn is_magic(head: &[u8]) -> bool {
        Contents::is_magic(head)
    }

    /// Reads a file.
    pub(super) fn read(file: Mapping) -> Result<Self, TraceError> {
        let broken = |text: String| TraceError::Foreign {
            format: FORMAT,
            text,
        };
        let contents = Contents::read(&file).map_err(broken)?;
        if contents.is_latency {
            let text = "it holds the text of a latency tracer, and no events; record it with a tracer of events".to_owned();
            return Err(broken(text));
        }
        let machine = Machine {
            is_big_endian: contents.is_big_endian,
            long_bytes: contents.long_bytes,
            name: contents.options.uname.last().cloned().unwrap_or_default(),
        };
        let table = EventTable::new(&contents.formats, &machine);
        let mut dat = Self {
            file,
            contents,
            table,
            buffers: Vec::new(),
            description: Description::default(),
        };
        dat.number_buffers();
        dat.describe();
        Ok(dat)
    }

    /// Gives each buffer with events its event ids. What a buffer recorded means what it says, unless an earlier buffer
    /// recorded the same kind of event: the same events would count twice.
    fn number_buffers(&mut self) {
        let count = self.table.schema.events.len();
        let mut seen = HashSet::new();
        let has_events = |buffer: &&Buffer| !buffer.cpus.is_empty();
        let is_single = self
            .contents
            .options
            .buffers
            .iter()
            .filter(has_events)
            .count()
            < 2;
        for index in 0..self.contents.options.buffers.len() {
            let buffer = &self.contents.options.buffers[index];
            self.buffers.push((0, self.compression(buffer)));
            if is_single {
                continue;
            }
            let own = self.events_in(index);
            let name = self.contents.options.buffers[index].name.clone();
            let new: HashSet<EventId> = own.difference(&seen).copied().collect();
            seen.extend(own);
            if !name.is_empty() {
                self.buffers[index].0 = self.table.add_buffer(&name, count, &new).unwrap_or(0);
            }
        }
    }

    fn compression(&self, buffer: &Buffer) -> Compression {
        let flags = || {
            let at = usize::try_from(buffer.v7_offset).ok()?;
            let mut section = Bytes::new(self.file.get(at..)?, self.contents.is_big_endian);
            section.u16()?;
            section.u16()
        };
        let is_packed =
            self.contents.version >= 7 && flags().is_some_and(|flags| flags & COMPRESSED != 0);
        if is_packed {
            self.contents.compression
        } else {
            Compression::None
        }
    }

    /// The kinds of events that a buffer has.
    fn events_in(&self, index: usize) -> HashSet<EventId> {
        let mut events = HashSet::new();
        for mut lane in self.lanes_of(index) {
            while let Ok(step) = lane.advance() {
                match step {
                    Step::Event(head) => drop(events.insert(head.event)),
                    Step::Loss(_) => {}
                    Step::End => break,
                }
            }
        }
        events
    }

    fn lanes_of(&self, index: usize) -> impl Iterator<Item = DatLane<'_>> {
        let (first_id, compression) = self.buffers.get(index).copied().unwrap_or_default();
        let buffer = self.contents.options.buffers.get(index);
        let cpus = buffer.map_or(&[][..], |buffer| &buffer.cpus);
        let page_bytes = buffer
            .and_then(|buffer| buffer.page_bytes)
            .unwrap_or(self.contents.page_bytes);
        let layout = PageLayout {
            is_big_endian: self.contents.is_big_endian,
            commit_bytes: self.contents.long_bytes as usize,
            // Less than a page's start would never come to an end.
            page_bytes: page_bytes.max(64),
        };
        cpus.iter().map(move |cpu| {
            let (data, is_cut) = self.data(cpu, compression);
            DatLane::new(LanePlan {
                table: &self.table,
                stamps: &self.contents.options.stamps,
                layout,
                compression,
                cpu: cpu.cpu,
                first_id,
                data,
                is_cut,
            })
        })
    }

    /// What the file has of a CPU, and whether that is less than it should be. Compressed pieces say themselves how many
    /// they are, and trace-cmd 3.1 gives them less room than they have.
    fn data(&self, cpu: &CpuData, compression: Compression) -> (&[u8], bool) {
        let rest = usize::try_from(cpu.offset)
            .ok()
            .and_then(|offset| self.file.get(offset..));
        let size = usize::try_from(cpu.size).unwrap_or(usize::MAX);
        match rest {
            Some(rest) if compression != Compression::None => (rest, false),
            Some(rest) => (rest.get(..size).unwrap_or(rest), size > rest.len()),
            None => (&[], true),
        }
    }

    fn describe(&mut self) {
        let options = &self.contents.options;
        let (first, last) = self.span();
        let mut description = Description {
            format: format!("trace.dat of trace-cmd (version {})", self.contents.version),
            schema: self.table.schema.clone(),
            aliases: self.table.aliases.clone(),
            clock: Clock {
                first_tsc: first,
                tsc_hz: 1_000_000_000,
            },
            last_ticks: last,
            epoch_nanos: options.is_date.then_some(0),
            machine: options.uname.get(1).cloned(),
            cpu_count: self.cpu_count(),
            threads: texts::threads(&self.contents.cmdlines),
            findings: self.findings(),
            ..Description::default()
        };
        texts::kallsyms(&self.contents.kallsyms, &mut description.symbols);
        texts::printk(&self.contents.printk, &mut description.symbols);
        if let [system, host, release, ..] = &options.uname[..] {
            description.fact("host", host);
            description.fact("kernel", format!("{system} {release}"));
            description.fact("machine", options.uname.last().cloned().unwrap_or_default());
        }
        description.fact("clock", &options.clock);
        for buffer in options
            .buffers
            .iter()
            .filter(|buffer| !buffer.name.is_empty())
        {
            description.fact("buffer", &buffer.name);
        }
        description.facts.extend(options.facts.iter().cloned());
        if options.stamps.is_shifted() {
            description.fact("time", "the clock of the host that this guest ran on");
        }
        self.description = description;
    }

    fn cpu_count(&self) -> u32 {
        let cpus = self
            .contents
            .options
            .buffers
            .iter()
            .flat_map(|buffer| &buffer.cpus);
        let count = cpus.map(|cpu| cpu.cpu.saturating_add(1)).max();
        count.unwrap_or(0).max(self.contents.options.cpus)
    }

    /// The first stamp and the last.
    fn span(&self) -> (u64, u64) {
        let (mut first, mut last) = (u64::MAX, 0);
        for index in 0..self.buffers.len() {
            for mut lane in self.lanes_of(index) {
                let start = stamps_of(&mut lane).next();
                lane.skip_to_end();
                first = first.min(start.unwrap_or(u64::MAX));
                last = last.max(stamps_of(&mut lane).last().or(start).unwrap_or(0));
            }
        }
        (first.min(last), last)
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut tell = |severity, name: &str, count, text: String| {
            let mut finding = Finding::of_file(severity, text);
            finding.name = name.to_owned();
            finding.count = Some(count);
            finding.is_damage = false;
            findings.push(finding);
        };
        let options = &self.contents.options;
        let lost = options
            .statistics
            .iter()
            .map(|text| texts::lost(text))
            .sum();
        if lost > 0 {
            let text = "Events that the kernel lost, as it says itself: its buffer was full. Record with a larger one (trace-cmd's -b).";
            tell(Severity::DataLoss, "events_lost", lost, text.to_owned());
        }
        if !options.stamps.is_scaled() && !NANOSECOND_CLOCKS.contains(&options.clock.as_str()) {
            let clock = &options.clock;
            let text = format!(
                "The file does not say how long a tick of its clock {clock:?} is: times are ticks, shown as nanoseconds."
            );
            tell(Severity::Notice, "clock_unscaled", 1, text);
        }
        if self.contents.unreadable_formats > 0 {
            let text = "Formats of events that cannot be understood.".to_owned();
            tell(
                Severity::Notice,
                "format_unreadable",
                self.contents.unreadable_formats,
                text,
            );
        }
        if self.table.cut_events > 0 {
            let text =
                "Kinds of events with more than 32 fields: the others are not shown.".to_owned();
            tell(Severity::Info, "fields_cut", self.table.cut_events, text);
        }
        findings
    }
}

/// Stamps of the events that are left in a lane.
fn stamps_of(lane: &mut DatLane<'_>) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        loop {
            match lane.advance() {
                Ok(Step::Event(head)) => return Some(head.ticks),
                Ok(Step::Loss(_)) => {}
                Ok(Step::End) | Err(_) => return None,
            }
        }
    })
}

impl ForeignTrace for TraceDat {
    fn description(&self) -> &Description {
        &self.description
    }

    fn lanes(&self, _: &Range) -> Result<Vec<Box<dyn Lane + '_>>, TraceError> {
        let boxed = |lane| -> Box<dyn Lane + '_> { Box::new(lane) };
        let lanes = (0..self.buffers.len()).flat_map(|index| self.lanes_of(index));
        Ok(lanes.map(boxed).collect())
    }
}
