//! `irqs`, `softirqs` and `traps`: how often, how long, and how long a softirq waited to begin.

use std::collections::BTreeMap;

use super::distribution::{DISTRIBUTION_COLUMNS, Distribution};
use super::names::Namer;
use super::options::Options;
use super::pass::{Analysis, Pass, run};
use super::selection::Selection;
use super::table::{Cell, Column, Report, Shape, Table, column};
use crate::model::{
    CpuId, Frame, FrameInterval, GuestNanos, KernelEvent, Machine, Moment, Observer, TrapEntry,
};
use crate::sources::{Trace, TraceError};

/// Makes the report of interrupts.
pub(super) fn irqs(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(
        trace,
        &options.selection,
        Interrupts::new(&options.selection),
    )?;
    let found = &pass.analysis;
    let tables = vec![
        vector_table(&pass),
        line_table(&pass),
        found.vectors.values().sum::<Distribution>().histogram(
            "histogram",
            "Lengths of all interrupts (microseconds)".to_owned(),
        ),
    ];
    Ok(Report {
        name: "irqs",
        tables,
        findings: pass.findings,
    })
}

/// Makes the report of softirqs.
pub(super) fn softirqs(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(
        trace,
        &options.selection,
        Interrupts::new(&options.selection),
    )?;
    let namer = Namer::new(trace);
    let found = &pass.analysis;
    let name = |(cpu, vec): &(CpuId, u64)| {
        vec![
            Cell::Text(namer.softirq(*vec)),
            Cell::Count(u64::from(cpu.0)),
        ]
    };
    let tables = vec![
        distribution_table(
            "softirqs",
            "Softirqs (microseconds)",
            &SOFTIRQ_COLUMNS,
            &found.softirqs,
            name,
        ),
        distribution_table(
            "raise_latency",
            "From being raised to being run (microseconds)",
            &SOFTIRQ_COLUMNS,
            &found.raise_latencies,
            name,
        ),
        found
            .raise_latencies
            .values()
            .sum::<Distribution>()
            .histogram(
                "histogram",
                "From being raised to being run, all softirqs (microseconds)".to_owned(),
            ),
    ];
    Ok(Report {
        name: "softirqs",
        tables,
        findings: pass.findings,
    })
}

/// Makes the report of exceptions.
pub(super) fn traps(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(
        trace,
        &options.selection,
        Interrupts::new(&options.selection),
    )?;
    let names = trace.schema().enumeration("trap");
    let found = &pass.analysis;
    let name = |vector: &u64| {
        let name = names.and_then(|names| names.name_of(*vector));
        vec![Cell::Text(
            name.map_or_else(|| format!("trap {vector}"), str::to_owned),
        )]
    };
    let tables = vec![
        distribution_table(
            "traps",
            "Exceptions (microseconds)",
            &[column("name", "Exception")],
            &found.traps,
            name,
        ),
        fault_table(found),
        found.traps.values().sum::<Distribution>().histogram(
            "histogram",
            "Lengths of all exceptions (microseconds)".to_owned(),
        ),
    ];
    Ok(Report {
        name: "traps",
        tables,
        findings: pass.findings,
    })
}

const SOFTIRQ_COLUMNS: [Column; 2] = [column("name", "Softirq"), column("cpu", "CPU")];

/// What interrupted threads within a selection.
struct Interrupts {
    selection: Selection,
    vectors: BTreeMap<(u64, CpuId), Distribution>,
    vector_names: BTreeMap<u64, String>,
    lines: BTreeMap<(i64, CpuId), Distribution>,
    line_names: BTreeMap<i64, String>,
    softirqs: BTreeMap<(CpuId, u64), Distribution>,
    /// When a softirq was raised that has not begun yet.
    raised: BTreeMap<(CpuId, u64), GuestNanos>,
    raise_latencies: BTreeMap<(CpuId, u64), Distribution>,
    traps: BTreeMap<u64, Distribution>,
    faults: BTreeMap<(&'static str, &'static str), u64>,
}

impl Interrupts {
    fn new(selection: &Selection) -> Self {
        Self {
            selection: selection.clone(),
            vectors: BTreeMap::new(),
            vector_names: BTreeMap::new(),
            lines: BTreeMap::new(),
            line_names: BTreeMap::new(),
            softirqs: BTreeMap::new(),
            raised: BTreeMap::new(),
            raise_latencies: BTreeMap::new(),
            traps: BTreeMap::new(),
            faults: BTreeMap::new(),
        }
    }

    fn begin_softirq(&mut self, machine: &Machine, moment: Moment, vec: u64) {
        let Moment { at, cpu } = moment;
        let Some(raised) = self.raised.remove(&(cpu, vec)) else {
            return;
        };
        if self.selection.has_moment(machine, moment) {
            let latency = at.since(raised);
            self.raise_latencies
                .entry((cpu, vec))
                .or_default()
                .add(latency);
        }
    }

    fn fault(&mut self, trap: &TrapEntry) {
        const PAGE_FAULT: u64 = 14;
        let Some(code) = trap.error_code.filter(|_| trap.vector == PAGE_FAULT) else {
            return;
        };
        *self
            .faults
            .entry((fault_kind(code), range_of(trap.address)))
            .or_default() += 1;
    }
}

