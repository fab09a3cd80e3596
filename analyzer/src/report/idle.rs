//! `idle`: how long and how often CPUs slept, what ended each sleep, and who had left the CPU idle.
//!
//! A sleep lasts from the CPU's word that it goes idle to the first interrupt, or to its word that it is awake when none
//! came: then work came before it slept. Sleeps are charged to the thread that ran before.

use std::collections::BTreeMap;

use super::distribution::{DISTRIBUTION_COLUMNS, Distribution};
use super::largest::largest;
use super::names::thread_label;
use super::needs::{need, with_needs};
use super::options::Options;
use super::pass::{Analysis, Pass, run};
use super::selection::Selection;
use super::table::{Cell, Report, Shape, Table, column};
use crate::model::{
    Activity, CpuId, GuestNanos, IrqEntry, KernelEvent, Machine, Moment, Observer, Span,
    ThreadIndex,
};
use crate::sources::{Trace, TraceError};

/// Makes the report.
pub(super) fn report(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(trace, &options.selection, Idle::new(&options.selection))?;
    let every: Distribution = pass.analysis.sleeps.values().sum();
    let needs = [
        need(&["cpu_idle"], "it is not known when CPUs slept"),
        need(&["irq_entry"], "it is not known what ended a sleep"),
        need(&["sched_switch"], "it is not known who left a CPU idle"),
    ];
    Ok(Report {
        name: "idle",
        tables: vec![
            cpu_table(&pass),
            end_table(&pass, options.top),
            charge_table(&pass, options.top),
            every.histogram(
                "histogram",
                "Lengths of all sleeps (microseconds)".to_owned(),
            ),
        ],
        findings: with_needs(trace, pass.findings, &needs),
    })
}

/// What idle CPUs did within a selection.
struct Idle {
    selection: Selection,
    open: BTreeMap<CpuId, Sleep>,
    /// The thread that a CPU ran last, idle ones apart.
    ran: BTreeMap<CpuId, ThreadIndex>,
    idle: BTreeMap<CpuId, GuestNanos>,
    sleeps: BTreeMap<CpuId, Distribution>,
    ends: BTreeMap<(Ended, CpuId), Distribution>,
    charged: BTreeMap<Option<ThreadIndex>, Distribution>,
    names: BTreeMap<Ended, String>,
}

/// A CPU that sleeps, or has just been interrupted in that.
#[derive(Clone, Copy, Debug)]
struct Sleep {
    since: GuestNanos,
    interrupted: Option<(GuestNanos, Ended)>,
}

/// What ended a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ended {
    /// A device's line.
    Line(i64),
    /// A vector.
    Vector(u64),
    /// No interrupt.
    Nothing,
}

impl Ended {
    fn by(irq: &IrqEntry<'_>) -> Self {
        match irq.irq {
            Some(line) if line >= 0 => Self::Line(line),
            Some(_) | None => Self::Vector(irq.vector),
        }
    }
}

