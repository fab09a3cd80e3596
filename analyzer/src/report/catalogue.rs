//! The reports there are.

use std::io::{self, Write};

use thiserror::Error;

use super::options::Options;
use super::render::ReportFormat;
use super::stream::{Kept, Layout, Sink, Written};
use super::table::Report;
use super::{
    boot, futex, idle, interrupts, io as disk, log, memory, modules, net, processes, sched,
    signals, slowest, summary, syscalls, system, timehist, timers,
};
use crate::sources::{Finding, Trace, TraceError};

/// A report that can be asked for.
#[derive(Clone, Copy, Debug)]
pub struct ReportKind {
    /// Its name.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    make: Make,
}

/// How a report comes to be.
#[derive(Clone, Copy, Debug)]
enum Make {
    /// As a whole.
    Whole(fn(&Trace, &Options) -> Result<Report, TraceError>),
    /// Row by row, of which there can be any number.
    Rows(Layout, MakeRows),
}

/// Gives a report's rows, then what was lost or is doubtful.
type MakeRows = fn(&Trace, &Options, &mut dyn Sink) -> Result<Vec<Finding>, TraceError>;

/// Why a report could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The trace cannot be read.
    #[error("the trace cannot be read")]
    Trace(#[from] TraceError),
    /// The output fails.
    #[error("the report cannot be written")]
    Output(#[from] io::Error),
}

/// Every report.
pub const REPORTS: &[ReportKind] = &[
    ReportKind {
        name: "summary",
        doc: "What the trace holds: times, numbers of events, what the CPUs did.",
        make: Make::Whole(summary::report),
    },
    ReportKind {
        name: "processes",
        doc: "Where each thread's life went; of each process I/O wait, bytes, system calls; the tree.",
        make: Make::Whole(processes::report),
    },
    ReportKind {
        name: "system",
        doc: "The whole machine: process code, kernel, idle; system calls; how often what happened.",
        make: Make::Whole(system::report),
    },
    ReportKind {
        name: "syscalls",
        doc: "What system calls cost, how they failed, who made them.",
        make: Make::Whole(syscalls::report),
    },
    ReportKind {
        name: "slowest",
        doc: "The system calls that took longest, and what they waited for.",
        make: Make::Whole(slowest::report),
    },
    ReportKind {
        name: "irqs",
        doc: "Interrupts and the handlers of devices: how often, how long, where.",
        make: Make::Whole(interrupts::irqs),
    },
    ReportKind {
        name: "softirqs",
        doc: "Softirqs: how often, how long, how long after they were raised.",
        make: Make::Whole(interrupts::softirqs),
    },
    ReportKind {
        name: "traps",
        doc: "Exceptions, and page faults by what they were for and where.",
        make: Make::Whole(interrupts::traps),
    },
    ReportKind {
        name: "sched",
        doc: "Who ran, who waited for a CPU and because of whom; migrations.",
        make: Make::Whole(sched::sched),
    },
    ReportKind {
        name: "wakeups",
        doc: "Who wakes whom, and how long it takes until that runs.",
        make: Make::Whole(sched::wakeups),
    },
    ReportKind {
        name: "io",
        doc: "Bytes that processes moved, and what the block devices did.",
        make: Make::Whole(disk::io),
    },
    ReportKind {
        name: "files",
        doc: "Files by the bytes that were read from them and written to them.",
        make: Make::Whole(disk::files),
    },
    ReportKind {
        name: "net",
        doc: "Packets and bytes by device and sender, and what processes moved through sockets.",
        make: Make::Whole(net::report),
    },
    ReportKind {
        name: "timers",
        doc: "Timers by their function: how often, how late, how long, who set them; sleeps.",
        make: Make::Whole(timers::report),
    },
    ReportKind {
        name: "futex",
        doc: "Locks of programs: who slept at which, how long, and who let it go on.",
        make: Make::Whole(futex::report),
    },
    ReportKind {
        name: "signals",
        doc: "Who sent which signal to whom, how long until it was taken, and what came of it.",
        make: Make::Whole(signals::report),
    },
    ReportKind {
        name: "memory",
        doc: "Pages that processes took and gave back, what is still taken at the end, faults, swapping.",
        make: Make::Whole(memory::report),
    },
    ReportKind {
        name: "modules",
        doc: "Modules that were loaded, removed and asked for: when, by whom, how long they took to start.",
        make: Make::Whole(modules::report),
    },
    ReportKind {
        name: "boot",
        doc: "The phases of a boot on one time line, what cost most in each, initcalls, programs.",
        make: Make::Whole(boot::report),
    },
    ReportKind {
        name: "idle",
        doc: "How long and how often CPUs slept, what ended that, and who had left them idle.",
        make: Make::Whole(idle::report),
    },
    ReportKind {
        name: "log",
        doc: "Lines of the kernel's log and writes to the console, with the thread that wrote them.",
        make: Make::Rows(log::LOG, log::log),
    },
    ReportKind {
        name: "timehist",
        doc: "Every time that a thread had a CPU: how long it waited for it and how long it had it.",
        make: Make::Rows(timehist::TIMEHIST, timehist::timehist),
    },
    ReportKind {
        name: "schedmap",
        doc: "Which thread each CPU ran, line by line.",
        make: Make::Rows(timehist::SCHEDMAP, timehist::schedmap),
    },
];

/// The report with that name.
#[must_use]
pub fn report_named(name: &str) -> Option<&'static ReportKind> {
    REPORTS.iter().find(|report| report.name == name)
}

impl ReportKind {
    /// Whether it says the same of a whole trace in few rows, not each thing that happened.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.make, Make::Whole(_))
    }

    /// Makes it from a trace.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub fn make(&self, trace: &Trace, options: &Options) -> Result<Report, TraceError> {
        match self.make {
            Make::Whole(make) => make(trace, options),
            Make::Rows(..) => Ok(self.make_at_most(trace, options, usize::MAX)?.0),
        }
    }

    /// Makes it from a trace, of rows without number only the first: the trace is read no further than these need.
    /// Tells whether there are more.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub fn make_at_most(
        &self,
        trace: &Trace,
        options: &Options,
        rows_max: usize,
    ) -> Result<(Report, bool), TraceError> {
        match self.make {
            Make::Whole(make) => Ok((make(trace, options)?, false)),
            Make::Rows(layout, make) => {
                let mut rows = Kept::at_most(rows_max);
                let findings = make(trace, options, &mut rows)?;
                let is_cut = rows.is_cut();
                Ok((rows.into_report(layout, findings), is_cut))
            }
        }
    }

    /// Makes it from a trace and writes it, rows without number as they are found. Returns what was lost or is doubtful.
    ///
    /// # Errors
    /// When the trace cannot be read, or the output fails.
    pub fn write(
        &self,
        trace: &Trace,
        options: &Options,
        format: ReportFormat,
        out: &mut dyn Write,
    ) -> Result<Vec<Finding>, ReportError> {
        match self.make {
            Make::Whole(make) => {
                let report = make(trace, options)?;
                report.write(format, out)?;
                Ok(report.findings)
            }
            Make::Rows(layout, make) => {
                let mut rows = Written::new(layout, format, out);
                let findings = make(trace, options, &mut rows)?;
                rows.finish(&findings)?;
                Ok(findings)
            }
        }
    }
}
