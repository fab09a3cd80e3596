//! perf.data, the file of perf: written to a file or a pipe, of either byte order, compressed or not.
//!
//! Tracepoints are decoded by the kernel's own formats, which the file has; other samples show where they were taken.
//! The container is read here and not by a library, so that records stay in the mapped file and nothing is allocated because a
//! file claims that it will be needed.

mod attr;
mod file;
mod lane;
mod order;
mod tasks;

use trace_format::{EventId, FIELDS_MAX, FieldKind, FieldSchema, Mapping, Severity};

use self::file::PerfFile;
use self::lane::PerfLane;
use self::order::Order;
use self::tasks::{NOWHERE, TaskEvents, named_thread};
use super::ftrace::{Columns, EventTable, Machine};
use super::tracedat::Contents;
use crate::model::{Pid, Tid};
use crate::sources::foreign::{Description, ForeignTrace, KnownThread, Lane};
use crate::sources::{Clock, Finding, Range, TraceError};

/// What people call such a file.
const FORMAT: &str = "perf.data of perf";

/// A file of perf.
#[derive(Debug)]
pub(super) struct PerfData {
    file: Mapping,
    parts: PerfFile,
    table: EventTable,
    tasks: TaskEvents,
    /// By event id, whether its samples have a call stack behind their fields.
    chains: Vec<bool>,
    /// Whether records have stamps.
    has_time: bool,
    description: Description,
}

impl PerfData {
    /// Whether a file begins as one of these.
    pub(super) fn is_magic(head: &[u8]) -> bool {
        PerfFile::is_magic(head)
    }

    /// Reads a file.
    pub(super) fn read(file: Mapping) -> Result<Self, TraceError> {
        let mut parts = PerfFile::read(&file).map_err(|text| TraceError::Foreign {
            format: FORMAT,
            text,
        })?;
        let mut findings = Vec::new();
        let contents = read_formats(&file, &parts, &mut findings);
        let machine = Machine {
            is_big_endian: parts.is_big_endian,
            long_bytes: contents.long_bytes.max(4),
            name: parts.text(&file, file::ARCH).unwrap_or_default(),
        };
        let mut table = EventTable::new(&contents.formats, &machine);
        let chains = add_samples(&mut table, &mut parts, &machine);
        let has_tasks = parts.attrs.iter().any(attr::Attr::has_tasks);
        let tasks = TaskEvents::add(&mut table, &machine, has_tasks);
        let has_time = parts.attrs.iter().any(attr::Attr::has_time);
        let mut perf = Self {
            file,
            parts,
            table,
            tasks,
            chains,
            has_time,
            description: Description::default(),
        };
        perf.describe(findings);
        Ok(perf)
    }

    fn has_chain(&self, event: EventId) -> bool {
        self.chains
            .get(usize::from(event.0))
            .copied()
            .unwrap_or(false)
    }

    fn describe(&mut self, findings: Vec<Finding>) {
        let (mut first, mut last, mut cpus, mut threads) = (u64::MAX, 0, 1, Vec::new());
        let is_big_endian = self.parts.is_big_endian;
        let parts = &self.parts;
        Order::new(&self.file, parts).scan(|record| {
            let cpu = parts
                .sample_of(&record.header, record.body, record.attr)
                .cpu;
            cpus = cpu.map_or(cpus, |cpu| cpus.max(cpu.saturating_add(1)));
            if record.time > 0 {
                first = first.min(record.time);
                last = last.max(record.time);
            } else if let Some((tid, pid, comm)) =
                named_thread(&record.header, record.body, is_big_endian)
            {
                threads.push(KnownThread {
                    tid: Tid(tid),
                    pid: Some(Pid(pid)),
                    comm: comm.to_vec(),
                });
            }
        });
        let mut description = Description {
            format: "perf.data of perf".to_owned(),
            schema: self.table.schema.clone(),
            aliases: self.table.aliases.clone(),
            clock: Clock {
                first_tsc: first.min(last),
                tsc_hz: 1_000_000_000,
            },
            last_ticks: last,
            epoch_nanos: self.epoch(),
            machine: self.parts.text(&self.file, file::HOSTNAME),
            cpu_count: cpus,
            threads,
            findings,
            ..Description::default()
        };
        self.add_facts(&mut description);
        self.add_doubts(&mut description.findings);
        self.description = description;
    }

    fn add_facts(&self, description: &mut Description) {
        for (number, name) in [
            (file::HOSTNAME, "host"),
            (file::OS_RELEASE, "kernel"),
            (file::ARCH, "machine"),
            (file::CPU_DESCRIPTION, "processor"),
        ] {
            if let Some(text) = self.parts.text(&self.file, number) {
                description.fact(name, text);
            }
        }
        if let Some(words) = self.parts.texts(&self.file, file::COMMAND) {
            description.fact("command", words.join(" "));
        }
        if let Some(version) = self.parts.text(&self.file, file::VERSION) {
            description.fact("recorded by", format!("perf {version}"));
        }
        let clock = self.parts.feature(&self.file, file::CLOCK_ID);
        let clock = match clock.and_then(|mut bytes| bytes.u64()) {
            None => "perf".to_owned(),
            Some(_) => self.clock_name(),
        };
        description.fact("clock", clock);
    }