impl Idle {
    fn new(selection: &Selection) -> Self {
        Self {
            selection: selection.clone(),
            open: BTreeMap::new(),
            ran: BTreeMap::new(),
            idle: BTreeMap::new(),
            sleeps: BTreeMap::new(),
            ends: BTreeMap::new(),
            charged: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    fn interrupt(&mut self, moment: Moment, irq: &IrqEntry<'_>) {
        if let Some(sleep) = self.open.get_mut(&moment.cpu)
            && sleep.interrupted.is_none()
        {
            let ended = Ended::by(irq);
            sleep.interrupted = Some((moment.at, ended));
            if let Some(name) = irq.name {
                self.names
                    .entry(ended)
                    .or_insert_with(|| super::guest_text(name));
            }
        }
    }

    fn awake(&mut self, machine: &Machine, moment: Moment) {
        let Some(sleep) = self.open.remove(&moment.cpu) else {
            return;
        };
        let (end, by) = sleep.interrupted.unwrap_or((moment.at, Ended::Nothing));
        let charged = self.ran.get(&moment.cpu).copied();
        let moment = Moment { at: end, ..moment };
        if self.selection.has_of(machine, moment, charged) {
            let length = end.since(sleep.since);
            self.sleeps.entry(moment.cpu).or_default().add(length);
            self.ends.entry((by, moment.cpu)).or_default().add(length);
            self.charged.entry(charged).or_default().add(length);
        }
    }

    fn name(&self, ended: Ended) -> String {
        let known = self.names.get(&ended);
        match ended {
            Ended::Line(line) => known.map_or_else(
                || format!("interrupt {line}"),
                |name| format!("{name} (irq {line})"),
            ),
            Ended::Vector(vector) => known.cloned().unwrap_or_else(|| format!("vector {vector}")),
            Ended::Nothing => "work that came before it slept".to_owned(),
        }
    }
}

impl Analysis for Idle {}

impl Observer for Idle {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        match event {
            KernelEvent::CpuIdle(idle) => {
                self.awake(machine, moment);
                if idle.state >= 0 {
                    let sleep = Sleep {
                        since: moment.at,
                        interrupted: None,
                    };
                    self.open.insert(moment.cpu, sleep);
                }
            }
            KernelEvent::IrqEntry(irq) => self.interrupt(moment, irq),
            KernelEvent::SchedSwitch(_) => {
                self.awake(machine, moment);
                if let Some(thread) = machine.current(moment.cpu)
                    && machine.threads()[thread].idle_of.is_none()
                {
                    self.ran.insert(moment.cpu, thread);
                }
            }
            _ => {}
        }
    }

    fn cpu_interval(&mut self, _machine: &Machine, cpu: CpuId, activity: Activity, span: Span) {
        if activity == Activity::Idle && self.selection.has_cpu(cpu) {
            let inside = span.within(self.selection.span).length();
            *self.idle.entry(cpu).or_default() += inside;
        }
    }

    fn lost(&mut self, _machine: &Machine, cpu: CpuId, _at: GuestNanos) {
        self.open.remove(&cpu);
        self.ran.remove(&cpu);
    }
}

fn cpu_table(pass: &Pass<Idle>) -> Table {
    let idle = &pass.analysis;
    let cpus = pass
        .machine
        .cpus()
        .filter(|cpu| pass.selection.has_cpu(*cpu));
    let rows = cpus.map(|cpu| {
        let time = idle.idle.get(&cpu).copied().unwrap_or_default();
        let sleeps = idle.sleeps.get(&cpu).cloned().unwrap_or_default();
        let mut row = vec![
            Cell::Text(cpu.to_string()),
            Cell::Time(time),
            Cell::percent(time, pass.length()),
        ];
        row.extend(sleeps.cells());
        row
    });
    let mut columns = vec![
        column("cpu", "CPU"),
        column("idle_ns", "Idle (s)"),
        column("idle_percent", "%"),
    ];
    columns.extend(DISTRIBUTION_COLUMNS);
    columns[3] = column("sleeps", "Sleeps");
    Table {
        name: "cpus",
        title: "Idle CPUs, and how often and long they slept (microseconds)".to_owned(),
        shape: Shape::Rows,
        columns,
        rows: rows.collect(),
    }
}

fn end_table(pass: &Pass<Idle>, top: usize) -> Table {
    let ends = largest(&pass.analysis.ends, top, Distribution::count);
    let rows = ends.rows(|(ended, cpu), lengths| {
        let mut row = vec![
            Cell::Text(pass.analysis.name(*ended)),
            Cell::Count(u64::from(cpu.0)),
        ];
        row.extend(lengths.cells());
        row
    });
    let mut columns = vec![column("ended_by", "Ended by"), column("cpu", "CPU")];
    columns.extend(DISTRIBUTION_COLUMNS);
    Table {
        name: "ends",
        title: "What ended sleeps (microseconds)".to_owned(),
        shape: ends.shape(),
        columns,
        rows,
    }
}

fn charge_table(pass: &Pass<Idle>, top: usize) -> Table {
    let charged = largest(&pass.analysis.charged, top, Distribution::total);
    let rows = charged.rows(|thread, lengths| {
        let thread = thread.map(|thread| thread_label(&pass.machine.threads()[thread]));
        let mut row = vec![thread.map_or(Cell::Absent, Cell::Text)];
        row.extend(lengths.cells());
        row
    });
    let mut columns = vec![column("thread", "Thread")];
    columns.extend(DISTRIBUTION_COLUMNS);
    Table {
        name: "charged",
        title: "Sleeps by the thread that ran before and left the CPU idle (microseconds)"
            .to_owned(),
        shape: charged.shape(),
        columns,
        rows,
    }
}