/// What a page fault was for: bits of the processor's error code.
fn fault_kind(code: u64) -> &'static str {
    const PRESENT: u64 = 1;
    const WRITE: u64 = 2;
    const FETCH: u64 = 16;
    match (code & FETCH != 0, code & WRITE != 0, code & PRESENT != 0) {
        (true, _, false) => "instruction, page absent",
        (true, _, true) => "instruction, page protected",
        (_, true, false) => "write, page absent",
        (_, true, true) => "write, page protected",
        (_, false, false) => "read, page absent",
        (_, false, true) => "read, page protected",
    }
}

/// Part of the address space of a 64-bit process (`Documentation/arch/x86/x86_64/mm.rst`).
fn range_of(address: Option<u64>) -> &'static str {
    match address {
        None => "?",
        Some(address) if address < 1 << 16 => "null pointer",
        Some(address) if address < 1 << 32 => "below 4 GiB",
        Some(address) if address >> 40 == 0x55 || address >> 40 == 0x56 => "program",
        Some(address) if address >> 40 == 0x7f => "libraries and stack",
        Some(address) if address >> 47 == 0 => "elsewhere in the process",
        Some(address) if address >> 63 == 1 => "kernel",
        Some(_) => "no address",
    }
}

impl Analysis for Interrupts {}

impl Observer for Interrupts {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        match event {
            KernelEvent::SoftirqRaise(raise) => {
                self.raised
                    .entry((moment.cpu, raise.vec))
                    .or_insert(moment.at);
            }
            KernelEvent::SoftirqEntry(entry) => self.begin_softirq(machine, moment, entry.vec),
            KernelEvent::TrapEntry(trap) if self.selection.has_moment(machine, moment) => {
                self.fault(trap);
            }
            KernelEvent::IrqEntry(irq) => {
                if let Some(name) = irq.name {
                    let names = &mut self.vector_names;
                    names
                        .entry(irq.vector)
                        .or_insert_with(|| super::guest_text(name));
                }
            }
            KernelEvent::IrqHandlerEntry(handler) => {
                if let Some(name) = handler.name {
                    let names = &mut self.line_names;
                    names
                        .entry(handler.irq)
                        .or_insert_with(|| super::guest_text(name));
                }
            }
            _ => {}
        }
    }

    fn frame_left(&mut self, machine: &Machine, interval: &FrameInterval<'_>) {
        let (thread, cpu) = (&machine.threads()[interval.thread], interval.cpu);
        if !self.selection.has_end(interval, thread) {
            return;
        }
        let lengths = match interval.frame() {
            Frame::Irq { vector } => self.vectors.entry((vector, cpu)).or_default(),
            Frame::IrqHandler { irq } => self.lines.entry((irq, cpu)).or_default(),
            Frame::Softirq { vec } => self.softirqs.entry((cpu, vec)).or_default(),
            Frame::Trap { vector } => self.traps.entry(vector).or_default(),
            Frame::Launch | Frame::Syscall { .. } => return,
        };
        lengths.add(interval.span.length());
    }

    fn lost(&mut self, _machine: &Machine, cpu: CpuId, _at: GuestNanos) {
        self.raised.retain(|(on, _), _| *on != cpu);
    }
}

/// A row for each key: its name, then its distribution.
fn distribution_table<K>(
    name: &'static str,
    title: &str,
    first: &[Column],
    found: &BTreeMap<K, Distribution>,
    cells: impl Fn(&K) -> Vec<Cell>,
) -> Table {
    let rows = found.iter().map(|(key, lengths)| {
        let mut row = cells(key);
        row.extend(lengths.cells());
        row
    });
    Table {
        name,
        title: title.to_owned(),
        shape: Shape::Rows,
        columns: [first, &DISTRIBUTION_COLUMNS[..]].concat(),
        rows: rows.collect(),
    }
}

fn vector_table(pass: &Pass<Interrupts>) -> Table {
    let names = &pass.analysis.vector_names;
    let columns = [
        column("vector", "Vector"),
        column("name", "Name"),
        column("cpu", "CPU"),
    ];
    let cells = |(vector, cpu): &(u64, CpuId)| {
        vec![
            Cell::Count(*vector),
            Cell::Text(names.get(vector).cloned().unwrap_or_default()),
            Cell::Count(u64::from(cpu.0)),
        ]
    };
    distribution_table(
        "irqs",
        "Interrupts, all that is nested in them included (microseconds)",
        &columns,
        &pass.analysis.vectors,
        cells,
    )
}

fn line_table(pass: &Pass<Interrupts>) -> Table {
    let names = &pass.analysis.line_names;
    let columns = [
        column("irq", "IRQ"),
        column("name", "Handler"),
        column("cpu", "CPU"),
    ];
    let cells = |(irq, cpu): &(i64, CpuId)| {
        vec![
            Cell::Text(irq.to_string()),
            Cell::Text(names.get(irq).cloned().unwrap_or_default()),
            Cell::Count(u64::from(cpu.0)),
        ]
    };
    distribution_table(
        "handlers",
        "Handlers of devices (microseconds)",
        &columns,
        &pass.analysis.lines,
        cells,
    )
}

fn fault_table(found: &Interrupts) -> Table {
    let rows = found.faults.iter().map(|((kind, range), count)| {
        vec![
            Cell::Text((*kind).to_owned()),
            Cell::Text((*range).to_owned()),
            Cell::Count(*count),
        ]
    });
    Table {
        name: "page_faults",
        title: "Page faults".to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("kind", "Kind"),
            column("range", "Where"),
            column("count", "Count"),
        ],
        rows: rows.collect(),
    }
}