    fn clock_name(&self) -> String {
        let data = self.parts.feature(&self.file, file::CLOCK_DATA);
        let number = data.and_then(|mut bytes| bytes.u32().and(bytes.u32()));
        match number {
            Some(0) => "realtime".to_owned(),
            Some(1) => "monotonic".to_owned(),
            Some(4) => "monotonic_raw".to_owned(),
            Some(7) => "boottime".to_owned(),
            Some(11) => "tai".to_owned(),
            Some(number) => format!("clock {number}"),
            None => "one that the file does not name".to_owned(),
        }
    }

    /// Nanoseconds from 1970 to tick 0.
    fn epoch(&self) -> Option<i128> {
        let mut bytes = self.parts.feature(&self.file, file::CLOCK_DATA)?;
        bytes.take(8)?;
        let (wall, clock) = (bytes.u64()?, bytes.u64()?);
        Some(i128::from(wall) - i128::from(clock))
    }

    fn add_doubts(&self, findings: &mut Vec<Finding>) {
        let mut tell = |name: &str, text: &str| {
            let mut finding = Finding::of_file(Severity::Notice, text.to_owned());
            finding.name = name.to_owned();
            findings.push(finding);
        };
        if !self.has_time {
            tell(
                "no_times",
                "Records have no stamps: all are shown at time 0. Record with perf's --timestamp.",
            );
        }
        if !self.parts.attrs.iter().all(attr::Attr::has_cpu) {
            let text = "Not all records say on which CPU they were made: those are shown on CPU 0. Record with perf's --sample-cpu.";
            tell("no_cpus", text);
        }
    }
}

/// The formats of tracepoints; none where the file has none.
fn read_formats(file: &[u8], parts: &PerfFile, findings: &mut Vec<Finding>) -> Contents {
    let Some(data) = parts.feature(file, file::TRACING_DATA) else {
        return Contents::default();
    };
    match Contents::read_tracing_data(data.rest()) {
        Ok(contents) => contents,
        Err(broken) => {
            let text = format!(
                "The part that describes tracepoints cannot be read, {broken}: they are shown as bytes."
            );
            findings.push(Finding::of_file(Severity::DataLoss, text));
            Contents::default()
        }
    }
}

/// Adds the events of what is sampled; by event id whether samples have call stacks.
fn add_samples(table: &mut EventTable, parts: &mut PerfFile, machine: &Machine) -> Vec<bool> {
    let mut chains = vec![false; table.schema.events.len()];
    for (index, attr) in parts.attrs.iter_mut().enumerate() {
        let name = match parts.names.get(index).map(String::as_str) {
            None | Some("") => {
                let usual = attr.usual_name().map(str::to_owned);
                usual.unwrap_or_else(|| format!("event{index}"))
            }
            Some(name) => name.to_owned(),
        };
        if attr.is_tracepoint() {
            let event = attr.tracepoint().map(|number| table.event_of(number));
            let is_known = |event: &EventId| !table.is_unknown(*event) && attr.has_chain();
            if let Some(event) = event.filter(is_known) {
                let fields = &mut table.schema.events[usize::from(event.0)].fields;
                if fields.len() < FIELDS_MAX && fields.iter().all(|field| field.name != "callchain")
                {
                    fields.push(FieldSchema {
                        name: "callchain".to_owned(),
                        kind: FieldKind::Addresses,
                        unit: None,
                        doc: String::new(),
                    });
                    chains[usize::from(event.0)] = true;
                }
            }
            continue;
        }
        let mut columns = Columns::new(machine);
        columns.push("ip", FieldKind::Hex, NOWHERE);
        columns.push("period", FieldKind::Unsigned, NOWHERE);
        columns.push("addr", FieldKind::Hex, NOWHERE);
        columns.push("callchain", FieldKind::Addresses, NOWHERE);
        if !attr.has_chain() {
            columns.fields.truncate(3);
            if !attr.has_addr() {
                columns.fields.truncate(2);
            }
        }
        attr.event = table.add(&name, "perf", columns).unwrap_or(EventId(0));
    }
    chains
}

impl ForeignTrace for PerfData {
    fn description(&self) -> &Description {
        &self.description
    }

    fn lanes(&self, _: &Range) -> Result<Vec<Box<dyn Lane + '_>>, TraceError> {
        Ok(vec![Box::new(PerfLane::new(self))])
    }
}
